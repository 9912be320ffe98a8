"""The ledger's SQLite file: opening it, migrating it, and translating its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, String, column, create_engine, event, inspect, select, table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from relman.ledger.tables import HEAD
from relman.local import file_lock
from relman.model.errors import StorageFailed

_READ_ONLY = "relman_read_only"


def open_database(file: Path, *, busy: float) -> Engine:
    """Return an engine for `file`, which is created or migrated if necessary.

    `busy` is how many seconds to wait for another process's write. Raises StorageFailed.
    """
    with translated(file):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": busy}, poolclass=NullPool)
        event.listen(engine, "connect", _take_over_transactions)
        event.listen(engine, "begin", _begin)
        if _revision(engine) != HEAD:
            _upgrade(engine, file)
    return engine


def read_only(engine: Engine) -> Engine:
    """The same engine for reading, which does not wait for writers."""
    return engine.execution_options(**{_READ_ONLY: True})


@contextmanager
def translated(file: Path) -> Iterator[None]:
    """Raise every error of the database as StorageFailed."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        hint = "Only history is kept there: it may be moved away; a new one is created."
        raise StorageFailed(f"the ledger {file} cannot be used: {reason}", hint=hint) from error


def _take_over_transactions(connection: Any, _record: Any) -> None:
    # In its default mode sqlite3 begins no transaction before DDL, and a reader that then writes may fail immediately.
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html (Serializable isolation / Savepoints / Transactional DDL)
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_READ_ONLY)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _revision(engine: Engine) -> str | None:
    with read_only(engine).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.scalar(select(column("version_num", String)).select_from(table("alembic_version")))


def _upgrade(engine: Engine, file: Path) -> None:
    """Migrate the file. Alembic is imported here only, because importing it is slow."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "relman.ledger:migrations")
    with file.with_suffix(".lock").open("w") as lock:
        file_lock.wait_for(lock)
        with engine.connect() as connection:
            # SQLite changes its journal mode only outside a transaction.
            connection.connection.driver_connection.execute("PRAGMA journal_mode = WAL")  # type: ignore[union-attr]
            with connection.begin():
                config.attributes["connection"] = connection
                try:
                    command.upgrade(config, "head")
                except CommandError as error:
                    raise StorageFailed(
                        f"the ledger {file} was written by a newer relman", hint="Update relman."
                    ) from error
