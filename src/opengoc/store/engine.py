"""Engines that answer questions over the lake's tables: DuckDB here, others in ``engines``.

A question is an Ibis expression over tables that are known by name. Each engine gets it in its own SQL, with
the same answer: rows without an order, of the types that the expression says. Texts compare by code point
only where the caller sorts, and every session is in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import pyarrow

from opengoc.store.lake import Lake, asking

if TYPE_CHECKING:
    import ibis


#: What makes ClickHouse answer as SQL says: an outer join gives nulls, and days are those of UTC.
CLICKHOUSE_SETTINGS = "join_use_nulls = 1, session_timezone = 'UTC'"


class Engine(Protocol):
    """What answers an expression; ``beside`` are small tables that only this question has."""

    def ask(self, question: ibis.Table, beside: Mapping[str, pyarrow.Table]) -> pyarrow.Table:
        """The rows. Raises Temporary when the engine cannot answer now."""
        ...


class DuckDb:
    """The lake as it is here, each table at one version (by default the newest); to be used in a ``with``."""

    def __init__(self, lake: Lake, *tables: str, versions: Mapping[str, int] | None = None) -> None:
        self._connection = lake.connection(*tables, as_of_version=versions or {})

    def __enter__(self) -> DuckDb:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, question: ibis.Table, beside: Mapping[str, pyarrow.Table]) -> pyarrow.Table:
        """The rows. Raises Temporary when memory or disk run out, Permanent for a damaged file."""
        for name, rows in beside.items():
            self._connection.register(name, rows)
        with asking():
            return told_as(question, self._connection.sql(sql_of(question, "duckdb")).to_arrow_table())


def sql_of(question: ibis.Table, dialect: str) -> str:
    """A question in the SQL of an engine: ``duckdb``, ``postgres``, ``clickhouse``."""
    import ibis

    return str(ibis.to_sql(question, dialect=dialect, pretty=False))


def statement(question: ibis.Table, beside: Mapping[str, pyarrow.Table], dialect: str) -> str:
    """One statement that needs no table but those of the lake: rows beside it are written out in it."""
    asked = sql_of(question, dialect)
    written = [f'"{name}" AS ({_literals(rows, dialect)})' for name, rows in beside.items() if len(rows)]
    asked = f"WITH {', '.join(written)} SELECT * FROM ({asked}) AS answer" if written else asked
    return f"SELECT * FROM ({asked}) SETTINGS {CLICKHOUSE_SETTINGS}" if dialect == "clickhouse" else asked


def _literals(rows: pyarrow.Table, dialect: str) -> str:
    import ibis

    types = ibis.Schema.from_pyarrow(rows.schema)
    lines = [
        sql_of(
            ibis.literal(1)
            .as_table()
            .select(**{name: ibis.literal(value, type=types[name]) for name, value in row.items()}),
            dialect,
        )
        for row in rows.to_pylist()
    ]
    return " UNION ALL ".join(lines)


def told_as(question: ibis.Table, rows: pyarrow.Table) -> pyarrow.Table:
    """Rows with the names and types of the question. Raises ArrowInvalid for one that has none such."""
    return rows.cast(question.schema().to_pyarrow())
