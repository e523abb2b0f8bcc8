"""Engines beyond DuckDB: ClickHouse over the lake's own files, PostgreSQL over a copy of a table."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow
import pyarrow.feather
from sqlalchemy import Connection

from opengoc.base.errors import Permanent, Temporary
from opengoc.store.engine import sql_of, statement, told_as

if TYPE_CHECKING:
    import ibis


class ClickHouse:
    """ClickHouse in this process, over the lake's tables as they are; to be used in a ``with``.

    Needs ``pip install opengoc[clickhouse]``; raises Permanent without it. A server does the same with
    ``deltaLake`` for object storage, see docs/howto/outgrow-one-machine.md. One at a time in
    a process, which has to stand in a folder above both the lake and that for temporary files: ClickHouse
    reads files below the current folder alone.
    """

    def __init__(self, root: Path, *tables: str) -> None:
        try:
            from chdb.session import Session
        except ImportError as error:
            raise Permanent("ClickHouse is not installed: pip install 'opengoc[clickhouse]'") from error
        opened: Any = Session
        self._session = opened(":memory:")
        for table in tables:
            place = str((root / table).absolute()).replace("'", "\\'")
            self._run(f"CREATE VIEW \"{table}\" AS SELECT * FROM deltaLakeLocal('{place}')")

    def __enter__(self) -> ClickHouse:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def ask(self, question: ibis.Table, beside: Mapping[str, pyarrow.Table]) -> pyarrow.Table:
        """The rows. Raises Temporary when ClickHouse fails."""
        with tempfile.TemporaryDirectory(prefix="goc-clickhouse-") as folder:
            for name, rows in beside.items():
                file = Path(folder) / f"{name}.arrow"
                pyarrow.feather.write_feather(rows, file, compression="uncompressed")
                read = f"SELECT * FROM file('{file}', Arrow)"
                self._run(f'CREATE OR REPLACE TABLE "{name}" ENGINE = Memory AS {read}')
        return told_as(question, self._run(statement(question, {}, "clickhouse")))

    def _run(self, sql: str) -> pyarrow.Table:
        try:
            return self._session.query(sql, "ArrowTable")
        except RuntimeError as error:
            raise Temporary(f"ClickHouse cannot answer: {error}", retry_after=60.0) from error


class PostgreSql:
    """PostgreSQL over tables that were copied into it, within one write transaction of the caller."""

    def __init__(self, connection: Connection) -> None:
        # Without parameters a percent sign in the SQL is one.
        self._connection = connection.execution_options(no_parameters=True)
        self._connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")

    def ask(self, question: ibis.Table, beside: Mapping[str, pyarrow.Table]) -> pyarrow.Table:
        """The rows. Errors of the database are translated by the caller's transaction."""
        for name, rows in beside.items():
            self._connection.exec_driver_sql(f'DROP TABLE IF EXISTS pg_temp."{name}"')
            self.put(name, rows, temporary=True)
        found = self._connection.exec_driver_sql(sql_of(question, "postgres"))
        schema = question.schema().to_pyarrow()
        columns: Sequence[Sequence[object]] = list(zip(*found, strict=True)) or [()] * len(schema)
        arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        return pyarrow.table(arrays, schema=schema)

    def put(self, name: str, rows: pyarrow.Table, *, temporary: bool = False) -> None:
        """Make a table of rows."""
        columns = ", ".join(f'"{field.name}" {_postgres_type(field.type)}' for field in rows.schema)
        kind = "TEMPORARY TABLE" if temporary else "TABLE"
        self._connection.exec_driver_sql(f'CREATE {kind} "{name}" ({columns})')
        cursor: Any = self._connection.connection.cursor()
        with cursor.copy(f'COPY "{name}" FROM STDIN') as copy:
            for batch in rows.to_batches():
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    copy.write_row(row)


def _postgres_type(type_: pyarrow.DataType) -> str:
    """How PostgreSQL keeps a column. Raises KeyError for a type that no table of the lake has."""
    names = {
        pyarrow.string(): "text",
        pyarrow.int32(): "integer",
        pyarrow.int64(): "bigint",
        pyarrow.float64(): "double precision",
        pyarrow.bool_(): "boolean",
        pyarrow.date32(): "date",
        pyarrow.timestamp("us", tz="UTC"): "timestamptz",
    }
    return names[type_]
