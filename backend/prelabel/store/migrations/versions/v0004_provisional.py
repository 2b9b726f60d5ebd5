"""Provisional versions, and how often the labels of each project have changed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """The labels of before count as read; the worker finds by asking that there are some."""
    op.add_column("label_counts", sa.Column("changes", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "provisional_versions",
        sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("base", sa.String(255)),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
        sa.Column("made_from", sa.String(64)),
        sa.Column("created_at", sa.DateTime),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.Column("labelled", sa.Integer),
    )
