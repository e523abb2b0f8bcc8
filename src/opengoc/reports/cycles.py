"""From the factory's cycles to its week: what ran when, and what held entries back. Pure.

The history holds a row when something of an entry and VO changed, or of a VO's queue of jobs, and at
least one in ten minutes while the factory runs. So a row stands until the next one of its place, and for
``HOLDS`` at most: after that the factory was not running, and what the queues held is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from opengoc.base.interval import Interval, union
from opengoc.reports.inputs import EntryWeek, FactoryWeek, Running, RunningSpell
from opengoc.reports.usage import duration

#: How long a row stands without another of its entry and VO.
HOLDS = timedelta(minutes=15)

_ROUTINE = frozenset({"max_pilots", "max_idle", "cycle"})

#: One kind of rows at a time.
Row = TypeVar("Row", "CycleRow", "QueueRow")

#: A stretch of time, pilots running by key, and whether all queues answered.
Step = tuple[Interval, dict[str, int], bool]


@dataclass(frozen=True, kw_only=True)
class CycleRow:
    """One entry and VO in one cycle."""

    at: datetime
    entry: str
    vo: str
    digest: str
    #: What kept pilots back; empty when nothing did.
    limit: str
    #: The limit in words.
    detail: str
    running: int
    complete: bool


@dataclass(frozen=True, kw_only=True)
class QueueRow:
    """The payload jobs of one VO in one cycle."""

    at: datetime
    vo: str
    running: int
    complete: bool


def pilot_spells(rows: Sequence[CycleRow], window: Interval) -> tuple[RunningSpell, ...]:
    """What ran of each VO, from rows in order of time, ``HOLDS`` before the window included."""
    steps = _steps(rows, window, place=lambda row: (row.entry, row.vo), key=lambda row: row.vo)
    return tuple(_spell(step) for step in steps)


def job_spells(rows: Sequence[QueueRow], window: Interval) -> tuple[RunningSpell, ...]:
    """What ran of each VO's jobs, from rows in order of time, ``HOLDS`` before the window included."""
    steps = _steps(rows, window, place=lambda row: row.vo, key=lambda row: row.vo)
    return tuple(_spell(step) for step in steps)


def _spell(step: Step) -> RunningSpell:
    interval, running, complete = step
    return RunningSpell(interval=interval, running=running, complete=complete)


def factory_week(
    rows: Sequence[CycleRow],
    window: Interval,
    *,
    submitted: Mapping[str, int],
    sites: Mapping[str, str] | None,
) -> FactoryWeek:
    """The factory's week up to the end of ``window``.

    ``submitted``: pilots that arrived in the queue, by entry. ``sites``: site by entry of
    those in force; None where nobody knows.
    """
    steps = list(_steps(rows, window, place=lambda row: (row.entry, row.vo), key=lambda row: row.entry))
    peaks: dict[str, int] = {row.entry: 0 for row in rows if row.at in window}
    for _, running, _ in steps:
        for entry, count in running.items():
            peaks[entry] = max(count, peaks.get(entry, 0))
    limits = _limits(rows, window)
    return FactoryWeek(
        configurations=_configurations(rows),
        entries=tuple(
            EntryWeek(
                entry=entry,
                site="unknown" if sites is None else sites.get(entry, "not in force any more"),
                submitted=submitted.get(entry, 0),
                peak_running=peaks.get(entry),
                limits=limits.get(entry, ()),
            )
            for entry in sorted(peaks.keys() | submitted.keys())
        ),
        seen_seconds=sum(interval.seconds for interval, _, _ in steps),
        elapsed_seconds=window.seconds,
    )


def _steps(
    rows: Sequence[Row], window: Interval, *, place: Callable[[Row], Hashable], key: Callable[[Row], str]
) -> Iterator[Step]:
    """The rows as steps without overlap, in order; time that no row covers is left out.

    A row stands until the next one of its ``place``; what ran is added up by ``key``.
    """
    standing: dict[Hashable, Row] = {}
    times = sorted({row.at for row in rows})
    waiting = iter(rows)
    row = next(waiting, None)
    for number, start in enumerate(times):
        while row is not None and row.at == start:
            standing[place(row)] = row
            row = next(waiting, None)
        standing = {where: each for where, each in standing.items() if start - each.at < HOLDS}
        end = min(times[number + 1], start + HOLDS) if number + 1 < len(times) else start + HOLDS
        shared = Interval(start, end).intersection(window)
        if shared is None:
            continue
        running: dict[str, int] = defaultdict(int)
        for each in standing.values():
            running[key(each)] += each.running
        yield shared, dict(running), all(each.complete for each in standing.values())


def _limits(rows: Iterable[CycleRow], window: Interval) -> dict[str, tuple[str, ...]]:
    """Limits by entry: how long each bound for any VO, and its last words."""
    bound: defaultdict[tuple[str, str], list[Interval]] = defaultdict(list)
    words: dict[tuple[str, str], str] = {}
    last: dict[tuple[str, str], CycleRow] = {}

    def close(row: CycleRow, end: datetime) -> None:
        shared = Interval(row.at, min(end, row.at + HOLDS)).intersection(window)
        if row.limit and shared is not None:
            bound[row.entry, row.limit].append(shared)
            words[row.entry, row.limit] = row.detail

    for row in rows:
        before = last.get((row.entry, row.vo))
        if before is not None and before.at < row.at:
            close(before, row.at)
        last[row.entry, row.vo] = row
    for row in last.values():
        close(row, row.at + HOLDS)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for (entry, limit), intervals in sorted(bound.items()):
        length = duration(sum(interval.seconds for interval in union(intervals)))
        # That an entry is full is daily life, and how full it was has changed since.
        detail = "" if limit in _ROUTINE else words[entry, limit]
        found[entry].append(f"{limit} for {length}" + (f": {detail}" if detail else ""))
    return {entry: tuple(lines) for entry, lines in found.items()}


def _configurations(rows: Iterable[CycleRow]) -> tuple[Running, ...]:
    found: list[Running] = []
    for row in rows:
        if not found or found[-1].digest != row.digest:
            found.append(Running(digest=row.digest, since=row.at))
    return tuple(found)
