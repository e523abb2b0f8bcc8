"""What the sources lack: the state of each day, and the gaps, each with its evidence. Pure.

A source that is expected and silent is a gap; one that is not expected and silent is none. Time in which the
site was down counts neither as silence nor towards the norm of a day (``norm``): what that explains is told,
and no alarm. It stays lacking all the same where it was not read: nobody knows what ran.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from opengoc.accounting.expected import SILENT_HOURS, Expectation
from opengoc.accounting.model import EARLIEST
from opengoc.accounting.norm import WEEKS, Norm, norm
from opengoc.accounting.runs import Told
from opengoc.accounting.sequences import Hole
from opengoc.accounting.state import SourceState, State
from opengoc.accounting.synced import Synced
from opengoc.base.instant import format_instant
from opengoc.base.interval import Interval, day, union

_HOUR = 3600.0
_DAY = timedelta(days=1)
#: Evidence that grows by the minute while a gap lasts.
GROWING = ("silent_hours", "site_down_hours")


class Completeness(StrEnum):
    """How much of a day there is."""

    COMPLETE = "complete"
    #: The day is not over, and was read so far.
    TO_DATE = "to date"
    PARTIAL = "partial"
    MISSING = "missing"
    #: Nothing is expected of it.
    NOT_EXPECTED = "not expected"


#: States in which a day lacks something.
LACKING = (Completeness.PARTIAL, Completeness.MISSING)


class What(StrEnum):
    """What kind of gap it is."""

    #: Not heard of, or not to be read.
    SILENT = "silent"
    #: Files went away, or were cut, before they were read.
    LOST = "lost"
    #: A run of what feeds the source failed and was not made good.
    RUN = "run"
    #: Batches whose numbers never came.
    SEQUENCE = "sequence"
    #: The source says that it sent another number of jobs.
    SYNC = "sync"
    #: Far fewer records than usual.
    FEW = "few"


@dataclass(frozen=True, kw_only=True)
class DayState:
    """One day of one source."""

    source: str
    #: What its records count.
    records: str
    site: str | None
    day: date
    state: Completeness
    jobs: int
    #: What is lacking, or why less than usual is no lack; empty for an ordinary complete day.
    reason: str = ""
    #: Why it is no alarm, e.g. that the site was down.
    explained: str = ""

    def to_json(self) -> dict[str, Any]:
        """The day as JSON values."""
        return {
            "source": self.source,
            "records": self.records,
            "site": self.site,
            "day": self.day.isoformat(),
            "state": self.state.value,
            "lacking": self.state in LACKING,
            "jobs": self.jobs,
            "reason": self.reason,
            "explained": self.explained,
        }


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Something that a source lacks."""

    source: str
    site: str | None
    what: What
    #: Records that ended in this time may lack.
    window: Interval
    reason: str
    #: The numbers behind it, as JSON values.
    evidence: Mapping[str, Any] = field(default_factory=dict)
    #: Why it is no alarm; empty for one that is.
    explained: str = ""
    #: Tells gaps of a source and kind apart, and stays the same while one lasts.
    mark: str

    @property
    def key(self) -> str:
        """Unique among all gaps."""
        return f"{self.source}/{self.what.value}/{self.mark}"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """All that is known of the completeness of one source."""

    state: SourceState
    #: When it is expected; empty: for as long as it is configured.
    expectations: tuple[Expectation, ...] = ()
    told: Told = field(default_factory=Told)
    holes: tuple[Hole, ...] = ()
    #: What it says that it sent, beside what is here.
    synced: tuple[Synced, ...] = ()
    #: When a resource of its site was declared to be out.
    outages: tuple[Interval, ...] = ()
    #: Jobs that ended on each day, from ``WEEKS`` before the window on.
    counts: Mapping[date, int] = field(default_factory=dict)
    #: What was found of days already: norms ask for the same days again and again.
    _found: dict[date, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def silent_hours(self) -> float:
        """For how long it may be silent."""
        return self.expectations[-1].silent_hours if self.expectations else SILENT_HOURS

    def expected(self, of: Interval) -> bool:
        """Whether anything of some time is expected."""
        return not self.expectations or any(each.interval.overlaps(of) for each in self.expectations)

    def lacking(self, of: date) -> str:
        """What was not read of a day; empty where all of it was, however many records there are."""
        if of not in self._found:
            self._found[of] = self._lacking(day(of))
        return self._found[of]

    def gap(
        self,
        what: What,
        window: Interval,
        reason: str,
        *,
        mark: str,
        evidence: Mapping[str, Any] | None = None,
        explained: str = "",
    ) -> Gap:
        """A gap of this source."""
        return Gap(
            source=self.state.source,
            site=self.state.site,
            what=what,
            window=window,
            reason=reason,
            evidence=evidence or {},
            explained=explained,
            mark=mark,
        )

    def _lacking(self, window: Interval) -> str:
        if _covers(self.told.settled, window):
            return ""
        for part, run in self.told.failed:
            if part.overlaps(window):
                return run.words
        holes = [hole for hole in self.holes if hole.around.overlaps(window)]
        if holes:
            return holes[0].words
        fewer = [each for each in self.synced if each.fewer and each.window.overlaps(window)]
        if fewer:
            return fewer[0].words
        if any(Interval(lost.start, lost.end).overlaps(window) for lost in self.state.gaps):
            return self._not_read(window)
        return "" if _covers(self.told.covered, window) else self._not_read(window)

    def _not_read(self, window: Interval) -> str:
        state, end = self.state, window.end
        read, since = state.read_through, state.since
        if (
            state.imported
            and state.state is State.OK
            and read
            and since
            and end
            and read < end
            and since < end
        ):
            # Nobody reads it from here: it tells of itself, or does not.
            return f"silent since {read:%Y-%m-%d %H:%M} UTC"
        # Who is lacking is said beside it.
        return self.state.lacking(window).removeprefix(f"{self.state.source}: ").removeprefix("its ")

    def norm(self, of: date) -> Norm | None:
        """What is usual on a day."""
        before = (of - timedelta(days=n) for n in range(WEEKS * 7, 0, -1))
        return norm(of, self.counts, [each for each in before if self._was_there(each)])

    def _was_there(self, of: date) -> bool:
        since = self.state.since
        begun = since is not None and day(of).start >= since - _DAY
        return begun and self.expected(day(of)) and not self.lacking(of)


def day_states(watched: Watched, window: Interval, *, as_of: datetime) -> list[DayState]:
    """The state of a source on each UTC day of a bounded window that had begun at ``as_of``."""
    return [_day_state(watched, each, as_of) for each in _days(window, as_of)]


def gaps(watched: Watched, window: Interval, *, as_of: datetime) -> list[Gap]:
    """What a source lacks of a bounded window, as known at ``as_of``."""
    found = [*_silence(watched, window, as_of), *_lost(watched), *_runs(watched), *_holes(watched)]
    found += _synced(watched)
    found += _few(watched, window, as_of)
    return [each for each in found if each.window.overlaps(window)]


def _day_state(watched: Watched, of: date, as_of: datetime) -> DayState:
    window, jobs = day(of), watched.counts.get(of, 0)
    assert window.end is not None
    reason = explained = ""
    lacking = watched.lacking(of)
    if not watched.expected(window):
        found, reason = Completeness.NOT_EXPECTED, "not expected"
    elif window.end > as_of and _is_read_today(watched, window):
        found = Completeness.TO_DATE
    elif lacking:
        found, reason = (Completeness.PARTIAL if jobs else Completeness.MISSING), lacking
        down = _hours(window, watched.outages)
        explained = _down_words(down) if down and 24 - down < min(watched.silent_hours, 24.0) else ""
    else:
        few = _few_on(watched, of) if window.end <= as_of else None
        found = Completeness.COMPLETE
        if few is not None:
            reason, explained = few.reason, few.explained
            found = Completeness.COMPLETE if explained else Completeness.PARTIAL
    return DayState(
        source=watched.state.source,
        records=watched.state.kind,
        site=watched.state.site,
        day=of,
        state=found,
        jobs=jobs,
        reason=reason,
        explained=explained,
    )


def _is_read_today(watched: Watched, today: Interval) -> bool:
    """Whether the day that runs was read within it, and nothing of it is known to lack."""
    state = watched.state
    read = state.read_through
    lost = any(Interval(each.start, each.end).overlaps(today) for each in state.gaps)
    failed = any(part.overlaps(today) for part, _ in watched.told.failed)
    return state.state is State.OK and read is not None and read >= today.start and not lost and not failed


def _silence(watched: Watched, window: Interval, as_of: datetime) -> Iterator[Gap]:
    """Stretches for which the source was not heard of longer than it may be."""
    state, allowed = watched.state, watched.silent_hours
    heard = max(
        [each.end for each in watched.told.covered if each.end] + [state.read_through or _never(watched)]
    )
    stretches = [each.interval for each in watched.expectations] or [Interval(_never(watched))]
    for stretch in stretches:
        start, end = max(heard, stretch.start), min(as_of, stretch.end or as_of)
        if start >= end:
            continue
        quiet = Interval(start, end)
        unexplained = quiet.seconds / _HOUR - _hours(quiet, watched.outages)
        broken = state.state is State.MISSING or (state.state is State.NEVER and not watched.expectations)
        if quiet.seconds / _HOUR <= allowed and not broken:
            continue
        said = state.reason if broken else f"silent since {heard:%Y-%m-%d %H:%M} UTC"
        if heard <= stretch.start and not broken:
            said = f"nothing came since it is expected, {stretch.start:%Y-%m-%d %H:%M} UTC"
        never = not state.read_through and not watched.expectations
        yield watched.gap(
            What.SILENT,
            Interval(max(start, window.start), end) if never and window.start < end else quiet,
            said,
            evidence={
                "heard": format_instant(state.read_through) if state.read_through else None,
                "silent_hours": round(quiet.seconds / _HOUR, 2),
                "site_down_hours": round(quiet.seconds / _HOUR - unexplained, 2),
                "allowed_hours": allowed,
                "state": state.state.value,
            },
            explained="the site was down" if unexplained <= allowed and watched.outages else "",
            mark="never" if never else format_instant(start),
        )


def _never(watched: Watched) -> datetime:
    """From when on a source that was never heard of is silent."""
    if watched.expectations:
        return watched.expectations[0].interval.start
    return watched.state.since or EARLIEST


def _lost(watched: Watched) -> Iterator[Gap]:
    for lost in watched.state.gaps:
        window = Interval(lost.start, lost.end)
        if not _covers(watched.told.settled, window):
            yield watched.gap(What.LOST, window, lost.reason, mark=format_instant(lost.start))


def _runs(watched: Watched) -> Iterator[Gap]:
    for part, run in watched.told.failed:
        told = {"outcome": run.outcome.value, "backlog": run.backlog, "told_at": format_instant(run.at)}
        yield watched.gap(What.RUN, part, run.words, evidence=told, mark=format_instant(part.start))


def _holes(watched: Watched) -> Iterator[Gap]:
    for hole in watched.holes:
        if not _covers(watched.told.settled, hole.around):
            numbers = {
                "first": hole.first,
                "last": hole.last,
                "noticed_at": format_instant(hole.noticed_at),
            }
            mark = f"{format_instant(hole.around.start)}/{hole.first}"
            yield watched.gap(What.SEQUENCE, hole.around, hole.words, evidence=numbers, mark=mark)


def _synced(watched: Watched) -> Iterator[Gap]:
    for each in watched.synced:
        if each.differs and not _covers(watched.told.settled, each.window):
            counts = {"said": each.said, "here": each.here, "told_at": format_instant(each.told_at)}
            mark = f"{each.month.start:%Y-%m}/{each.site}/{each.host or ''}"
            yield watched.gap(What.SYNC, each.window, each.words, evidence=counts, mark=mark)


def _few(watched: Watched, window: Interval, as_of: datetime) -> Iterator[Gap]:
    for each in _days(window, as_of):
        span = day(each)
        if span.end is None or span.end > as_of or not watched.expected(span) or watched.lacking(each):
            continue
        few = _few_on(watched, each)
        if few is not None:
            yield few


def _few_on(watched: Watched, of: date) -> Gap | None:
    """What a day has less than usual; None for an ordinary one."""
    jobs, usual, span = watched.counts.get(of, 0), watched.norm(of), day(of)
    if usual is None or jobs >= usual.least() or _covers(watched.told.settled, span):
        return None
    down = _hours(span, watched.outages)
    explained = down > 0 and jobs >= usual.least(1 - down / 24)
    return watched.gap(
        What.FEW,
        span,
        f"{jobs} jobs ended where {usual.jobs:.0f} are usual",
        evidence={
            "jobs": jobs,
            "usual": usual.jobs,
            "least": round(usual.least(), 1),
            "days": usual.days,
            "site_down_hours": round(down, 2),
        },
        explained=_down_words(down) if explained else "",
        mark=of.isoformat(),
    )


def _down_words(hours: float) -> str:
    return f"the site was down for {hours:.1f} hours"


def _days(window: Interval, as_of: datetime) -> list[date]:
    assert window.end is not None
    count = -(-(window.end - window.start) // _DAY)
    every = [(window.start + n * _DAY).date() for n in range(count)]
    return [each for each in every if day(each).start <= as_of]


def _hours(of: Interval, outages: Sequence[Interval]) -> float:
    parts = [part for outage in outages if (part := of.intersection(outage)) is not None]
    return sum(part.seconds for part in union(parts)) / _HOUR


def _covers(parts: Sequence[Interval], window: Interval) -> bool:
    return any(
        each.start <= window.start
        and (each.end is None or (window.end is not None and window.end <= each.end))
        for each in parts
    )
