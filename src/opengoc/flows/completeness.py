"""How complete the usage records are: sources, runs, batches and counts against what is expected of them.

The registry's outages are laid over: a site that was down is explained, and no alarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from opengoc.accounting import expected, findings, runs, sequences, synced
from opengoc.accounting import state as accounting_state
from opengoc.accounting.expected import Expectation
from opengoc.accounting.findings import Finding
from opengoc.accounting.gaps import LACKING, DayState, Gap, Watched, day_states, gaps
from opengoc.accounting.norm import WEEKS
from opengoc.accounting.source import Source
from opengoc.accounting.state import SourceState, State
from opengoc.accounting.usage import Question, usage
from opengoc.base.errors import Conflict
from opengoc.base.interval import Interval, day
from opengoc.registry.downtime import Severity
from opengoc.registry.reading import load_registry
from opengoc.registry.snapshot import Registry
from opengoc.store.database import Database
from opengoc.store.lake import Lake

#: How far back a review looks, beside the gaps that are not closed.
_LOOK_BACK = timedelta(days=35)
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was found of all sources."""

    days: tuple[DayState, ...]
    gaps: tuple[Gap, ...]
    #: The sources that were looked at.
    sources: tuple[str, ...]

    def lacking(self) -> Mapping[str, str]:
        """Why days of each source lack; empty for one of which none does."""
        return {
            source: "; ".join(
                dict.fromkeys(e.reason for e in self.days if e.source == source and e.state in LACKING)
            )
            for source in self.sources
        }


def look(
    database: Database, lake: Lake, sources: Sequence[Source], *, window: Interval, as_of: datetime
) -> Looked:
    """Every expected source over a bounded window, as known at ``as_of``. Raises Temporary."""
    with database.read() as conn:
        registry = load_registry(conn, known_at=as_of)
        return look_at(
            watched(conn, lake, sources, registry, window=window, as_of=as_of), window=window, as_of=as_of
        )


def look_at(found: Sequence[Watched], *, window: Interval, as_of: datetime) -> Looked:
    """Sources, of which everything is known, over a window. Pure."""
    return Looked(
        days=tuple(each for one in found for each in day_states(one, window, as_of=as_of)),
        gaps=tuple(each for one in found for each in gaps(one, window, as_of=as_of)),
        sources=tuple(one.state.source for one in found),
    )


def review(database: Database, lake: Lake, sources: Sequence[Source], *, now: datetime) -> list[Finding]:
    """Look again at what may have changed, keep what is found, and give what is not closed.

    Raises Temporary when the lake cannot be read.
    """
    with database.read() as conn:
        since = findings.earliest(conn)
    start = day(min(now - _LOOK_BACK, since or now).date()).start
    window = Interval(start, day(now.date()).end)
    looked = look(database, lake, sources, window=window, as_of=now)
    try:
        return _keep(database, looked, window, now)
    except Conflict:
        # Somebody else reviewed meanwhile, and found the same.
        return _keep(database, looked, window, now)


def _keep(database: Database, looked: Looked, window: Interval, now: datetime) -> list[Finding]:
    with database.begin() as conn:
        gone = {each.gap.source for each in findings.standing(conn)} - set(looked.sources)
        # A source that is expected no more lacks nothing.
        findings.keep(conn, looked.gaps, sources={*looked.sources, *gone}, window=window, now=now)
        return findings.standing(conn)


def watched(
    conn: Connection,
    lake: Lake,
    sources: Sequence[Source],
    registry: Registry,
    *,
    window: Interval,
    as_of: datetime,
) -> list[Watched]:
    """All that is known of the completeness of the sources of the settings and of those that are expected."""
    expectations = expected.standing(conn, known_at=as_of)
    streams = sequences.standing(conn, known_at=as_of)
    told = runs.standing(conn, known_at=as_of)
    outages = _outages(registry)
    counts = _counts(lake, window, as_of)
    told_counts = synced.compared(lake, window, as_of=as_of)
    return [
        Watched(
            state=state,
            expectations=tuple(expected.of_source(expectations, state.source)),
            told=runs.told_by(run for run in told if run.source == state.source),
            holes=tuple(hole for each in streams if each.source == state.source for hole in each.holes),
            synced=tuple(each for each in told_counts if each.source == state.source),
            outages=tuple(outages.get(state.site or "", ())),
            counts=counts.get(state.source, {}),
        )
        for state in source_states(conn, sources, as_of)
    ]


def source_states(conn: Connection, sources: Sequence[Source], as_of: datetime | None) -> list[SourceState]:
    """The sources of the settings, then those that are only expected, each with how it stood (None: now)."""
    expectations = expected.standing(conn, known_at=as_of)
    found = accounting_state.load_all(conn, sources, known_at=as_of)
    names = {each.source for each in found}
    others = {each.source: each for each in expectations if each.source not in names}
    return [*found, *(_expected_state(conn, each, as_of) for each in others.values())]


def _expected_state(conn: Connection, of: Expectation, as_of: datetime | None) -> SourceState:
    known = accounting_state.load_named(conn, of.source, known_at=as_of)
    state = known.state if known is not None else State.NEVER
    return SourceState(
        source=of.source,
        kind=of.records.value,
        site=of.site,
        state=state,
        reason=known.reason if known is not None else "nothing came of it yet",
        read_through=known.read_through if known is not None else None,
        since=known.since if known is not None else None,
        imported=True,
    )


def _outages(registry: Registry) -> Mapping[str, list[Interval]]:
    """When a resource of each site was declared to be out."""
    found: dict[str, list[Interval]] = {}
    for downtime in registry.downtimes.values():
        resource = registry.resources.get(downtime.resource)
        if resource is not None and not downtime.cancelled and downtime.severity is Severity.OUTAGE:
            found.setdefault(resource.site, []).append(downtime.interval)
    return found


def _counts(lake: Lake, window: Interval, as_of: datetime) -> Mapping[str, Mapping[date, int]]:
    """Jobs that ended on each day, by source, from where norms begin on."""
    asked = Interval(window.start - timedelta(weeks=WEEKS), window.end)
    answer = usage(lake, Question(window=asked, by=("source", "day"), kind=None, as_of=as_of))
    found: dict[str, dict[date, int]] = {}
    for row in answer.rows:
        of = found.setdefault(row.dimensions["source"], {})
        on = date.fromisoformat(row.dimensions["day"])
        of[on] = of.get(on, 0) + row.jobs
    return found
