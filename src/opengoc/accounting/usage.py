"""Who used what: sums over usage records, by what one asks for, as they were known at a time.

A record belongs to the window in which it ended. Of several versions of a record the one that stood at
``as_of`` counts: the highest sequence of its source, of equal ones the one stored last. Pilots and payloads
run inside one another and are never added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow

from opengoc.accounting import summary, table
from opengoc.accounting.corrections import Standing, require, shapes
from opengoc.accounting.dimensions import DIMENSIONS as DIMENSIONS
from opengoc.accounting.dimensions import UNKNOWN as UNKNOWN
from opengoc.accounting.dimensions import written
from opengoc.accounting.model import Kind
from opengoc.accounting.summary_table import SUMMARY_TABLE
from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.store.engine import DuckDb, Engine, statement
from opengoc.store.lake import Lake

if TYPE_CHECKING:
    from ibis import Table


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
    #: Jobs left out of those two.
    jobs_without_hs06: int = 0
    jobs_without_hepscore23: int = 0

    @property
    def cpu_efficiency(self) -> float | None:
        """CPU / (wall × processors) of the jobs that measured CPU; None where that is not defined."""
        if self.cpu_seconds is None or not self.cpu_core_seconds:
            return None
        return self.cpu_seconds / self.cpu_core_seconds


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the usage records.

    Raises InvalidInput for what cannot be asked, and Permanent for ``corrections`` that are not ``rule_set``.
    """

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
    #: The set that those rules must be, as a published figure names it; None: no figure is made again.
    rule_set: str | None = None

    def __post_init__(self) -> None:
        strange = [name for name in self.by if name not in DIMENSIONS]
        if strange or len(set(self.by)) != len(self.by):
            raise InvalidInput("by", ",".join(self.by), f"must be some of {', '.join(DIMENSIONS)}, each once")
        if self.window.end is None:
            raise InvalidInput("window", str(self.window), "must have an end")
        if self.rule_set is not None:
            require(self.corrections, self.rule_set, self.as_of)

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
    #: Version of the summary that gave the same at less cost; None where the records were asked.
    summary_version: int | None = None


def usage(lake: Lake, question: Question) -> Usage:
    """Sum up the records that answer a question, or the sums that ``summary`` keeps of them.

    Raises Temporary when the lake cannot be read.
    """
    table.declare(lake)
    version = lake.version(table.TABLE)
    summarised = summary.covering(lake, question, version)
    if summarised is not None:
        from opengoc.accounting import query

        with DuckDb(lake, SUMMARY_TABLE, versions={SUMMARY_TABLE: summarised}) as engine:
            rows = summed(engine, query.summary(question.window), question, {})
    else:
        with DuckDb(
            lake, table.TABLE, versions={table.TABLE: version} if version is not None else {}
        ) as engine:
            rows = answer(engine, question)
    return Usage(question=question, rows=rows, table_version=version, summary_version=summarised)


def answer(engine: Engine, question: Question) -> tuple[UsageRow, ...]:
    """The same, of any engine that has the records' table. Raises Temporary."""
    # Ibis takes a third of a second to load: commands that ask nothing go without.
    from opengoc.accounting import query

    rules = shapes([each.rule for each in question.corrections])
    window, as_of = question.window, question.as_of
    unusual = engine.ask(query.unusual(window, as_of), {})["what"].to_pylist()
    records = query.standing(window, as_of, restated=query.RESTATED in unusual)
    grants = query.granted(window, as_of) if query.GRANTED in unusual else None
    named = {DIMENSIONS[name] for name in question.dimensions} | {"site"}
    counts = query.counted(records, rules, named=named, grants=grants)
    return summed(engine, counts, question, {rule.name: rule.rows() for rule in rules})


def summed(
    engine: Engine, counts: Table, question: Question, beside: Mapping[str, pyarrow.Table]
) -> tuple[UsageRow, ...]:
    """The rows of an answer, from what is counted of records, or of many of them together."""
    found = engine.ask(_sums(counts, question), {**beside, **_known(question)})
    rows = [
        UsageRow(
            dimensions={name: written(name, row.pop(f"by_{name}")) for name in question.dimensions},
            bytes=None if (moved := row.pop("bytes")) is None else int(moved),
            **row,
        )
        for row in found.to_pylist()
        # The sum of no record at all is a row of nulls.
        if row["records"]
    ]
    return tuple(sorted(rows, key=lambda row: tuple(row.dimensions.values())))


def _sums(counts: Table, question: Question) -> Table:
    from opengoc.accounting import query

    return query.summed(
        counts,
        question.dimensions,
        kind=question.kind.value if question.kind else None,
        pilots=bool(question.pilots),
        countries=bool(question.countries),
    )


def _known(question: Question) -> dict[str, pyarrow.Table]:
    """What the factory and the registry know, as tables that a question names."""
    pilots: dict[str, list[str | None]] = {
        "known_pilot": [pilot.id for pilot in question.pilots],
        "pilot_vo": [pilot.vo for pilot in question.pilots],
        "pilot_entry": [pilot.entry for pilot in question.pilots],
    }
    places: dict[str, list[str | None]] = {
        "country_site": list(question.countries),
        "country": list(question.countries.values()),
    }
    return {"pilots": _texts(pilots), "countries": _texts(places)}


def _texts(columns: Mapping[str, Sequence[str | None]]) -> pyarrow.Table:
    return pyarrow.table({name: pyarrow.array(each, pyarrow.string()) for name, each in columns.items()})


def standing(
    lake: Lake, *, window: Interval, as_of: datetime, kind: Kind | None = None, source: str | None = None
) -> pyarrow.Table:
    """The records that stood at a time and ended within a window, as they were sent."""
    from opengoc.accounting import query

    table.declare(lake)
    records = query.standing(window, as_of, columns=[*table.RECORD.names, "source"])
    if kind is not None:
        records = records.filter(records.kind == kind.value)
    if source is not None:
        records = records.filter(records.source == source)
    records = records.select(*table.RECORD.names).order_by("ended_at", "instance", "global_job_id", "attempt")
    with DuckDb(lake, table.TABLE) as engine:
        return engine.ask(records, {})


def sql(question: Question, dialect: str) -> str:
    """One statement that asks an engine elsewhere the same: ``clickhouse``, ``duckdb`` or ``postgres``.

    The table of records has to be there under its name; what factory, registry and corrections say stands in
    the statement itself. Times that are summed by come as their first day, and rows in no order.
    """
    from opengoc.accounting import query

    rules = shapes([each.rule for each in question.corrections])
    window, as_of = question.window, question.as_of
    named = {DIMENSIONS[name] for name in question.dimensions} | {"site"}
    counts = query.counted(
        query.standing(window, as_of), rules, named=named, grants=query.granted(window, as_of)
    )
    beside = {rule.name: rule.rows() for rule in rules} | _known(question)
    return statement(_sums(counts, question), beside, dialect)
