"""Which days of which source are complete, and which lack something, with the reason.

A day is missing when nothing of it was read. It is partial when the source says that something of it may be
lost, when it is not over or not read to its end, or when far fewer jobs ended than the source's own norm: the
median of its other days of the window. It is complete otherwise; a day on which the site was down is no gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from statistics import median

from opengoc.accounting.state import SourceState
from opengoc.accounting.usage import Question, usage
from opengoc.base.interval import Interval, day, union
from opengoc.store.lake import Lake

#: A day with less than this part of the norm is suspected to lack records.
_LEAST = 0.2
#: Fewer days than this, or fewer jobs on them, make no norm.
_DAYS, _JOBS = 4, 20


class Completeness(StrEnum):
    """How much of a day there is."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class DayState:
    """One day of one source."""

    source: str
    site: str | None
    day: date
    state: Completeness
    jobs: int
    #: What is lacking, or why less than usual is no lack; empty for an ordinary complete day.
    reason: str = ""


def day_states(
    lake: Lake,
    states: Sequence[SourceState],
    *,
    window: Interval,
    as_of: datetime,
    downtimes: Mapping[str, Sequence[Interval]],
) -> list[DayState]:
    """The state of each source on each UTC day of a bounded window that had begun at ``as_of``.

    ``downtimes`` are the outages of each site. Raises Temporary when the lake cannot be read.
    """
    assert window.end is not None
    answer = usage(lake, Question(window=window, by=("source", "day"), kind=None, as_of=as_of))
    counts: dict[tuple[str, date], int] = {}
    for row in answer.rows:
        key = (row.dimensions["source"], date.fromisoformat(row.dimensions["day"]))
        counts[key] = counts.get(key, 0) + row.jobs
    days = [(window.start + timedelta(days=n)).date() for n in range((window.end - window.start).days)]
    begun = [each for each in days if day(each).start <= as_of]
    return [
        _state(state, each, begun, counts, downtimes.get(state.site or "", ()))
        for state in states
        for each in begun
    ]


def _state(
    state: SourceState,
    of: date,
    days: Sequence[date],
    counts: Mapping[tuple[str, date], int],
    outages: Sequence[Interval],
) -> DayState:
    jobs = counts.get((state.source, of), 0)
    lacking = state.lacking(day(of))
    down = _down_hours(day(of), outages)
    others = [counts.get((state.source, each), 0) for each in days if each != of]
    norm = median(others) if len(others) >= _DAYS else 0.0
    unusual = norm >= _JOBS and jobs < _LEAST * norm
    if lacking:
        found = Completeness.PARTIAL if jobs else Completeness.MISSING
        reason = lacking
    elif unusual and not down:
        found, reason = Completeness.PARTIAL, f"{jobs} jobs ended where {norm:.0f} are usual"
    else:
        found = Completeness.COMPLETE
        reason = f"{jobs} jobs ended: the site was down for {down:.1f} hours" if unusual else ""
    return DayState(source=state.source, site=state.site, day=of, state=found, jobs=jobs, reason=reason)


def _down_hours(of: Interval, outages: Sequence[Interval]) -> float:
    parts = [part for outage in outages if (part := of.intersection(outage)) is not None]
    return sum(part.seconds for part in union(parts)) / 3600
