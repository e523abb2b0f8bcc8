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
from opengoc.accounting.corrections import Field, Plan, Standing, plan
from opengoc.accounting.model import Kind
from opengoc.base.errors import InvalidInput, Temporary
from opengoc.base.interval import Interval
from opengoc.store.lake import Lake

#: What a dimension says of records that do not tell.
UNKNOWN = "unknown"
#: What usage can be asked by, as SQL over a record.
DIMENSIONS = {
    "vo": "vo",
    "site": "site",
    "country": "country",
    "resource": "resource",
    "user": "user_name",
    "project": "project",
    "queue": "queue",
    "kind": "kind",
    "entry": "entry",
    "status": "status",
    "source": "source",
    "week": "strftime(ended_at, '%G-W%V')",
    "month": "strftime(ended_at, '%Y-%m')",
    "day": "strftime(ended_at, '%Y-%m-%d')",
}

# Only few records are ever restated: all others stand as they are, and only those few are put in order.
_STANDING = f"""
    WITH restated AS (
        SELECT DISTINCT instance, global_job_id, attempt FROM {table.TABLE}
        WHERE version > 1 AND known_from <= $as_of
    ),
    single AS (
        SELECT * FROM {table.TABLE} ANTI JOIN restated USING (instance, global_job_id, attempt)
        WHERE known_from <= $as_of AND ended_at >= $start AND ended_at < $end
    ),
    latest AS (
        SELECT * FROM {table.TABLE} SEMI JOIN restated USING (instance, global_job_id, attempt)
        WHERE known_from <= $as_of
        QUALIFY row_number() OVER (
            PARTITION BY instance, global_job_id, attempt ORDER BY sequence DESC, version DESC
        ) = 1
    ),
    -- Whose a batch job is, as its computing element logged it: the last grant of its id before it started.
    granted AS (
        SELECT id, fqan, vo, user_name, since,
            lead(since, 1, 'infinity') OVER (PARTITION BY id ORDER BY since) AS until
        FROM (
            SELECT global_job_id AS id, fqan, vo, user_name, ended_at AS since FROM {table.TABLE}
            WHERE kind = 'grant' AND known_from <= $as_of AND ended_at >= $start - INTERVAL 60 DAYS
                AND ended_at < $end
            QUALIFY row_number() OVER (PARTITION BY global_job_id, ended_at ORDER BY version DESC) = 1
        )
    )
"""


def _records(plan: Plan) -> str:
    """SQL of the records of a window as they are read: corrected, and with what others know of them."""
    value = plan.values
    return f"""{_STANDING},
    -- What the factory and the registry know is added. The house's own test jobs go the way of pilots, and
    -- the name of none: where pilots are known, a job that is none of them is a job of its own.
    corrected AS (
        SELECT record.* EXCLUDE (vo, user_name, entry, kind, jobs, project, processors),
            coalesce({value[Field.VO]}, record.vo, pilot.vo, granted.vo) AS vo,
            coalesce({value[Field.PROJECT]}, record.project) AS project,
            coalesce({value[Field.PROCESSORS]}::DOUBLE::INTEGER, record.processors) AS processors,
            coalesce({value[Field.HS06]}::DOUBLE,
                CASE WHEN record.benchmark = 'HS06' THEN record.benchmark_value END) AS hs06,
            coalesce({value[Field.HEPSCORE23]}::DOUBLE,
                CASE WHEN record.benchmark = 'HEPscore23' THEN record.benchmark_value END) AS hepscore23,
            coalesce(granted.user_name, record.user_name) AS user_name,
            coalesce(record.entry, pilot.entry) AS entry,
            country.country AS country,
            CASE WHEN record.kind = 'pilot' AND record.pilot_id IS NOT NULL AND pilot.id IS NULL
                AND (SELECT count(*) > 0 FROM pilots) THEN 'batch' ELSE record.kind END AS kind,
            coalesce(record.jobs, 1) AS jobs
        FROM (SELECT * FROM single UNION ALL BY NAME SELECT * FROM latest) AS record
        LEFT JOIN pilots AS pilot ON pilot.id = record.pilot_id
        LEFT JOIN countries AS country ON country.site = record.site
        -- Batch systems number their jobs 4711; HTCondor's global id holds that as host#4711.0#time.
        LEFT JOIN granted ON record.kind = 'batch' AND record.vo IS NULL
            AND granted.id = regexp_replace(
                record.global_job_id, '^(?:[^#]*#)?([0-9]+)[.][0-9]+#.*$', '\\1'
            )
            AND coalesce(record.started_at, record.ended_at) >= granted.since
            AND coalesce(record.started_at, record.ended_at) < granted.until
        {plan.joins}
        WHERE ended_at >= $start AND ended_at < $end
    ),
    records AS (
        SELECT * EXCLUDE (suspect),
            cpu_user_seconds IS NOT NULL OR cpu_system_seconds IS NOT NULL AS measured,
            coalesce(cpu_user_seconds, 0) + coalesce(cpu_system_seconds, 0) AS cpu_seconds,
            wall_seconds * processors AS core_seconds,
            coalesce(cpu_user_seconds, 0) + coalesce(cpu_system_seconds, 0) > wall_seconds * processors
                AS suspect
        FROM corrected
    )
    """


_SUMS = """
    sum(jobs)::BIGINT AS jobs,
    sum(wall_seconds) AS wall_seconds,
    sum(core_seconds) AS core_seconds,
    sum(cpu_seconds) FILTER (measured) AS cpu_seconds,
    sum(core_seconds) FILTER (measured) AS cpu_core_seconds,
    coalesce(sum(jobs) FILTER (NOT measured), 0)::BIGINT AS jobs_without_cpu,
    coalesce(sum(jobs) FILTER (suspect), 0)::BIGINT AS suspects,
    count(*) AS records,
    coalesce(sum(jobs) FILTER (estimated), 0)::BIGINT AS estimated,
    sum(bytes)::BIGINT AS bytes,
    sum(core_seconds * hs06) AS hs06_seconds,
    sum(core_seconds * hepscore23) AS hepscore23_seconds
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
    #: Records behind the jobs: fewer where a record stands for several.
    records: int = 0
    #: Jobs whose times were worked out, for the source does not tell them.
    estimated: int = 0
    #: Bytes moved or taken, where the records tell any.
    bytes: int | None = None
    #: Σ core-seconds × benchmark of the records that tell one; None where none does.
    hs06_seconds: float | None = None
    hepscore23_seconds: float | None = None

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
    #: Country of each site of the registry.
    countries: Mapping[str, str] = field(default_factory=dict)
    #: The rules that are applied, as they stood at ``as_of``: see ``corrections``.
    corrections: Sequence[Standing] = ()

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
    columns = [f"coalesce({DIMENSIONS[name]}, '{UNKNOWN}') AS by_{name}" for name in question.dimensions]
    rules = plan(question.corrections)
    sql = f"""
        {_records(rules)}
        SELECT {", ".join([*columns, _SUMS])}
        FROM records WHERE CASE WHEN $kind IS NULL THEN kind NOT IN ('grant', 'sync') ELSE kind = $kind END
        {"GROUP BY ALL ORDER BY ALL" if columns else "HAVING count(*) > 0"}
    """
    answer = _ask(lake, sql, question, version, tables=rules.tables)
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


def standing(
    lake: Lake, *, window: Interval, as_of: datetime, kind: Kind | None = None, source: str | None = None
) -> pyarrow.Table:
    """The records that stood at a time and ended within a window, as they were sent."""
    table.declare(lake)
    columns = ", ".join(f"standing.{name}" for name in table.RECORD.names)
    sql = f"""
        {_STANDING}
        SELECT {columns} FROM (SELECT * FROM single UNION ALL BY NAME SELECT * FROM latest) AS standing
        WHERE ended_at >= $start AND ended_at < $end AND ($kind IS NULL OR kind = $kind)
            AND ($source IS NULL OR source = $source)
        ORDER BY ended_at, instance, global_job_id, attempt
    """
    question = Question(window=window, by=(), kind=kind, as_of=as_of)
    return _ask(lake, sql, question, lake.version(table.TABLE), more={"source": source})


def _ask(
    lake: Lake,
    sql: str,
    question: Question,
    version: int | None,
    *,
    more: Mapping[str, Any] | None = None,
    tables: Mapping[str, pyarrow.Table] | None = None,
) -> pyarrow.Table:
    pilots = pyarrow.table(
        {
            "id": pyarrow.array([pilot.id for pilot in question.pilots], pyarrow.string()),
            "vo": pyarrow.array([pilot.vo for pilot in question.pilots], pyarrow.string()),
            "entry": pyarrow.array([pilot.entry for pilot in question.pilots], pyarrow.string()),
        }
    )
    countries = pyarrow.table(
        {
            "site": pyarrow.array(question.countries.keys(), pyarrow.string()),
            "country": pyarrow.array(question.countries.values(), pyarrow.string()),
        }
    )
    params: dict[str, Any] = {
        "as_of": question.as_of,
        "start": question.window.start,
        "end": question.window.end,
        "kind": question.kind.value if question.kind else None,
        **(more or {}),
    }
    with lake.connection(table.TABLE, as_of_version=version) as connection:
        connection.register("pilots", pilots)
        connection.register("countries", countries)
        for name, rows in (tables or {}).items():
            connection.register(name, rows)
        try:
            return connection.sql(sql, params=params).to_arrow_table()
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise Temporary(f"the lake cannot be read now: {error}", retry_after=60.0) from error
