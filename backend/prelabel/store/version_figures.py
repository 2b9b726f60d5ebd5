"""The figures of versions without the rest of their rows, which holds every region of every judged image: a list of
hundreds of versions takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, func, select
from sqlalchemy.sql.elements import ColumnElement

from prelabel.store.database import Database
from prelabel.store.runs import Run
from prelabel.store.versions import PromotionRow, VersionRow, VersionState

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
    of_version = [_figure(VersionRow.judgement[name]) for name in FIGURES]
    row = VersionRow
    about = (row.id, row.project_id, row.number, row.created_at, row.run_id, row.reason, row.sha256)
    query = select(*about, Run.accepted, *of_version).outerjoin(Run, Run.id == row.run_id)
    newest = select(func.max(PromotionRow.id)).group_by(PromotionRow.project_id)
    promoted = select(PromotionRow.version_id, PromotionRow.id.in_(newest))
    if project_id is not None:
        query = query.where(row.project_id == project_id)
        promoted = promoted.where(PromotionRow.project_id == project_id)
    with database.session() as session:
        serves = {version_id: False for version_id, _ in session.execute(promoted)}
        serves |= {version_id: True for version_id, now in session.execute(promoted) if now}
        rows = session.execute(query.order_by(row.project_id, row.number)).all()
    return [_read(one, serves) for one in rows]


def _figure(value: ColumnElement[Any]) -> ColumnElement[float]:
    number: ColumnElement[float] = value.as_float() if isinstance(value.type, JSON) else value
    return number


def _read(row: Any, serves: dict[int | None, bool]) -> VersionFigures:
    version_id, project_id, number, created_at, run_id, reason, sha256, labelled, *figures = row
    state = VersionState.REJECTED if sha256 is None else VersionState.CANDIDATE
    if version_id in serves:
        state = VersionState.SERVING if serves[version_id] else VersionState.RETIRED
    return VersionFigures(
        f"p{project_id}-v{number}",
        project_id,
        number,
        state,
        created_at,
        run_id,
        labelled,
        _figures(figures),
        reason,
    )


def _figures(values: list[float | None]) -> Figures:
    images, *rest = values
    return Figures(None if images is None else int(images), *rest)
