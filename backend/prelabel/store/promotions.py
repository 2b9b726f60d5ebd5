"""Promotions: which version serves a project since when, and how far Label Studio has followed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ScalarSelect, Select, func, select, update

from prelabel.store.database import Database
from prelabel.store.events import TASKS_CREATED, WebhookEvent
from prelabel.store.versions import PromotionRow, Version, VersionRow, serving_id


@dataclass(frozen=True)
class Promotion:
    """The newest promotion of a project. `version`: None for the base weights.

    `is_published`: Label Studio shows it. `is_refreshed`: the unlabelled tasks have its predictions, and no webhook
    told of new tasks since.
    """

    id: int
    project_id: int
    version: str | None
    promoted_at: datetime
    reason: str
    is_published: bool
    is_refreshed: bool


def serving_names(database: Database) -> dict[int, str]:
    """Project id -> name of its serving version, most recently promoted first; without those on base weights."""
    with database.session() as session:
        rows = session.execute(_newest_promotions().order_by(PromotionRow.id.desc()))
        return {row.project_id: name for row, name in map(_promoted_name, rows) if name}


def add_promotion(database: Database, project_id: int, version: Version | None, reason: str) -> bool:
    """Make this version (None: the base weights) serve; False where it does so already."""
    version_id = version.id if version else None
    with database.session() as session:
        if serving_id(session, project_id) == version_id:
            return False
        session.add(
            PromotionRow(
                project_id=project_id, version_id=version_id, promoted_at=datetime.now(UTC), reason=reason
            )
        )
    return True


def newest_promotion(database: Database, project_id: int) -> Promotion | None:
    """The promotion that decides what serves the project; None before the first."""
    with database.session() as session:
        row = session.execute(_newest_promotions().where(PromotionRow.project_id == project_id)).first()
        return _to_promotion(row) if row else None


def unfinished_promotions(database: Database) -> list[Promotion]:
    """The newest promotions that Label Studio has not followed altogether, oldest first."""
    stale = PromotionRow.refreshed_at.is_(None) | (_newest_tasks() > PromotionRow.refreshed_at)
    unfinished = PromotionRow.published_at.is_(None) | stale
    with database.session() as session:
        rows = session.execute(_newest_promotions().where(unfinished).order_by(PromotionRow.id))
        return [_to_promotion(row) for row in rows]


def mark_published(database: Database, promotion: Promotion) -> None:
    """Label Studio shows this promotion's version."""
    _mark(database, promotion, published_at=datetime.now(UTC))


def mark_refreshed(database: Database, promotion: Promotion, begun: datetime) -> None:
    """The tasks that were unlabelled when this began have predictions of this promotion's version."""
    _mark(database, promotion, refreshed_at=begun)


def _mark(database: Database, promotion: Promotion, **moment: datetime) -> None:
    with database.session() as session:
        session.execute(update(PromotionRow).where(PromotionRow.id == promotion.id).values(**moment))


def _newest_promotions() -> Select[Any, Any, Any]:
    """The newest promotion of every project, with the number of its version."""
    newest = select(func.max(PromotionRow.id)).group_by(PromotionRow.project_id)
    return (
        select(PromotionRow, VersionRow.number, _newest_tasks().label("newest_tasks"))
        .outerjoin(VersionRow, VersionRow.id == PromotionRow.version_id)
        .where(PromotionRow.id.in_(newest))
    )


def _newest_tasks() -> ScalarSelect[datetime]:
    """When a webhook last told of new tasks in the promotion's project."""
    return (
        select(func.max(WebhookEvent.received_at))
        .where(WebhookEvent.project_id == PromotionRow.project_id, WebhookEvent.action == TASKS_CREATED)
        .correlate(PromotionRow)
        .scalar_subquery()
    )


def _promoted_name(row: Any) -> tuple[PromotionRow, str | None]:
    promotion, number, _ = row
    return promotion, None if number is None else f"p{promotion.project_id}-v{number}"


def _to_promotion(row: Any) -> Promotion:
    promotion, name = _promoted_name(row)
    refreshed_at, newest_tasks = promotion.refreshed_at, row.newest_tasks
    return Promotion(
        promotion.id,
        promotion.project_id,
        name,
        promotion.promoted_at,
        promotion.reason,
        promotion.published_at is not None,
        refreshed_at is not None and (newest_tasks is None or newest_tasks <= refreshed_at),
    )
