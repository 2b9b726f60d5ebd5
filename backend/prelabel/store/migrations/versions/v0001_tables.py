"""The tables as prelabel made them before it had migrations: what is there stays, what is missing is made."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make each table, unless it is there."""
    _webhook_events()
    _label_counts()
    _review_findings()
    _runs()
    _versions()
    _promotions()


def _webhook_events() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        if_not_exists=True,
    )
    _index("webhook_events", "project_id")
    _index("webhook_events", "digest", "received_at")


def _label_counts() -> None:
    op.create_table(
        "label_counts",
        sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("accepted", sa.Integer, nullable=False),
        if_not_exists=True,
    )


def _review_findings() -> None:
    op.create_table(
        "review_findings",
        sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("finding_id", sa.String(16), primary_key=True),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("is_current", sa.Boolean, nullable=False),
        sa.Column("decision", sa.String(16)),
        sa.Column("decided_at", sa.DateTime),
        if_not_exists=True,
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("slot", sa.String(32), unique=True),
        sa.Column("requested_at", sa.DateTime, nullable=False),
        sa.Column("requested_by", sa.String(64), nullable=False),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("stage", sa.String(32)),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("seconds_left", sa.Double),
        sa.Column("reason", sa.Text),
        sa.Column("snapshot_digest", sa.String(64)),
        sa.Column("accepted", sa.Integer),
        sa.Column("version", sa.String(64)),
        sa.Column("host", sa.String(255)),
        sa.Column("process_id", sa.Integer),
        sa.Column("heartbeat", sa.DateTime),
        sa.Column("furthest", sa.Integer, nullable=False),
        sa.Column("starts", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        if_not_exists=True,
    )
    _index("runs", "project_id")


def _versions() -> None:
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, unique=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("snapshot_digest", sa.String(64), nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("judgement", sa.JSON, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.UniqueConstraint("project_id", "number"),
        if_not_exists=True,
    )


def _promotions() -> None:
    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.Integer, nullable=False),
        sa.Column("version_id", sa.Integer, sa.ForeignKey("versions.id")),
        sa.Column("promoted_at", sa.DateTime, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("published_at", sa.DateTime),
        sa.Column("refreshed_at", sa.DateTime),
        if_not_exists=True,
    )
    _index("promotions", "project_id", "id")


def _index(table: str, *columns: str) -> None:
    op.create_index("_".join(["ix", table, *columns]), table, columns, if_not_exists=True)
