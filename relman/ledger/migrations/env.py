"""Alembic's environment: it uses the connection that relman.ledger.database passes in `attributes`."""

from __future__ import annotations

from alembic import context

from relman.ledger.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
