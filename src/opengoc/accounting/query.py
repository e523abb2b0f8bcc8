"""Usage as Ibis expressions: the same question for every engine that reads the records' table. Pure.

Three steps, each an expression over the one before: the records that stand (``standing``), what each of them
counts under the rules (``counted``), and the sums of those by what is asked for (``summed``). Counts add up,
so that a table of partial sums can take the place of the first two steps: see ``summary``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import ibis
import pyarrow
from ibis import Table, Value, _

from opengoc.accounting import table
from opengoc.accounting.corrections import NEVER, Field, Shape
from opengoc.accounting.dimensions import CUT_TO, DIMENSIONS, UNKNOWN
from opengoc.accounting.model import EARLIEST
from opengoc.accounting.summary_table import COUNTS, KEY, SUMMARY, SUMMARY_TABLE
from opengoc.base.interval import Interval

#: What ``unusual`` tells.
RESTATED, GRANTED = "restated", "granted"
#: Tables that stand beside the records' in a question: what the factory and the registry know.
PILOTS, COUNTRIES = "pilots", "countries"
_PILOT_COLUMNS = {"known_pilot": "string", "pilot_vo": "string", "pilot_entry": "string"}
_COUNTRY_COLUMNS = {"country_site": "string", "country": "string"}
#: Days and sources that a question is restricted to.
PARTITIONS = "partitions"
_IDENTITY = ["instance", "global_job_id", "attempt"]
_TIME = "timestamp('UTC', 6)"
#: A grant is of jobs that end within this time after it.
_GRANT_HOLDS = timedelta(days=60)
#: Rules that change what is counted, whatever is asked for.
_COUNTING = (Field.PROCESSORS, Field.HS06, Field.HEPSCORE23)
#: Without the kind sums have no meaning, and without the pilot the kind is not known.
_ALWAYS = ("kind", "pilot_id")
_USED = [
    *_IDENTITY, "kind", "site", "resource", "vo", "user_name", "project", "queue", "started_at", "ended_at",
    "wall_seconds", "cpu_user_seconds", "cpu_system_seconds", "processors", "status", "pilot_id", "entry",
    "sequence", "jobs", "benchmark", "benchmark_value", "bytes", "estimated", table.PARTITION, "version",
    "source",
]  # fmt: skip


def usage_table() -> Table:
    """The table of records, by name."""
    return ibis.table(ibis.Schema.from_pyarrow(table.SCHEMA), name=table.TABLE)


def unusual(window: Interval, as_of: datetime) -> Table:
    """What a question has to reckon with, as rows of ``what``: ``restated`` records, ``granted`` jobs."""
    known = usage_table().filter(_.known_from <= _instant(as_of))
    restated = known.filter(_.version > 1).limit(1).select(what=ibis.literal(RESTATED))
    grants = _grants(window, as_of).limit(1).select(what=ibis.literal(GRANTED))
    return restated.union(grants)


def standing(
    window: Interval, as_of: datetime, columns: Collection[str] = _USED, *, restated: bool = True
) -> Table:
    """The version of each record that stood at a time, of those that ended within a bounded window.

    Only few records are ever ``restated``: all others stand as they are, and only those few are put in order.
    """
    if not restated:
        every = usage_table().filter(_.known_from <= _instant(as_of))
        return _within(every, window).select(*columns)
    known = usage_table().filter(_.known_from <= _instant(as_of)).select(*dict.fromkeys([*_USED, *columns]))
    again = known.filter(_.version > 1).select(*_IDENTITY).distinct()
    single = _within(known, window).anti_join(again, _IDENTITY)
    place = ibis.row_number().over(group_by=_IDENTITY, order_by=[ibis.desc("sequence"), ibis.desc("version")])
    ranked = known.semi_join(again, _IDENTITY).mutate(place=place)
    latest = _within(ranked.filter(_.place == 0), window)
    return single.select(*columns).union(latest.select(*columns))


def _within(records: Table, window: Interval) -> Table:
    """The records that ended within a window; the partition is named too, so that others are not opened."""
    assert window.end is not None
    first, last = window.start.astimezone(UTC).date(), window.end.astimezone(UTC).date()
    return records.filter(
        records[table.PARTITION] >= ibis.literal(first),
        records[table.PARTITION] <= ibis.literal(last),
        records.ended_at >= _instant(window.start),
        records.ended_at < _instant(window.end),
    )


def counted(records: Table, rules: Sequence[Shape], *, named: Collection[str], grants: Table | None) -> Table:
    """What each record counts: key columns as far as ``named``, ``user_name`` where asked for, and counts.

    Rules of ``corrections`` are applied, and a batch job without a VO gets that of its grant.
    """
    applied = [rule for rule in rules if rule.field in _COUNTING or rule.field.value in named]
    joined = _corrected(records, applied)
    grants = grants if {"vo", "user_name"} & set(named) else None
    if grants is not None:
        joined = _with_grants(joined, grants)

    def value(field: Field, otherwise: Value) -> Value:
        """That of the first rule that fits."""
        told = [joined[rule.column("value")] for rule in applied if rule.field is field]
        return ibis.coalesce(*told, otherwise)

    counts = _counts(
        joined,
        processors=value(Field.PROCESSORS, joined.processors),
        hs06=value(Field.HS06, _benchmark(joined, "HS06")),
        hepscore23=value(Field.HEPSCORE23, _benchmark(joined, "HEPscore23")),
    )
    keys = {name: joined[name] for name in (*KEY.names, "user_name") if name in joined.columns}
    keys["vo"] = value(Field.VO, joined.vo)
    keys["project"] = value(Field.PROJECT, joined.project)
    if grants is not None:
        keys["user_name"] = ibis.coalesce(joined.granted_user, joined.user_name)
    kept = {name: key for name, key in keys.items() if name in named or name in _ALWAYS}
    if "vo" in named:
        kept["granted_vo"] = _null("string") if grants is None else joined.granted_vo
    return joined.select(**kept, **counts)


def _counts(records: Table, *, processors: Value, hs06: Value, hepscore23: Value) -> dict[str, Value]:
    jobs = ibis.coalesce(records.jobs, _whole(1))
    user, system = records.cpu_user_seconds, records.cpu_system_seconds
    measured = user.notnull() | system.notnull()
    cpu = ibis.coalesce(user, 0.0) + ibis.coalesce(system, 0.0)
    core = records.wall_seconds * processors
    return {
        "jobs": jobs,
        "wall_seconds": records.wall_seconds,
        "core_seconds": core,
        "cpu_seconds": _where(measured, cpu),
        "cpu_core_seconds": _where(measured, core),
        "jobs_without_cpu": measured.ifelse(_whole(0), jobs),
        "suspects": (cpu > core).ifelse(jobs, _whole(0)),
        "records": _whole(1),
        "estimated": ibis.coalesce(records.estimated, False).ifelse(jobs, _whole(0)),
        "bytes": records.bytes.cast(_type(COUNTS.field("bytes"))),
        "hs06_seconds": core * hs06,
        "hepscore23_seconds": core * hepscore23,
        "jobs_without_hs06": hs06.isnull().ifelse(jobs, _whole(0)),
        "jobs_without_hepscore23": hepscore23.isnull().ifelse(jobs, _whole(0)),
    }


def _corrected(records: Table, rules: Sequence[Shape]) -> Table:
    """Records beside the value of each rule that fits; none twice: rules of a scope never overlap."""
    for rule in rules:
        beside = ibis.table(ibis.Schema.from_pyarrow(rule.rows().schema), name=rule.name)
        fits = [records[name] == beside[rule.column(name)] for name in rule.scope]
        begun = records.ended_at >= beside[rule.column("holds_from")]
        over = records.ended_at < beside[rule.column("holds_to")]
        records = records.left_join(beside, [*fits, begun, over]).select(
            *(records[name] for name in records.columns), beside[rule.column("value")]
        )
    return records


def _grants(window: Interval, as_of: datetime) -> Table:
    """Grants that jobs which end within a window may have."""
    # No record is older than that, and a calendar has a first day.
    since = Interval(window.start - _GRANT_HOLDS if window.start > EARLIEST else window.start, window.end)
    return _within(usage_table().filter(_.kind == "grant", _.known_from <= _instant(as_of)), since)


def granted(window: Interval, as_of: datetime) -> Table:
    """Whose batch jobs are, as their computing element logged it, and from when to when each grant holds."""
    told = _grants(window, as_of).select("global_job_id", "ended_at", "version", "vo", "user_name")
    newest = ibis.row_number().over(group_by=["global_job_id", "ended_at"], order_by=ibis.desc("version"))
    told = told.mutate(place=newest).filter(_.place == 0)
    following = told.ended_at.lead(1).over(group_by="global_job_id", order_by="ended_at")
    return told.select(
        grant_id=told.global_job_id,
        granted_vo=told.vo,
        granted_user=told.user_name,
        granted_from=told.ended_at,
        granted_to=ibis.coalesce(following, _instant(NEVER)),
    )


def _with_grants(records: Table, grants: Table) -> Table:
    """Records beside the last grant of their id before they started, no older at their end than it may be."""
    asks = (records.kind == "batch") & records.vo.isnull()
    batch_id = records.global_job_id.re_replace(table.BATCH_ID, r"\1")
    records = records.mutate(
        batch_id=asks.ifelse(batch_id, _null("string")),
        began=ibis.coalesce(records.started_at, records.ended_at),
        least=records.ended_at - ibis.interval(days=_GRANT_HOLDS.days),
    )
    return records.left_join(
        grants,
        [
            records.batch_id == grants.grant_id,
            records.began >= grants.granted_from,
            records.began < grants.granted_to,
            records.least <= grants.granted_from,
        ],
    )


def partial_sums(counts: Table) -> Table:
    """Counts of records as far as they can be summed before factory and registry are asked: by ``KEY``.

    A pilot is named where what the factory knows of it may say whose the job is.
    """
    asks = (counts.kind == "pilot") | counts.vo.isnull() | counts.entry.isnull()
    counts = counts.mutate(pilot_id=asks.ifelse(counts.pilot_id, _null("string")))
    return counts.group_by(KEY.names).aggregate(**_sums(counts))


def summary(window: Interval) -> Table:
    """The partial sums of whole days, as the table of ``summary`` keeps them."""
    assert window.end is not None
    kept = ibis.table(ibis.Schema.from_pyarrow(SUMMARY), name=SUMMARY_TABLE)
    first, end = window.start.astimezone(UTC).date(), window.end.astimezone(UTC).date()
    return kept.filter(
        kept[table.PARTITION] >= ibis.literal(first), kept[table.PARTITION] < ibis.literal(end)
    )


def span(window: Interval | None) -> Table:
    """The first and the last day of records, and when the last of them was learned, of a window or of all."""
    every = usage_table()
    chosen = every if window is None else _within(every, window)
    day = chosen[table.PARTITION]
    return chosen.aggregate(first=day.min(), last=day.max(), known=chosen.known_from.max())


def of_partitions(records: Table) -> Table:
    """The records of those days and sources that stand in the table ``PARTITIONS`` beside the question."""
    chosen = ibis.table({table.PARTITION: "date", "source": "string"}, name=PARTITIONS)
    return records.semi_join(chosen, [table.PARTITION, "source"])


def in_scope(rules: Sequence[Shape]) -> Table:
    """The days and sources of which some record, in any version, is in the scope of a rule."""
    found = [
        joined.filter(joined[rule.column("value")].notnull()).select(table.PARTITION, "source")
        for rule in rules
        for joined in [_corrected(usage_table(), [rule])]
    ]
    return ibis.union(*found, distinct=True) if len(found) > 1 else found[0].distinct()


def summed(counts: Table, by: Sequence[str], *, kind: str | None, pilots: bool, countries: bool) -> Table:
    """The sums of counts by some of ``DIMENSIONS``, named ``by_…``; times as their first day.

    What the factory knows of ``pilots`` and the registry of ``countries`` is added. The house's own test jobs
    go the way of pilots, and the name of none: where pilots are known, a job that is none of them is one of
    its own.
    """
    told = counts
    if pilots:
        known = ibis.table(_PILOT_COLUMNS, name=PILOTS)
        told = told.left_join(known, told.pilot_id == known.known_pilot)
        stray = (told.kind == "pilot") & told.pilot_id.notnull() & told.known_pilot.isnull()
        told = told.mutate(kind=stray.ifelse(ibis.literal("batch"), told.kind))
        if "entry" in by:
            told = told.mutate(entry=ibis.coalesce(told.entry, told.pilot_entry))
    if "vo" in by:
        others = [told.pilot_vo, told.granted_vo] if pilots else [told.granted_vo]
        told = told.mutate(vo=ibis.coalesce(told.vo, *others))
    if "country" in by and countries:
        places = ibis.table(_COUNTRY_COLUMNS, name=COUNTRIES)
        told = told.left_join(places, told.site == places.country_site)
    elif "country" in by:
        told = told.mutate(country=_null("string"))
    shown = told.filter(told.kind == kind if kind else told.kind.notin(("grant", "sync")))
    keys = {f"by_{name}": _dimension(shown, name) for name in by}
    return shown.group_by(**keys).aggregate(**_sums(shown)) if keys else shown.aggregate(**_sums(shown))


def _sums(counts: Table) -> dict[str, Value]:
    return {field.name: counts[field.name].sum().cast(_type(field)) for field in COUNTS}


def _dimension(told: Table, name: str) -> Value:
    column = told[DIMENSIONS[name]]
    if name in CUT_TO:
        return column.truncate(CUT_TO[name]).cast("date")
    return ibis.coalesce(column, UNKNOWN)


def _type(field: pyarrow.Field) -> str:
    if pyarrow.types.is_decimal(field.type):
        return f"decimal({field.type.precision}, {field.type.scale})"
    return "int64" if pyarrow.types.is_integer(field.type) else "float64"


def _benchmark(records: Table, name: str) -> Value:
    return _where(records.benchmark == name, records.benchmark_value)


def _where(condition: Value, value: Value) -> Value:
    # Not an aggregate's own filter: that of ClickHouse gives 0 where nothing passes it.
    return condition.ifelse(value, _null("float64"))


def _whole(number: int) -> Value:
    return ibis.literal(number, type="int64")


def _null(type_: str) -> Value:
    return ibis.null(type_)


def _instant(moment: datetime) -> Value:
    return ibis.literal(moment.astimezone(UTC), type=_TIME)
