"""The figures of versions without the rest of their rows, which holds every region of every judged image: a list of
hundreds of versions takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from prelabel.store.database import Database
from prelabel.store.runs import Run
from prelabel.store.versions import PromotionRow, VersionRow, VersionState, state_of

FIGURES = ("images", "box_AP50", "mask_AP50", "no_edit_share", "false_positives_per_image")
"""Fields of a Judgement."""


@dataclass(frozen=True)
class Figures:
    """How a version did on the images that judged it; None where that is not known. See Judgement."""

    images: int | None
    box_AP50: float | None
    mask_AP50: float | None
    no_edit_share: float | None
    false_positives_per_image: float | None


@dataclass(frozen=True)
class VersionFigures:
    """One version. `labelled`: tasks with accepted labels when its run read them, None where no run made it. `reason`:
    the gate's.
    """

    name: str
    project_id: int
    number: int
    state: VersionState
    created_at: datetime
    run_id: int | None
    labelled: int | None
    judged: Figures
    reason: str

    @property
    def was_promoted(self) -> bool:
        """Whether it serves or has served."""
        return self.state in (VersionState.SERVING, VersionState.RETIRED)


def version_figures(database: Database, project_id: int | None = None) -> list[VersionFigures]:
    """Those of a project, or of all, oldest first within each project."""
    of_version = [VersionRow.judgement[name].as_float() for name in FIGURES]
    row = VersionRow
    about = (row.id, row.project_id, row.number, row.created_at, row.run_id, row.reason, row.sha256)
    query = select(*about, Run.accepted, *of_version).outerjoin(Run, Run.id == row.run_id)
    newest = select(func.max(PromotionRow.id)).group_by(PromotionRow.project_id)
    promoted = select(PromotionRow.version_id, PromotionRow.id.in_(newest))
    if project_id is not None:
        query = query.where(row.project_id == project_id)
        promoted = promoted.where(PromotionRow.project_id == project_id)
    with database.session() as session:
        promotions = session.execute(promoted).all()
        rows = session.execute(query.order_by(row.project_id, row.number)).all()
    ever = {version_id for version_id, _ in promotions}
    now = {version_id for version_id, is_newest in promotions if is_newest}
    return [_read(one, now, ever) for one in rows]


def _read(row: Any, serving: set[int | None], promoted: set[int | None]) -> VersionFigures:
    version_id, project_id, number, created_at, run_id, reason, sha256, labelled, *figures = row
    return VersionFigures(
        f"p{project_id}-v{number}",
        project_id,
        number,
        state_of(version_id, sha256, serving, promoted),
        created_at,
        run_id,
        labelled,
        _figures(figures),
        reason,
    )


def _figures(values: list[float | None]) -> Figures:
    images, *rest = values
    return Figures(None if images is None else int(images), *rest)
