"""Snapshots of a project: its accepted labels and their images, kept beside each other for a training run.

FOLDER/images/<sha256 of the file>      every image once, however many snapshots and tasks use it
FOLDER/snapshots/<digest>.json          see `fbnetv3.data.snapshot`
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fbnetv3.data.snapshot import TRAIN, Snapshot, SnapshotError, content_digest, write_snapshot
from prelabel.labels.accepted import accepted_tasks
from prelabel.labels.collecting import CollectedLabels, collect_labels
from prelabel.labels.stored_images import image_store
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import Project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher

logger = logging.getLogger(__name__)

FEW_OUTAGES, MOST_OUTAGES = 3, 0.1
"""Images, and their share, from which on an outage of Label Studio ends the snapshot, so that the run is tried again:
it would learn from those that came before, and judge by them."""


class NothingToLearn(SnapshotError):
    """The project has no labels to train on: other labels or another labelling config mend that, nothing else."""


@dataclass(frozen=True)
class ProjectSnapshot:
    """A snapshot, and how it came about.

    `left_out`: a sentence for each image that is not in it, and for what else is not. `tasks`: accepted tasks,
    `annotations`: the annotations submitted for them, both as Label Studio has them, broken images included.
    """

    snapshot: Snapshot
    left_out: list[str]
    tasks: int
    annotations: int


def build_snapshot(
    client: LabelStudioClient,
    fetcher: ImageFetcher,
    project: Project,
    folder: Path,
    max_pixels: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ProjectSnapshot:
    """The accepted labels of a project now. The same labels and images give the same digest and file.

    What cannot be used is left out with a reason: images that cannot be had or have more than `max_pixels` pixels, or
    with regions that show objects which cannot be read, choices that the config does not have. `on_progress` hears how
    many images are done, and of how many. Raises NothingToLearn, SnapshotError where no image can be had or the disk
    refuses, LabelStudioError and LabelConfigError.
    """
    config = project.config
    learnt = config.for_any_task()
    if not learnt.objects.labels and not learnt.choices.active:
        raise NothingToLearn(
            f"project {project.id} has no labels for boxes or masks on an image, and no choices for one"
        )
    tasks = accepted_tasks(client, project.id)
    if not tasks:
        raise NothingToLearn(f"project {project.id} has no accepted labels")
    found = collect_labels(tasks, config, image_store(fetcher, folder / "images", max_pixels), on_progress)
    if found.heads:
        found.drop_images_that_are_held_out()
    _check_enough(found, project.id)
    data = found.data()
    digest = content_digest(data, folder / "images")
    snapshot = write_snapshot(data, folder / "images", folder / "snapshots" / f"{digest}.json")
    for reason in found.left_out:
        logger.warning("project %s: left out of the training data: %s", project.id, reason)
    return ProjectSnapshot(snapshot, found.left_out, len(tasks), sum(task.annotations for task in tasks))


def _check_enough(found: CollectedLabels, project_id: int) -> None:
    """Raises NothingToLearn, or SnapshotError where no image can be had."""
    count = f"{found.labelled} labelled images of project {project_id}"
    if found.outages >= max(FEW_OUTAGES, MOST_OUTAGES * found.labelled):
        raise SnapshotError(f"Label Studio was away for {found.outages} of the {count}: {found.left_out[-1]}")
    if not found.images:
        raise SnapshotError(f"none of the {count} can be used: {found.left_out[0]}")
    with_choices = [image for image in found.images if image.get("image_labels")]
    if found.annotations or any(image["split"] == TRAIN for image in with_choices):
        return
    if with_choices:
        raise NothingToLearn(
            f"all {len(with_choices)} images of project {project_id} with choices are held out for judging: label more"
        )
    why = found.left_out[0] if found.left_out else "all were submitted without a region"
    raise NothingToLearn(f"none of the {count} shows an object that can be read: {why}")
