"""Why gates were left out for a release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; releases made before left nothing out."""
    op.add_column("releases", sa.Column("reason", sa.String, nullable=False, server_default=""))
