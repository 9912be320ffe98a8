"""A column for what went wrong on a host."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; it is empty for earlier deployments."""
    op.add_column("deployment_hosts", sa.Column("failed", sa.String, nullable=False, server_default=""))
