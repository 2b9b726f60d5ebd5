"""Runs know how many new labels they had read, and when a failed one is tried again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Runs of before have read no labels that still count, and are not tried again."""
    op.add_column("runs", sa.Column("counted", sa.Integer))
    op.add_column("runs", sa.Column("retry_at", sa.DateTime))
