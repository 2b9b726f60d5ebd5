"""The log of what people changed by prelabel's pages."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing was changed by pages before there were any."""
    op.create_table(
        "actions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("of", sa.String(255), nullable=False),
        sa.Column("result", sa.Text, nullable=False),
    )
    op.create_index("ix_actions_project_id", "actions", ["project_id"])
