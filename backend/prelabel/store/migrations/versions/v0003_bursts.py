"""Runs know until when they wait for more labels of the burst that asked for them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Runs of before start at once."""
    op.add_column("runs", sa.Column("starts_by", sa.DateTime))
