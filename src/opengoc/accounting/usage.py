"""Who used what: sums over usage records, by what one asks for, as they were known at a time.

A record belongs to the window in which it ended. Of several versions of a record the one that stood at
``as_of`` counts: the highest sequence of its source, of equal ones the one stored last. Pilots and payloads
run inside one another and are never added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import pyarrow

from opengoc.accounting import table
from opengoc.accounting.model import Kind
from opengoc.base.errors import InvalidInput, Temporary
from opengoc.base.interval import Interval
from opengoc.store.lake import Lake

#: What a dimension says of records that do not tell.
UNKNOWN = "unknown"
#: What usage can be asked by, as SQL over a record.
DIMENSIONS = {
    "vo": "coalesce(record.vo, pilot.vo)",
    "site": "record.site",
    "resource": "record.resource",
    "user": "record.user_name",
    "project": "record.project",
    "queue": "record.queue",
    "kind": "record.kind",
    "entry": "coalesce(record.entry, pilot.entry)",
    "status": "record.status",
    "source": "record.source",
    "week": "strftime(record.ended_at, '%G-W%V')",
    "day": "strftime(record.ended_at, '%Y-%m-%d')",
}

# Only few records are ever restated: all others stand as they are, and only those few are put in order.
_STANDING = f"""
    WITH known AS (SELECT * FROM {table.TABLE} WHERE known_from <= $as_of),
    restated AS (SELECT DISTINCT instance, global_job_id, attempt FROM known WHERE version > 1),
    standing AS (
        SELECT * FROM known ANTI JOIN restated USING (instance, global_job_id, attempt)
        UNION ALL BY NAME
        SELECT * FROM known SEMI JOIN restated USING (instance, global_job_id, attempt)
        QUALIFY row_number() OVER (
            PARTITION BY instance, global_job_id, attempt ORDER BY sequence DESC, version DESC
        ) = 1
    ),
    records AS (
        SELECT *, cpu_user_seconds IS NOT NULL OR cpu_system_seconds IS NOT NULL AS measured,
            coalesce(cpu_user_seconds, 0) + coalesce(cpu_system_seconds, 0) AS cpu_seconds,
            wall_seconds * processors AS core_seconds
        FROM standing WHERE ended_at >= $start AND ended_at < $end
    )
"""
_SUMS = """
    count(*) AS jobs,
    sum(wall_seconds) AS wall_seconds,
    sum(core_seconds) AS core_seconds,
    sum(record.cpu_seconds) FILTER (measured) AS cpu_seconds,
    sum(core_seconds) FILTER (measured) AS cpu_core_seconds,
    count(*) FILTER (NOT measured) AS jobs_without_cpu,
    count(*) FILTER (suspect) AS suspects
"""


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """What the factory knows of a pilot that its site's batch system was not told."""

    id: str
    vo: str | None = None
    entry: str | None = None


@dataclass(frozen=True, kw_only=True)
class UsageRow:
    """The usage under one value of each dimension that was asked for."""

    #: Dimension → value; ``unknown`` for records that do not tell.
    dimensions: Mapping[str, str]
    jobs: int
    wall_seconds: float
    #: Σ wall × processors.
    core_seconds: float
    #: Σ CPU of the jobs that measured it; None when none did.
    cpu_seconds: float | None
    #: Σ wall × processors of the same jobs.
    cpu_core_seconds: float | None
    jobs_without_cpu: int
    #: Jobs with more CPU than wall × processors; they are in the sums.
    suspects: int

    @property
    def cpu_efficiency(self) -> float | None:
        """CPU / (wall × processors) of the jobs that measured CPU; None where that is not defined."""
        if self.cpu_seconds is None or not self.cpu_core_seconds:
            return None
        return self.cpu_seconds / self.cpu_core_seconds


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the usage records."""

    window: Interval
    by: Sequence[str] = ("vo", "site")
    #: None: every kind, each apart.
    kind: Kind | None = Kind.PAYLOAD
    as_of: datetime
    #: Fills in what records of pilots do not tell.
    pilots: Sequence[Pilot] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        strange = [name for name in self.by if name not in DIMENSIONS]
        if strange or len(set(self.by)) != len(self.by):
            raise InvalidInput("by", ",".join(self.by), f"must be some of {', '.join(DIMENSIONS)}, each once")
        if self.window.end is None:
            raise InvalidInput("window", str(self.window), "must have an end")

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What rows are told apart by: kinds are never added up."""
        return (*self.by, "kind") if self.kind is None and "kind" not in self.by else tuple(self.by)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """An answer, and what it was read from."""

    question: Question
    #: In order of their dimensions.
    rows: tuple[UsageRow, ...]
    #: Version of the lake's table that was read; None when it is empty.
    table_version: int | None


def usage(lake: Lake, question: Question) -> Usage:
    """Sum up the records that answer a question. Raises Temporary when the lake cannot be read."""
    table.declare(lake)
    version = lake.version(table.TABLE)
    columns = [f"coalesce({DIMENSIONS[name]}, '{UNKNOWN}') AS {name}" for name in question.dimensions]
    sql = f"""
        {_STANDING}
        SELECT {", ".join([*columns, _SUMS])}
        FROM records AS record LEFT JOIN pilots AS pilot ON pilot.id = record.pilot_id
        WHERE $kind IS NULL OR record.kind = $kind
        {"GROUP BY ALL ORDER BY ALL" if columns else "HAVING count(*) > 0"}
    """
    answer = _ask(lake, sql, question, version)
    count = len(question.dimensions)
    names = answer.column_names[count:]
    rows = tuple(
        UsageRow(
            dimensions=dict(zip(question.dimensions, row[:count], strict=True)),
            **dict(zip(names, row[count:], strict=True)),
        )
        for row in zip(*(column.to_pylist() for column in answer.columns), strict=True)
    )
    return Usage(question=question, rows=rows, table_version=version)


def _ask(lake: Lake, sql: str, question: Question, version: int | None) -> pyarrow.Table:
    pilots = pyarrow.table(
        {
            "id": pyarrow.array([pilot.id for pilot in question.pilots], pyarrow.string()),
            "vo": pyarrow.array([pilot.vo for pilot in question.pilots], pyarrow.string()),
            "entry": pyarrow.array([pilot.entry for pilot in question.pilots], pyarrow.string()),
        }
    )
    params: dict[str, Any] = {
        "as_of": question.as_of,
        "start": question.window.start,
        "end": question.window.end,
        "kind": question.kind.value if question.kind else None,
    }
    with lake.connection(table.TABLE, as_of_version=version) as connection:
        # A bar on standard output would stand among the results.
        connection.execute("SET enable_progress_bar = false")
        connection.register("pilots", pilots)
        try:
            return connection.sql(sql, params=params).to_arrow_table()
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise Temporary(f"the lake cannot be read now: {error}", retry_after=60.0) from error
