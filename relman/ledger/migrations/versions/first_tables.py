"""Tables for runs, releases, deployments, and their outcome on each host."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        *_texts("run", "service", "commit", "config", "outcome", "by", "finished"),
    )
    op.create_index("ix_runs_finished", "runs", ["finished"])
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer, primary_key=True),
        *_texts("service", "repository", "tag", "manifest", "run", "by", "at"),
    )
    op.create_index("ix_releases_at", "releases", ["at"])
    op.create_table(
        "deployments",
        sa.Column("id", sa.String, primary_key=True),
        *_texts("kind", "service", "environment", "release", "digest", "by"),
        *_texts("started", "finished", "outcome", "reason"),
    )
    op.create_index("ix_deployments_place", "deployments", ["service", "environment"])
    op.create_index("ix_deployments_finished", "deployments", ["finished"])
    op.create_table(
        "deployment_hosts",
        sa.Column("deployment_id", sa.String, sa.ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("host", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        *_texts("outcome", "detail"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]
