"""Bring a database to the schema of this release, whoever else is opening it at the same moment."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from opengoc.base.errors import Permanent
from opengoc.store.faults import translate

#: The newest revision in ``migrations/versions``. Kept here so that opening a current database need not load
#: Alembic; a test holds the two together.
HEAD = "0005"
MIGRATIONS = Path(__file__).parent / "migrations"
#: The PostgreSQL advisory lock that the one migrating process holds: "goc" in ASCII.
_ADVISORY_LOCK = 0x676F63


def migrate(engine: Engine, where: str, *, patience_seconds: float) -> None:
    """Run the migrations that are lacking, in one transaction, one process at a time.

    Raises Permanent when the database is of a newer release: this one must not write into it.
    """
    with engine.connect().execution_options(opengoc_read_only=True) as connection:
        if engine.dialect.name == "sqlite":
            _use_write_ahead_log(connection, where, patience_seconds)
        # Reading first: opening a current database waits for no writer.
        with connection.begin():
            if _revision(connection) == HEAD:
                return
    with engine.connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            # On SQLite the transaction itself is the lock.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        revision = _revision(connection)
        if revision != HEAD:
            _upgrade(connection, revision, where)


def _use_write_ahead_log(connection: Connection, where: str, patience_seconds: float) -> None:
    # The switch needs the file for itself, and SQLite does not wait for that as it waits for a lock.
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            # Raw: SQLAlchemy would open a transaction, and inside one the mode cannot change.
            connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise translate(error, where) or Permanent(f"database {where}: {error}") from error
        time.sleep(0.05)


def _revision(connection: Connection) -> str | None:
    """The revision the database is at; None where nothing was ever made in it."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def _upgrade(connection: Connection, revision: str | None, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise Permanent(
            f"database {where} is at revision {revision}, made by a newer release; this one knows up to "
            f"{HEAD}: upgrade OpenGOC, or restore the backup made before the upgrade"
        )
    command.upgrade(config, HEAD)
