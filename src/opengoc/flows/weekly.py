"""The weekly report's inputs, gathered from every room: accounting, monitoring, factory, registry, notes.

Everything is asked as it was known at ``as_of``, so that the same question gives the same report later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from opengoc.accounting.source import Source
from opengoc.base.interval import Interval, week_name
from opengoc.base.interval import week as week_interval
from opengoc.factory import cycle
from opengoc.factory.model import SUBMISSION
from opengoc.flows.factory_news import applied_lines, finding_lines
from opengoc.flows.usage_weeks import usage_of_weeks, vo_name
from opengoc.monitoring import circumstances
from opengoc.monitoring import store as probe_store
from opengoc.monitoring.assess import Assessment, assess
from opengoc.monitoring.current import current_statuses
from opengoc.monitoring.model import Status, Target
from opengoc.monitoring.profile import Profile
from opengoc.monitoring.standing import service_states
from opengoc.registry.past import PastRegistries
from opengoc.registry.snapshot import Registry
from opengoc.reports.cycles import HOLDS, CycleRow, QueueRow, factory_week, job_spells, pilot_spells
from opengoc.reports.inputs import (
    DayUsage,
    DowntimeNews,
    FactoryWeek,
    Monitoring,
    ReportInputs,
    RunningSpell,
    ServiceStatus,
)
from opengoc.reports.model import Spell, SpellState, Strip
from opengoc.reports.notes import notes_of
from opengoc.reports.usage import PAYLOAD, PILOT
from opengoc.reports.wording import interval_text
from opengoc.store import facts, ledger
from opengoc.store.database import Database
from opengoc.store.facts import Fact
from opengoc.store.lake import Lake
from opengoc.store.ledger import EffectState

#: Downtimes are announced for the coming weeks: so far ahead the report looks.
_AHEAD = timedelta(days=14)
_PAGE = 1000
#: Half-open intervals that hold a moment end so much after it.
_INSTANT = timedelta(microseconds=1)

_SPELLS = {
    Status.OK: SpellState.OK,
    Status.WARNING: SpellState.WARNING,
    Status.CRITICAL: SpellState.CRITICAL,
    Status.DOWNTIME: SpellState.DOWNTIME,
}


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Where everything is, and what is expected of it."""

    database: Database
    lake: Lake
    #: The registry as it was known at any moment.
    registries: PastRegistries
    #: Every configured source of usage records.
    accounting: Sequence[Source] = ()
    #: Seconds between two runs of each check.
    intervals: Mapping[tuple[str, Target], float]
    #: A/R profile.
    profile: Profile
    #: Site of each factory entry in force; None where nobody knows.
    entry_sites: Mapping[str, str] | None


def gather(stores: Stores, week: str, *, as_of: datetime) -> ReportInputs:
    """All inputs of a week's report, as known at ``as_of``. Raises Temporary when a store is away."""
    window = week_interval(week)
    before = week_name(window.start - timedelta(days=1))
    registry = stores.registries.at(as_of)
    with stores.database.read() as conn:
        submitted = _submitted(conn, window, as_of)
        notes = notes_of(conn, week, known_at=as_of)
        news = tuple(_downtime_news(conn, registry, window, as_of))
        applied = tuple(applied_lines(conn, window, as_of=as_of))
        findings = tuple(finding_lines(conn, window, as_of=as_of))
    rows = _cycle_rows(stores.lake, window, as_of)
    (earlier, now), _ = usage_of_weeks(
        stores.database, stores.lake, stores.accounting, registry, (before, week), as_of=as_of
    )
    elapsed = _elapsed(window, as_of)
    if elapsed is not None:
        jobs = job_spells(_queue_rows(stores.lake, window, as_of), elapsed)
        pilots_seen = pilot_spells(rows, elapsed)
        now = replace(now, pilots=_named(pilots_seen, registry), jobs=_named(jobs, registry))
    return ReportInputs(
        vos=report_vos(registry, (*now.days, *earlier.days)),
        usage=now,
        before=earlier,
        monitoring=_monitoring(stores, registry, window, as_of),
        factory=replace(
            _factory(stores, rows, submitted, window, as_of),
            applied=applied,
            # Without a cycle no guard has looked.
            findings=findings if rows or findings else None,
        ),
        downtimes=news,
        downtimes_ahead=tuple(_ahead(registry, window)),
        notes=notes,
    )


def _submitted(conn: Connection, window: Interval, as_of: datetime) -> Counter[str]:
    """Pilots that arrived in the factory's queue within the week, by entry, as far as known."""
    elapsed = _elapsed(window, as_of + _INSTANT)
    if elapsed is None:
        return Counter()
    arrived = ledger.effects(conn, SUBMISSION, EffectState.SETTLED, settled=elapsed)
    return Counter(str(effect.payload["entry"]) for effect in arrived)


def report_vos(registry: Registry, days: Iterable[DayUsage] = ()) -> tuple[str, ...]:
    """The VOs of a report: those registered and in use, and those that used the grid all the same."""
    registered = {vo.name for vo in registry.vos.values() if vo.active and not vo.disabled}
    # A site's other jobs are of no VO.
    seen = {row.vo for row in days if row.kind in (PAYLOAD, PILOT)}
    return tuple(sorted(registered | seen, key=str.casefold))


def _monitoring(stores: Stores, registry: Registry, window: Interval, as_of: datetime) -> Monitoring:
    lake, database = stores.lake, stores.database
    probe_store.declare(lake)
    with database.read() as conn:
        known = circumstances.read(conn, window=window, known_at=as_of)
    assessed = assess(lake, known, window=window, profile=stores.profile, as_of=as_of)
    assert window.end is not None
    # What was known when the week ended: a report made later must not show a later state.
    moment = min(as_of, window.end)
    current = current_statuses(lake, database, now=moment, as_of=moment)
    states = service_states(registry, current, stores.intervals, now=moment)
    return Monitoring(
        figures=tuple(figure for site in assessed.sites for figure in assessed.figures(site)),
        strips=tuple(_strip(assessed, site, window) for site in assessed.sites),
        services=tuple(
            ServiceStatus(
                site=state.site,
                resource=state.target.resource,
                service=state.target.service,
                status=state.status.value,
                since=state.since,
                message=state.summary,
            )
            for state in states
        ),
        missing_reason="no service is registered or probed",
    )


def _strip(assessed: Assessment, site: str, window: Interval) -> Strip:
    spells: list[Spell] = []
    for interval, status in assessed.spells(site):
        state = _SPELLS.get(status, SpellState.UNKNOWN)
        if spells and spells[-1].state is state:
            interval = Interval(spells.pop().interval.start, interval.end)
        spells.append(Spell(interval=interval, state=state))
    seen_to = spells[-1].interval.end if spells else window.start
    if seen_to is not None and window.end is not None and seen_to < window.end:
        spells.append(Spell(interval=Interval(seen_to, window.end), state=SpellState.AHEAD))
    return Strip(name=site, spells=tuple(spells))


def _cycle_rows(lake: Lake, window: Interval, as_of: datetime) -> list[CycleRow]:
    lake.declare(cycle.TABLE, cycle.SCHEMA)
    found = lake.query(
        f'SELECT cycle_at, entry, vo, digest, "limit", detail, running, complete FROM {cycle.TABLE}'
        " WHERE cycle_at >= $start AND cycle_at < $end AND cycle_at <= $as_of ORDER BY cycle_at, entry, vo",
        {"start": window.start - HOLDS, "end": window.end, "as_of": as_of},
        tables=[cycle.TABLE],
    )
    return [
        CycleRow(
            at=row["cycle_at"].astimezone(UTC),
            entry=row["entry"],
            vo=row["vo"],
            digest=row["digest"],
            limit=row["limit"] or "",
            detail=row["detail"] or "",
            running=row["running"] or 0,
            complete=row["complete"],
        )
        for row in found.to_pylist()
    ]


def _elapsed(window: Interval, as_of: datetime) -> Interval | None:
    """The part of the week that is over."""
    return window.intersection(Interval(window.start, as_of)) if as_of > window.start else None


def _queue_rows(lake: Lake, window: Interval, as_of: datetime) -> list[QueueRow]:
    lake.declare(cycle.QUEUE_TABLE, cycle.QUEUE_SCHEMA)
    found = lake.query(
        f"SELECT cycle_at, vo, running, complete FROM {cycle.QUEUE_TABLE}"
        " WHERE cycle_at >= $start AND cycle_at < $end AND cycle_at <= $as_of ORDER BY cycle_at, vo",
        {"start": window.start - HOLDS, "end": window.end, "as_of": as_of},
        tables=[cycle.QUEUE_TABLE],
    )
    return [
        QueueRow(
            at=row["cycle_at"].astimezone(UTC),
            vo=row["vo"],
            running=row["running"],
            complete=row["complete"],
        )
        for row in found.to_pylist()
    ]


def _named(spells: Iterable[RunningSpell], registry: Registry) -> tuple[RunningSpell, ...]:
    """The spells with the registry's names of the VOs."""
    return tuple(
        replace(spell, running={vo_name(registry, vo): count for vo, count in spell.running.items()})
        for spell in spells
    )


def _factory(
    stores: Stores,
    rows: Sequence[CycleRow],
    submitted: Mapping[str, int],
    window: Interval,
    as_of: datetime,
) -> FactoryWeek:
    elapsed = _elapsed(window, as_of)
    if elapsed is None:
        return FactoryWeek(missing_reason="the week has not begun")
    return factory_week(rows, elapsed, submitted=submitted, sites=stores.entry_sites)


def _downtime_news(
    conn: Connection, registry: Registry, window: Interval, as_of: datetime
) -> Iterator[DowntimeNews]:
    """Downtimes as they became known within the week; long ended ones that were imported then are no news."""
    before: dict[str, Fact] = {}
    for fact in changes_after(conn, 0, kinds=["downtime"]):
        earlier = before.get(fact.key)
        before[fact.key] = fact
        if fact.known_from not in window or fact.known_from > as_of:
            continue
        if earlier is None and fact.valid.end is not None and fact.valid.end <= window.start:
            continue
        value = fact.value or (earlier.value if earlier is not None else None) or {}
        resource = value.get("resource", "unknown resource")
        known = registry.resources.get(resource)
        where = f"{resource} ({', '.join(value.get('services', ()))})"
        yield DowntimeNews(
            id=fact.key,
            what=_what(fact, earlier),
            at=fact.known_from,
            who=fact.who,
            where=f"{where} at {known.site}" if known is not None else where,
            interval=fact.valid,
            severity=value.get("severity", "severity not stated"),
            description=value.get("description", ""),
            why=fact.why if fact.why != value.get("description") else "",
        )


def _what(fact: Fact, earlier: Fact | None) -> str:
    if earlier is None or earlier.value is None:
        return "announced"
    if fact.value is None:
        return "withdrawn"
    was, is_now = (each.get("cancelled_at") is not None for each in (earlier.value, fact.value))
    if was == is_now:
        return "changed"
    return "cancelled" if is_now else "reinstated"


def changes_after(conn: Connection, seq: int, kinds: Sequence[str] | None = None) -> Iterator[Fact]:
    """The change feed after a number, to its end."""
    while True:
        page = facts.changes(conn, after=seq, limit=_PAGE, kinds=kinds)
        yield from page
        if len(page) < _PAGE:
            return
        seq = page[-1].seq


def _ahead(registry: Registry, window: Interval) -> Iterator[str]:
    """Downtimes that stand and touch the week or the two after it, as sentences."""
    assert window.end is not None
    shown = Interval(window.start, window.end + _AHEAD)
    standing = [d for d in registry.downtimes.values() if not d.cancelled and d.interval.overlaps(shown)]
    for downtime in sorted(standing, key=lambda d: (d.interval.start, d.id)):
        known = registry.resources.get(downtime.resource)
        where = f"{downtime.resource} ({', '.join(downtime.services)})"
        if known is not None:
            where += f" at {known.site}"
        words = f"{where}: {interval_text(downtime.interval)}, {downtime.severity.value}"
        yield f"{words} – {downtime.description}" if downtime.description else words
