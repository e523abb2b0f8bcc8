"""The database that holds facts and ledger: SQLite in a file, or PostgreSQL.

Two kinds of transactions. ``begin`` writes: all of it is kept, or none. ``read`` sees one snapshot and cannot
write. On SQLite a write transaction takes the one write lock at once, so it never fails half way for a lock;
readers go on meanwhile (WAL). On PostgreSQL writers run side by side (READ COMMITTED, each statement sees
what was committed before it), and readers see one snapshot (REPEATABLE READ).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from opengoc.base.errors import GocError, InvalidInput, Temporary
from opengoc.store.faults import translate
from opengoc.store.migrate import migrate

#: How long a statement waits for another writer before it gives up as Temporary.
LOCK_WAIT_SECONDS = 30.0


class Database:
    """An open database at the schema of this release. Threads may share it, forked processes may not."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        #: The address without the password, for messages.
        self.where = where

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One write transaction: committed when the block ends, undone when it raises.

        Raises Temporary when the database is locked, full or away; nothing of the block is kept then. A
        commit whose answer is lost may have been kept: make the block safe to run again.
        """
        with self._connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read-only snapshot for the length of the block: all queries in it agree.

        Raises Temporary when the database is locked or away.
        """
        with self._connect(opengoc_read_only=True) as connection, connection.begin():
            yield connection

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def dispose(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _connect(self, **options: Any) -> Iterator[Connection]:
        try:
            connection = self._engine.connect()
        except PoolTimeout as error:
            raise Temporary(f"database {self.where}: every connection is in use", retry_after=1.0) from error
        with connection:
            yield connection.execution_options(**options)


def open_database(url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> Database:
    """The database at ``url``, brought to the schema of this release.

    ``url`` is ``sqlite:////absolute/path`` or ``postgresql://user@host/name``. Any number of processes may
    open a fresh database at once. Raises InvalidInput for another url, Permanent for a database of a newer
    release, and Temporary where it is locked, full or away.
    """
    address = _address(url)
    where = address.render_as_string(hide_password=True)
    if address.get_backend_name() == "sqlite":
        engine = _sqlite_engine(address, lock_wait_seconds)
    else:
        engine = _postgresql_engine(address, lock_wait_seconds)

    @event.listens_for(engine, "handle_error", retval=True)
    def translate_fault(context: ExceptionContext) -> GocError | None:
        # SQLAlchemy raises what is returned here from the driver's own error; for None, its own wrapping.
        # A broken connection found by the pool itself (pre-ping) is none yet: the pool makes another.
        return None if context.is_pre_ping else translate(context.original_exception, where)

    database = Database(engine, where)
    try:
        migrate(engine, where, patience_seconds=lock_wait_seconds)
    except BaseException:
        database.dispose()
        raise
    return database


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise InvalidInput("store url", "…", "must be sqlite:///path or postgresql://…") from error
    backend = address.get_backend_name()
    if backend == "postgresql":
        return address.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise InvalidInput("store url", backend, "must be sqlite:///path or postgresql://…")
    if address.database in (None, "", ":memory:"):
        raise InvalidInput("store url", url, "must name a file: sqlite:////absolute/path")
    return address


def _sqlite_engine(address: URL, lock_wait_seconds: float) -> Engine:
    # Names and addresses of people are in it: it is its owner's alone, whatever folder it is in.
    with suppress(OSError):
        os.close(os.open(str(address.database), os.O_CREAT | os.O_EXCL, 0o600))
    engine = create_engine(address, connect_args={"timeout": lock_wait_seconds})

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        # The driver begins transactions by its own rules; "begin" below does it by ours.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL: what is committed survives a power cut. An effect settled and then forgotten would be done
        # twice.
        connection.execute("PRAGMA synchronous = FULL")
        # What is erased is overwritten, not only unlinked: the vault promises it.
        connection.execute("PRAGMA secure_delete = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("opengoc_read_only", False)
        connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(address: URL, lock_wait_seconds: float) -> Engine:
    options = f"-c timezone=UTC -c lock_timeout={int(lock_wait_seconds * 1000)}"
    engine = create_engine(
        address,
        pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": 10, "application_name": "opengoc"},
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("opengoc_read_only", False):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

    return engine
