"""How alembic reaches the ledger: through the connection that relman.ledger.migrate hands over."""

from __future__ import annotations

from alembic import context

from relman.ledger.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
