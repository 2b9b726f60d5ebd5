"""What Label Studio's webhooks said: one row per delivery, as it came."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Index, String, Text, exists, insert, literal, select
from sqlalchemy.orm import Mapped, mapped_column

from prelabel.ids import LARGEST_ID
from prelabel.store.database import Base, Database, UtcDateTime
from prelabel.store.label_counts import accepted_labels, changes_labels, count_labels

REPEAT_WINDOW = timedelta(seconds=60)
"""Within this time an identical body is the same delivery come twice (two webhooks on one project, a proxy's
retry). Later it is news: Start Training pressed again after a failed run sends the very same bytes."""

MAX_ACTION_LENGTH = 64

TASKS_CREATED = "TASKS_CREATED"
"""Label Studio's event for an import, and for a storage that was synchronised."""

LABELLING = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", TASKS_CREATED)
"""Events of somebody at work on labels; an import may bring some."""


class WebhookEvent(Base):
    """One delivery of a webhook."""

    __tablename__ = "webhook_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    project_id: Mapped[int | None] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(MAX_ACTION_LENGTH))
    digest: Mapped[str] = mapped_column(String(64))
    payload: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index("ix_webhook_events_digest_received_at", "digest", "received_at"),)


def record_event(database: Database, body: str, payload: Any, now: datetime | None = None) -> bool:
    """Store a delivery and count the labels that it tells of; False when it repeats one that is stored.

    `body`: the JSON text as received; `payload`: the same, parsed, of any shape. `now`: when it came.
    """
    received_at = now or datetime.now(UTC)
    digest = hashlib.sha256(body.encode()).hexdigest()
    row = {
        "received_at": received_at,
        "project_id": project_of(payload),
        "action": action_of(payload),
        "digest": digest,
        "payload": body,
    }
    with database.session() as session:
        result = session.execute(_insert_unless_repeated(row, received_at - REPEAT_WINDOW))
        is_new = cast("CursorResult[Any]", result).rowcount == 1
        if is_new and (project_id := project_of(payload)):
            count_labels(session, project_id, accepted_labels(payload), int(changes_labels(payload)))
    return is_new


def last_labelling(database: Database, project_id: int) -> datetime | None:
    """When the last event came that tells of somebody at work on the project's labels; None without one."""
    event = WebhookEvent
    query = select(event.received_at).where(event.project_id == project_id, event.action.in_(LABELLING))
    with database.session() as session:
        return session.scalar(query.order_by(event.id.desc()).limit(1))


def action_of(payload: Any) -> str:
    """The event's name as Label Studio gives it, "" without one."""
    action = payload.get("action") if isinstance(payload, dict) else None
    return action[:MAX_ACTION_LENGTH] if isinstance(action, str) else ""


def project_of(payload: Any) -> int | None:
    """The id of the event's project, None where the payload does not say."""
    project = payload.get("project") if isinstance(payload, dict) else None
    project_id = project.get("id") if isinstance(project, dict) else None
    return project_id if type(project_id) is int and 0 < project_id <= LARGEST_ID else None


def _insert_unless_repeated(row: dict[str, Any], since: datetime) -> Any:
    """One statement, so that two deliveries at the same moment cannot both find nothing."""
    table = WebhookEvent.__table__
    repeated = exists().where(table.c.digest == row["digest"], table.c.received_at > since)
    values = select(*(literal(value, table.c[name].type) for name, value in row.items())).where(~repeated)
    statement = insert(WebhookEvent).from_select(list(row), values)
    return statement.execution_options(preserve_rowcount=True)  # PostgreSQL's is dropped otherwise
