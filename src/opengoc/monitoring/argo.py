"""How ARGO's compute engine departs from exact seconds, for conformance with its published answers only.

ARGO samples a day in slots (288 of five minutes), puts a change into a slot by rounding, and averages the
days of a month as fractions. The house counts seconds; these functions restate ARGO's arithmetic so that its
answers can be told from ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor

from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring.model import Status
from opengoc.monitoring.timeline import Timeline, by_day, from_changes, joined

#: ARGO adds this to 1 where it divides, so that a month without known time divides by little instead of by 0.
EPSILON = 0.00000001


def slot_of(second_of_day: int, *, slot_minutes: int, day_minutes: int = 1440) -> int:
    """The slot that a change at this second of the day falls into: halves round up, then one slot less."""
    minute = floor(second_of_day / 60 + 0.5)
    slot = floor(minute / slot_minutes + 0.5) - 1
    return min(max(slot, 0), day_minutes // slot_minutes - 1)


def sampled(timeline: Timeline, *, slot_minutes: int = 5) -> Timeline:
    """The timeline of one whole UTC day as ARGO's slots show it; the last change of a slot holds."""
    width = slot_minutes * 60
    opening, *changes = timeline.changes
    moved = [
        (timeline.start + width * slot_of(at % SECONDS_PER_DAY, slot_minutes=slot_minutes), state)
        for at, state in changes
    ]
    return from_changes([opening, *moved], timeline.start, timeline.end)


def sampled_days(timeline: Timeline, *, slot_minutes: int = 5) -> Timeline:
    """``sampled`` day by day; a day that is not whole stays exact."""
    return joined(
        [
            sampled(piece, slot_minutes=slot_minutes) if piece.end - piece.start == SECONDS_PER_DAY else piece
            for piece in by_day(timeline)
        ]
    )


def slot_edge(second: int, *, slot_minutes: int = 5) -> int:
    """The second at which a change at this second shows; midnight stays midnight."""
    of_day = second % SECONDS_PER_DAY
    shown = slot_of(of_day, slot_minutes=slot_minutes) * slot_minutes * 60 if of_day else 0
    return second - of_day + shown


def slots(timeline: Timeline, *, slot_minutes: int = 5) -> list[Status]:
    """One state a slot of a sampled day."""
    width = slot_minutes * 60
    return [state for start, end, state in timeline.runs() for _ in range((end - start) // width)]


@dataclass(frozen=True, kw_only=True)
class DailyFractions:
    """One row of ARGO's daily results: fractions of the day."""

    up: float
    down: float
    unknown: float


@dataclass(frozen=True, kw_only=True)
class MonthlyAnswer:
    """ARGO's answer for a month or a custom period."""

    up: float
    down: float
    unknown: float
    availability: float
    reliability: float


def monthly(days: Sequence[DailyFractions]) -> MonthlyAnswer:
    """Means of the daily fractions, A and R from the means: each day weighs the same."""
    up, down, unknown = (
        sum(values) / len(days)
        for values in ([d.up for d in days], [d.down for d in days], [d.unknown for d in days])
    )
    return MonthlyAnswer(
        up=up,
        down=down,
        unknown=unknown,
        availability=up / (1 + EPSILON - unknown) * 100,
        reliability=up / (1 + EPSILON - unknown - down) * 100,
    )


def supergroup_day(sites: Iterable[tuple[float, float]]) -> float | None:
    """A day's A (or R) of a group of sites from each one's (A, weight), weighted by weight + 1."""
    weighted = [(value * (weight + 1), weight + 1) for value, weight in sites]
    return sum(value for value, _ in weighted) / sum(weight for _, weight in weighted) if weighted else None
