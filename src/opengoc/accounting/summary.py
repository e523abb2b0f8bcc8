"""Usage summed up by day and source, so that a question over years need not read every record.

The summary is one table of the lake. What changed is not noted anywhere: the log of the records' table tells
which batches came since, and the change feed of facts which rules. The partitions (day × source) that these
touch are computed anew from the records and put in place of the old ones, never updated in place. The same
commit keeps how far the summary then reaches; a process killed anywhere leaves the summary as it was, and
a question that it does not reach asks the records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pyarrow
from sqlalchemy import Connection

from opengoc.accounting import corrections, table
from opengoc.accounting.corrections import NEVER, Correction, Standing, shapes
from opengoc.accounting.summary_table import SUMMARY, SUMMARY_TABLE
from opengoc.base.interval import Interval, day
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.engine import DuckDb
from opengoc.store.lake import Changes, Lake, asking

if TYPE_CHECKING:
    from opengoc.accounting.usage import Question

#: What the summary cannot be asked by: there are nearly as many users as jobs.
_LEFT_OUT = frozenset({"user"})
#: Another number makes every summary be built anew: for a release that counts otherwise.
_FORM = 2
#: What the summary reaches: the version of the records' table, the latest time at which one of its rows was
#: learned (microseconds), the rules that were applied (their digest), and the change that made them last.
_VERSION, _KNOWN, _RULES, _CHANGE = (f"{name}/{_FORM}" for name in ("version", "known", "rules", "change"))
_MARKS = (_VERSION, _KNOWN, _RULES, _CHANGE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Partition = tuple[date, str]

# Rows that came. Their days are named as a range too: only that keeps DuckDB from opening all others.
_ADDED = f"""
    CREATE TEMP TABLE added AS
    SELECT ended_on, source, kind, version, instance, global_job_id, attempt FROM {table.TABLE}
    WHERE ended_on BETWEEN $first AND $last AND ended_on IN (FROM days) AND batch_id IN (FROM batches)
"""
# Their partitions; and all of a day that the log names where no row of a batch is found.
_OWN = f"""
    SELECT DISTINCT ended_on, source FROM added
    UNION
    SELECT ended_on, source FROM {table.TABLE}
    WHERE ended_on BETWEEN $first AND $last AND ended_on IN (FROM days ANTI JOIN added USING (ended_on))
"""
_OTHER_VERSIONS = f"""
    SELECT DISTINCT ended_on, source FROM {table.TABLE}
    SEMI JOIN (FROM added WHERE version > 1) AS again USING (instance, global_job_id, attempt)
"""
_JOBS_OF_GRANTS = f"""
    SELECT DISTINCT ended_on, source FROM {table.TABLE}
    WHERE kind = 'batch' AND vo IS NULL
        AND regexp_replace(global_job_id, '{table.BATCH_ID}', '\\1')
            IN (SELECT global_job_id FROM added WHERE kind = 'grant')
"""


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What a refresh did."""

    #: Days of sources that were computed; all of them where it was ``rebuilt``.
    partitions: int
    rows: int
    rebuilt: bool
    #: Version of the records' table that the summary now reaches; None while there is none.
    table_version: int | None


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """The rules of a moment, and what has changed of them."""

    standing: Sequence[Standing]
    #: Number of the last change of any rule.
    change: int
    #: Rules that were stated, changed or withdrawn since the summary was made.
    changed: Sequence[Correction]


def covering(lake: Lake, question: Question, table_version: int | None) -> int | None:
    """The version of the summary that answers a question as the records would; None where none does.

    It has to be of whole days, by what the summary tells apart, under the rules that were applied, and of
    nothing less than all that was known.
    """
    lake.declare(SUMMARY_TABLE, SUMMARY)
    version = lake.version(SUMMARY_TABLE)
    if version is None or table_version is None or _LEFT_OUT & set(question.by):
        return None
    if not _of_whole_days(question.window):
        return None
    marks = lake.marks(SUMMARY_TABLE, _MARKS, version=version)
    if not marks or marks[_RULES] != corrections.rule_set(question.corrections).number:
        return None
    if marks[_VERSION] > table_version or _EPOCH + marks[_KNOWN] * _MICROSECOND > question.as_of:
        return None
    changes = lake.changes(table.TABLE, after=marks[_VERSION], until=table_version)
    return version if changes is not None and not changes.partitions else None


def _of_whole_days(window: Interval) -> bool:
    ends = (window.start, window.end) if window.end else ()
    return bool(ends) and all(each.astimezone(UTC).time() == time() for each in ends)


def refresh(lake: Lake, database: Database) -> Refreshed:
    """Bring the summary up to date with records and rules; only what changed is computed.

    Raises Temporary when a store is away, the disk is full, or another process refreshes at the same time:
    the summary is then as it was.
    """
    table.declare(lake)
    lake.declare(SUMMARY_TABLE, SUMMARY)
    version = lake.version(table.TABLE)
    if version is None:
        return Refreshed(partitions=0, rows=0, rebuilt=False, table_version=None)
    at = lake.version(SUMMARY_TABLE)
    marks = lake.marks(SUMMARY_TABLE, _MARKS, version=at)
    with database.read() as conn:
        rules = _rules(conn, marks.get(_CHANGE))
    touched = _touched(lake, version, marks, rules)
    if touched == set() and marks[_VERSION] == version and marks[_CHANGE] == rules.change:
        return Refreshed(partitions=0, rows=0, rebuilt=False, table_version=version)
    computed, known = _computed(lake, version, rules.standing, touched)
    rows = computed if touched is None else _beside_untouched(lake, at, computed, touched)
    lake.replace(
        SUMMARY_TABLE,
        rows,
        expect=at,
        partition=table.PARTITION,
        days=None if touched is None else {each for each, _ in touched},
        marks={
            _VERSION: version,
            _KNOWN: known if touched is None else max(known, marks[_KNOWN]),
            _RULES: corrections.rule_set(rules.standing).number,
            _CHANGE: rules.change,
        },
    )
    partitions = set(_partitions(computed)) if touched is None else touched
    return Refreshed(
        partitions=len(partitions), rows=len(computed), rebuilt=touched is None, table_version=version
    )


def _rules(conn: Connection, change: int | None) -> _Rules:
    """The rules as they stand, and those that changed after a change, in one snapshot of the database."""
    changed: list[Correction] = []
    last = change or 0
    while page := facts.changes(conn, after=last, kinds=[corrections.KIND]):
        last = page[-1].seq
        changed += [corrections.rule_of(facts.history(conn, corrections.KIND, fact.key)[0]) for fact in page]
    return _Rules(standing=corrections.standing(conn), change=last, changed=changed)


def _touched(lake: Lake, version: int, marks: Mapping[str, int], rules: _Rules) -> set[Partition] | None:
    """The partitions that are not as they should be; None when that is not known: all of them then."""
    reached = marks.get(_VERSION)
    if reached is None or reached > version:
        return None
    if not rules.changed and marks[_RULES] != corrections.rule_set(rules.standing).number:
        # A database that was put back tells of no change.
        return None
    changes = lake.changes(table.TABLE, after=reached, until=version)
    if changes is None:
        return None
    found = _added(lake, version, changes) if changes.partitions else set()
    if rules.changed:
        from opengoc.accounting import query

        changed = shapes(rules.changed)
        with DuckDb(lake, table.TABLE, versions={table.TABLE: version}) as engine:
            rows = engine.ask(query.in_scope(changed), {shape.name: shape.rows() for shape in changed})
        found |= set(_partitions(rows))
    return found


def _added(lake: Lake, version: int, changes: Changes) -> set[Partition]:
    """The partitions that batches touch: of their rows, of what these restate, of jobs that they grant."""
    days = sorted(map(date.fromisoformat, changes.partitions))
    batches = pyarrow.array(sorted(changes.batches), pyarrow.string())
    bounds = {"first": days[0], "last": days[-1]}
    with lake.connection(table.TABLE, as_of_version=version) as connection, asking():
        connection.register("days", pyarrow.table({"ended_on": pyarrow.array(days, pyarrow.date32())}))
        connection.register("batches", pyarrow.table({"batch_id": batches}))
        connection.execute(_ADDED, bounds)
        asked = [connection.sql(_OWN, params=bounds)]
        restate, grant = connection.sql(
            "SELECT max(version) > 1, bool_or(kind = 'grant') FROM added"
        ).fetchall()[0]
        if restate:
            asked.append(connection.sql(_OTHER_VERSIONS))
        if grant:
            asked.append(connection.sql(_JOBS_OF_GRANTS))
        return {partition for rows in asked for partition in _partitions(rows.to_arrow_table())}


def _computed(
    lake: Lake, version: int, rules: Sequence[Standing], touched: Collection[Partition] | None
) -> tuple[pyarrow.Table, int]:
    """The partial sums of partitions (None: of all), and when the last of their records was learned."""
    from opengoc.accounting import query

    window = None
    if touched is not None:
        if not touched:
            return SUMMARY.empty_table(), 0
        window = _window(min(each for each, _ in touched), max(each for each, _ in touched))
    with DuckDb(lake, table.TABLE, versions={table.TABLE: version}) as engine:
        (span,) = engine.ask(query.span(window), {}).to_pylist()
        if span["first"] is None:
            return SUMMARY.empty_table(), 0
        window = window or _window(span["first"], span["last"])
        unusual = engine.ask(query.unusual(window, NEVER), {})["what"].to_pylist()
        records = query.standing(window, NEVER, restated=query.RESTATED in unusual)
        beside: dict[str, pyarrow.Table] = {}
        if touched is not None:
            records, beside = query.of_partitions(records), {query.PARTITIONS: _table(touched)}
        grants = query.granted(window, NEVER) if query.GRANTED in unusual else None
        applied = shapes([each.rule for each in rules])
        counts = query.counted(records, applied, named=SUMMARY.names, grants=grants)
        beside |= {shape.name: shape.rows() for shape in applied}
        return engine.ask(query.partial_sums(counts), beside), (span["known"] - _EPOCH) // _MICROSECOND


def _window(first: date, last: date) -> Interval:
    return Interval(day(first).start, day(last).start + timedelta(days=1))


def _beside_untouched(
    lake: Lake, at: int | None, computed: pyarrow.Table, touched: Collection[Partition]
) -> pyarrow.Table:
    """What was computed, and the rows of other sources of the same days as they are."""
    with lake.connection(SUMMARY_TABLE, as_of_version=at) as connection, asking():
        connection.register("touched", _table(touched))
        connection.register("computed", computed)
        rows = connection.sql(
            f"""
            FROM computed UNION ALL BY NAME FROM {SUMMARY_TABLE}
            SEMI JOIN touched USING (ended_on) ANTI JOIN touched USING (ended_on, source)
            """
        )
        return rows.to_arrow_table()


def _partitions(rows: pyarrow.Table) -> Iterator[Partition]:
    return zip(rows[table.PARTITION].to_pylist(), rows["source"].to_pylist(), strict=True)


def _table(partitions: Collection[Partition]) -> pyarrow.Table:
    rows = [{table.PARTITION: each, "source": source} for each, source in sorted(partitions)]
    schema = pyarrow.schema([SUMMARY.field(table.PARTITION), SUMMARY.field("source")])
    return pyarrow.Table.from_pylist(rows, schema=schema)
