"""A column for why gates were skipped for a release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; it is empty for earlier releases."""
    op.add_column("releases", sa.Column("reason", sa.String, nullable=False, server_default=""))
