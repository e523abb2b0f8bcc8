"""Half-open intervals of UTC time: ``start`` belongs to the interval, ``end`` does not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import YEARS, format_instant, require_utc

_WEEK = re.compile(r"(\d{4})-W(\d{2})")


@dataclass(frozen=True)
class Interval:
    """[start, end) in UTC; ``end`` None means "until further notice". Never empty."""

    start: datetime
    end: datetime | None = None

    def __post_init__(self) -> None:
        # Most are in UTC as they come.
        if (start := require_utc(self.start, "start")) is not self.start:
            object.__setattr__(self, "start", start)
        if self.end is None:
            return
        if (end := require_utc(self.end, "end")) is not self.end:
            object.__setattr__(self, "end", end)
        if self.end <= self.start:
            raise InvalidInput(
                "interval",
                f"{format_instant(self.start)} to {format_instant(self.end)}",
                "must end after it starts",
            )

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment and (self.end is None or moment < self.end)

    def __str__(self) -> str:
        return f"{format_instant(self.start)}/{format_instant(self.end) if self.end else '..'}"

    @property
    def seconds(self) -> float:
        """Length in seconds. Raises InvalidInput for an open interval."""
        if self.end is None:
            raise InvalidInput("interval", str(self), "is open: it has no length")
        return (self.end - self.start).total_seconds()

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share any instant."""
        return self.intersection(other) is not None

    def intersection(self, other: Interval) -> Interval | None:
        """The shared part, or None where there is none."""
        start = max(self.start, other.start)
        ends = [end for end in (self.end, other.end) if end is not None]
        end = min(ends) if ends else None
        return Interval(start, end) if end is None or start < end else None

    def without(self, other: Interval) -> list[Interval]:
        """What is left of this interval when ``other`` is cut out: none, one or two intervals, in order."""
        if not self.overlaps(other):
            return [self]
        left = []
        if self.start < other.start:
            left.append(Interval(self.start, other.start))
        if other.end is not None and (self.end is None or other.end < self.end):
            left.append(Interval(other.end, self.end))
        return left


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same instants as disjoint intervals in order; touching ones become one."""
    merged: list[Interval] = []
    for interval in sorted(intervals, key=lambda i: i.start):
        last = merged[-1] if merged else None
        if last is not None and (last.end is None or interval.start <= last.end):
            end = None if last.end is None or interval.end is None else max(last.end, interval.end)
            merged[-1] = Interval(last.start, end)
        else:
            merged.append(interval)
    return merged


def week(name: str) -> Interval:
    """The ISO 8601 week ``YYYY-Www``: [Monday 00:00 UTC, +7 days). Raises InvalidInput."""
    found = _WEEK.fullmatch(name)
    try:
        if found is None or int(found[1]) not in YEARS:
            raise ValueError(name)
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError as error:
        raise InvalidInput("week", name, "must be an ISO week such as 2026-W47") from error
    start = datetime.combine(monday, time(), UTC)
    return Interval(start, start + timedelta(days=7))


def week_name(moment: datetime) -> str:
    """The ISO week a moment lies in, as ``YYYY-Www``."""
    year, number, _ = require_utc(moment, "time").isocalendar()
    return f"{year:04d}-W{number:02d}"


def day(of: date) -> Interval:
    """The UTC day [00:00, 24:00)."""
    start = datetime.combine(of, time(), UTC)
    return Interval(start, start + timedelta(days=1))
