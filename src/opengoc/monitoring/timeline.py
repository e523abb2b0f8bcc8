"""State of one node over time, in whole seconds, exact: from results to a timeline, and timelines combined.

Pure. Times are integers, seconds since 1970-01-01T00:00:00Z; intervals are half-open. What comes out depends
on the set of results alone, never on the order or the number of times they came in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter

from opengoc.base.errors import InvalidInput
from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring.model import Status
from opengoc.monitoring.profile import CarriedDaily, FreshFor, Precedence

#: One result: the second it was had, and what it said.
Sample = tuple[int, Status]

#: Results that say the same one after the other: seconds of the first and the last, and what they say. Under
#: ``FreshFor`` no two neighbours lie as far apart as a result stands, and UNKNOWN results stand alone; under
#: ``CarriedDaily`` all are of one UTC day.
Reading = tuple[int, int, Status]

#: One run of a timeline: [start, end) and its state.
Run = tuple[int, int, Status]

#: Disjoint [start, end) in order.
Spans = tuple[tuple[int, int], ...]

#: Of two different results of one metric in the same second the graver one stands, whichever came first.
GRAVITY = {
    status: rank
    for rank, status in enumerate(
        (
            Status.EXCLUDED,
            Status.MISSING,
            Status.UNKNOWN,
            Status.OK,
            Status.WARNING,
            Status.DOWNTIME,
            Status.CRITICAL,
        )
    )
}


@dataclass(frozen=True)
class Timeline:
    """The state of one node in every second of [start, end).

    ``changes`` are (second, state) in order, the first at the start, neighbours different.
    """

    changes: tuple[Sample, ...]
    end: int

    @property
    def start(self) -> int:
        """First second."""
        return self.changes[0][0]

    def runs(self) -> Iterator[Run]:
        """The maximal runs of one state, in order and without holes."""
        following = chain((change[0] for change in self.changes[1:]), (self.end,))
        return ((start, end, state) for (start, state), end in zip(self.changes, following, strict=True))

    def seconds(self) -> dict[Status, int]:
        """Whole seconds in each state that occurs."""
        totals: dict[Status, int] = {}
        for start, end, state in self.runs():
            totals[state] = totals.get(state, 0) + end - start
        return totals

    def seconds_by_day(self) -> dict[int, dict[Status, int]]:
        """Whole seconds in each state for each UTC day touched; a day is its first second."""
        first = self.start - self.start % SECONDS_PER_DAY
        if self.end <= first + SECONDS_PER_DAY:
            return {first: self.seconds()}
        days: dict[int, dict[Status, int]] = {}
        for start, end, state in self.runs():
            at = start
            while at < end:
                day = at - at % SECONDS_PER_DAY
                until = min(end, day + SECONDS_PER_DAY)
                totals = days.setdefault(day, {})
                totals[state] = totals.get(state, 0) + until - at
                at = until
        return days


def by_day(timeline: Timeline) -> list[Timeline]:
    """The timeline in pieces, one for each UTC day that it touches."""
    pieces, changes = [], timeline.changes
    index = 0
    for day in range(timeline.start - timeline.start % SECONDS_PER_DAY, timeline.end, SECONDS_PER_DAY):
        start, end = max(day, timeline.start), min(day + SECONDS_PER_DAY, timeline.end)
        first = index
        while index + 1 < len(changes) and changes[index + 1][0] < end:
            index += 1
        opening = (start, changes[first][1])
        if first + 1 <= index and changes[first + 1][0] == start:
            first += 1
            opening = changes[first]
        pieces.append(Timeline((opening, *changes[first + 1 : index + 1]), end))
    return pieces


def joined(pieces: Sequence[Timeline]) -> Timeline:
    """Pieces that follow one another as one timeline again."""
    changes: list[Sample] = []
    for piece in pieces:
        same = changes and changes[-1][1] is piece.changes[0][1]
        changes += piece.changes[1:] if same else piece.changes
    return Timeline(tuple(changes), pieces[-1].end)


def constant(state: Status, start: int, end: int) -> Timeline:
    """One state throughout [start, end). Raises InvalidInput when that is empty."""
    return from_changes([(start, state)], start, end)


def from_changes(changes: Iterable[Sample], start: int, end: int) -> Timeline:
    """A timeline of [start, end) from changes in order of time; the last one at or before ``start`` opens it.

    Of several changes in one second the last one holds. Raises InvalidInput when the window is empty or
    nothing says how it begins.
    """
    if end <= start:
        raise InvalidInput("timeline", f"{start} to {end}", "must end after it starts")
    kept: list[Sample] = []
    # Second and state of the last one kept: this is run through for every change of every metric.
    last, stands = start - 1, None
    for at, state in changes:
        if at >= end:
            break
        if at < start:
            at = start
        if at == last:
            kept.pop()
            last, stands = kept[-1] if kept else (start - 1, None)
        if state is not stands:
            kept.append((at, state))
            last, stands = at, state
    if not kept or kept[0][0] != start:
        raise InvalidInput("timeline", start, "needs a state at its start")
    return Timeline(tuple(kept), end)


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Results by time, one a second: the graver of those that share a second."""
    newest: dict[int, Status] = {}
    for at, status in samples:
        other = newest.get(at)
        if other is None or GRAVITY[status] > GRAVITY[other]:
            newest[at] = status
    return sorted(newest.items())


def reading_timeline(
    readings: Sequence[Reading], standing: FreshFor | CarriedDaily, start: int, end: int
) -> Timeline:
    """What one metric says in every second of [start, end).

    ``readings``: its results in order of time, of the seconds that ``needed`` names at least.
    """
    if isinstance(standing, FreshFor):
        return from_changes(_fresh_changes(readings, standing, start), start, end)
    return from_changes(_carried_changes(readings, standing, start, end), start, end)


def needed(standing: FreshFor | CarriedDaily, start: int, end: int) -> tuple[int, int]:
    """Seconds [from, to) whose results decide the timeline of [start, end): it begins before the window."""
    if isinstance(standing, FreshFor):
        # A result stands one freshness long, and may be ignored for one that is as much older.
        return start - 2 * standing.seconds, end
    # Whether a day has any result decides its first second, so the last day is needed whole.
    return start - start % SECONDS_PER_DAY - SECONDS_PER_DAY, end + -end % SECONDS_PER_DAY


def _fresh_changes(ordered: Sequence[Reading], rule: FreshFor, start: int) -> Iterator[Sample]:
    yield (min(start, ordered[0][0]) if ordered else start, rule.absent)
    stands_until: int | None = None
    knows = False
    for at, last, status in ordered:
        fresh = stands_until is not None and at < stands_until
        if rule.ignore_unknown and status is Status.UNKNOWN and knows and fresh:
            continue
        if stands_until is not None and not fresh:
            yield (stands_until, rule.absent)
        yield (at, status)
        stands_until, knows = last + rule.seconds, status is not Status.UNKNOWN
    if stands_until is not None:
        yield (stands_until, rule.absent)


def _carried_changes(
    ordered: Sequence[Reading], rule: CarriedDaily, start: int, end: int
) -> Iterator[Sample]:
    first = start - start % SECONDS_PER_DAY

    def up_to(second: int) -> int:
        return bisect_left(ordered, second, key=itemgetter(0))

    begins, place = up_to(first - SECONDS_PER_DAY), up_to(first)
    for day in range(first, end, SECONDS_PER_DAY):
        before, today = ordered[begins:place], ordered[place : up_to(day + SECONDS_PER_DAY)]
        yield (day, before[-1][2] if today and before else rule.absent)
        for at, _, status in today:
            yield (at, status)
        begins, place = place, place + len(today)


def combine(timelines: Sequence[Timeline], table: Precedence) -> Timeline:
    """The timeline of a node from those of its children, which share one window; at least one child."""
    if len(timelines) == 1:
        return timelines[0]
    rank = {state: place for place, state in enumerate((*table.order, Status.EXCLUDED))}
    states = (*table.order, Status.EXCLUDED)
    now = [rank[timeline.changes[0][1]] for timeline in timelines]
    # How many children stand at each rank: the node's state is the first rank that anyone stands at.
    standing = [0] * len(states)
    for place in now:
        standing[place] += 1
    start, end = timelines[0].start, timelines[0].end
    strongest = min(now)
    changes = [(start, states[strongest])]
    events = sorted(
        (at, child, rank[state])
        for child, timeline in enumerate(timelines)
        for at, state in timeline.changes[1:]
    )
    for at, child, place in events:
        standing[now[child]] -= 1
        standing[place] += 1
        now[child] = place
        if place < strongest:
            strongest = place
        else:
            while not standing[strongest]:
                strongest += 1
        if changes[-1][0] == at:
            changes.pop()
        if changes[-1][1] is not states[strongest]:
            changes.append((at, states[strongest]))
    return Timeline(tuple(changes), end)


def lay_over(
    timeline: Timeline, windows: Iterable[tuple[int, int]], *, restore_foreign: bool = False
) -> Timeline:
    """DOWNTIME in every second of ``windows`` ([start, end), any order, may overlap), else as before.

    ``restore_foreign``: the peer's defect named in ``Quirk.RESTORE_FOREIGN_STATUS``.
    """
    clipped = _union(timeline, windows)
    if not clipped:
        return timeline
    changes = list(timeline.changes)
    for start, end in clipped:
        before = [change for change in changes if change[0] < start]
        inside = [change for change in changes if start <= change[0] <= end]
        after = [change for change in changes if change[0] > end]
        resumed = inside[-1] if inside else before[-1]
        if restore_foreign and not [change for change in inside if change[0] > timeline.start]:
            resumed = after[0] if after else timeline.changes[0]
        changes = [*before, (start, Status.DOWNTIME), (end, resumed[1]), *after]
    return from_changes(changes, timeline.start, timeline.end)


def painted(timeline: Timeline, windows: Iterable[tuple[int, int]], state: Status) -> Timeline:
    """``state`` in every second of ``windows`` ([start, end), any order, may overlap), else as before."""
    clipped = _union(timeline, windows)
    if not clipped:
        return timeline
    changes: list[Sample] = []
    runs = list(timeline.runs())
    at = 0
    for start, end in [*clipped, (timeline.end, timeline.end)]:
        while at < len(runs) and runs[at][0] < start:
            changes.append((runs[at][0], runs[at][2]))
            at += 1
        if start == timeline.end:
            break
        changes.append((start, state))
        # What the window hides of a run that goes on after it comes back at its end.
        while at < len(runs) and runs[at][0] < end:
            at += 1
        if end < timeline.end and (at == len(runs) or runs[at][0] > end):
            changes.append((end, runs[at - 1][2]))
    return from_changes(changes, timeline.start, timeline.end)


def confined(timeline: Timeline, spans: Spans) -> Timeline:
    """As before in every second of ``spans``, EXCLUDED in all others."""
    return painted(timeline, outside(spans, timeline.start, timeline.end), Status.EXCLUDED)


def outside(spans: Iterable[tuple[int, int]], start: int, end: int) -> Spans:
    """What is left of [start, end) when ``spans`` ([start, end), in order, disjoint) are cut out."""
    left, at = [], start
    for begin, until in spans:
        if begin > at:
            left.append((at, min(begin, end)))
        at = max(at, until)
        if at >= end:
            break
    if at < end:
        left.append((at, end))
    return tuple(left)


def within(spans: Iterable[tuple[int, int]], start: int, end: int) -> Spans:
    """The part of ``spans`` that lies in [start, end)."""
    return tuple((max(a, start), min(b, end)) for a, b in spans if max(a, start) < min(b, end))


def _union(timeline: Timeline, windows: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(windows):
        start, end = max(start, timeline.start), min(end, timeline.end)
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def totals(counts: Iterable[Mapping[Status, int]]) -> dict[Status, int]:
    """Seconds per state, added up."""
    summed: dict[Status, int] = {}
    for count in counts:
        for state, seconds in count.items():
            summed[state] = summed.get(state, 0) + seconds
    return summed
