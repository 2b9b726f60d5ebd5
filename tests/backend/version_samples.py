"""Versions of projects to test with: stored as a run stores them, of small checkpoints or of real weights."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from label_studio_stand_in import PROJECT
from weights_samples import small_checkpoint

from fbnetv3.judging import Judgement
from fbnetv3.weights import Checkpoint, load_checkpoint
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.version_details import VersionJudgement, VersionPlan
from prelabel.versions.records import Version, create_version

JUDGEMENT = Judgement(
    images=12,
    objects=30,
    box_AP50=0.8125,
    box_AP=0.5,
    mask_AP50=None,
    mask_AP=None,
    no_edit_share=0.75,
    false_positives_per_image=0.25,
    outcomes=(),
)


@cache
def real_checkpoint(labels: tuple[str, ...] = ("Disc", "Box", "Wedge")) -> Checkpoint:
    """The starter network under these labels; it looks at small images, to be quick."""
    starter = load_checkpoint("starter")
    names = (*labels, *(f"class {number}" for number in range(len(starter.labels) - len(labels))))
    settings = starter.settings | {"min_size": 128, "max_size": 192, "post_nms_proposals_test": 10}
    return replace(starter, labels=names, settings=settings)


def store_version(
    settings: Settings,
    database: Database,
    run_id: int | None,
    checkpoint: Checkpoint | None = None,
    project_id: int = PROJECT,
    **fields: Any,
) -> Version:
    """The project's next version, which the gate let pass unless `promoted` is false."""
    given = {
        "judgement": VersionJudgement(JUDGEMENT),
        "reason": "AP50 rose from 0.70 to 0.81",
        "plan": VersionPlan({"steps": 90, "min_size": 128}),
        "snapshot_digest": "feedfacecafe",
        "promoted": True,
    }
    checkpoint = checkpoint or small_checkpoint()
    return create_version(settings, database, project_id, checkpoint, run_id=run_id, **(given | fields))
