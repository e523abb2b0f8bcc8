"""Mirrors: factories that run the same bundle and share its limits. What each holds of them. Pure.

A mirror's own pilots are in its queue. What the others hold is what they last wrote down: never less than
what they have, because a mirror writes down its new pilots before it submits them. One that fell silent keeps
what it held until its queue was seen, or its pilots must have ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from opengoc.base.instant import format_instant
from opengoc.factory.model import PilotState

#: Entry and VO.
Place: TypeAlias = tuple[str, str]

#: A pilot may take so long to end, once its walltime is over.
_ENDING = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """Pilots that a mirror has, or may have, of one entry for one VO."""

    #: On their way, or waiting at the site.
    idle: int = 0
    held: int = 0
    running: int = 0
    #: Of all these: expected in the pool, and not there yet.
    coming: int = 0
    #: Longest time that one of them runs; None where nobody knows.
    walltime_seconds: int | None = None

    @classmethod
    def of(cls, states: Mapping[PilotState, int], *, coming: int, walltime_seconds: int | None) -> Holding:
        """So many pilots in each state; those that ended take up nothing."""
        return cls(
            idle=states.get(PilotState.IDLE, 0),
            held=states.get(PilotState.HELD, 0),
            running=states.get(PilotState.RUNNING, 0),
            coming=coming,
            walltime_seconds=walltime_seconds,
        )

    @property
    def waiting(self) -> int:
        """Those that do not run yet."""
        return self.idle + self.held

    @property
    def alive(self) -> int:
        """All of them."""
        return self.waiting + self.running


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """One factory of a group, as it last wrote itself down."""

    name: str
    #: The only process that may write under this name: machine and home.
    holder: str
    #: Where its pilots can be seen.
    schedd: str
    collector: str
    #: It submits nothing after this, unless it writes itself down again.
    expires_at: datetime
    #: When its queue was last seen whole; None: never.
    counted_at: datetime | None
    #: Whether it could have submitted in its last cycle.
    is_able: bool
    holdings: Mapping[Place, Holding]
    #: Grows with whatever is written of it.
    version: int

    def is_silent(self, now: datetime) -> bool:
        """Whether it fell silent, or was ended."""
        return now >= self.expires_at

    def standing(self, now: datetime) -> dict[Place, Holding]:
        """What counts of its pilots at a moment.

        While it is silent nobody knows what became of them. Those that ran have ended by their walltime;
        those that waited may start at any time, so they count until its queue was seen.
        """
        return {place: left for place, holding in self.holdings.items() if (left := self._left(holding, now))}

    def _left(self, holding: Holding, now: datetime) -> Holding | None:
        if not self.is_silent(now):
            return holding
        running, coming = holding.running, holding.coming
        if self.counted_at is None or self.counted_at < self.expires_at:
            # Nobody looked after them since: they take up room, and no job counts on them.
            coming = 0
        if self.counted_at is not None and holding.walltime_seconds is not None:
            over = self.counted_at + timedelta(seconds=holding.walltime_seconds) + _ENDING
            running = 0 if now >= over else running
        left = replace(holding, running=running, coming=coming)
        return left if left.alive else None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The other mirrors of a group, at one version of it."""

    #: Grows whenever a mirror holds more than before.
    version: int = 0
    others: tuple[Mirror, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """What the others hold at one moment, as a decision needs it."""

    #: Name of the mirror that decides.
    own: str = ""
    #: Name of each other one → what it holds.
    held: Mapping[str, Mapping[Place, Holding]] = field(default_factory=dict)
    #: Those of them that nobody hears.
    silent: Mapping[str, datetime] = field(default_factory=dict)
    #: How many of them may submit in these moments.
    able: int = 0

    def part(self, left: int) -> int:
        """How many of the ``left`` pilots of a limit this mirror may take in one cycle.

        The others get a chance at the rest; what they do not take is divided again in the next cycle.
        """
        return -(-left // (1 + self.able))

    def counts(self) -> dict[Place, Counter[PilotState]]:
        """Pilots of all others by entry, VO and state."""
        found: dict[Place, Counter[PilotState]] = {}
        for holdings in self.held.values():
            for place, holding in holdings.items():
                states = found.setdefault(place, Counter())
                states[PilotState.IDLE] += holding.idle
                states[PilotState.HELD] += holding.held
                states[PilotState.RUNNING] += holding.running
        return found

    def coming(self) -> Iterator[tuple[str, Place, int]]:
        """Pilots that are expected in the pool, by mirror and place; in order of the mirrors' names."""
        for name in sorted(self.held):
            for place, holding in sorted(self.held[name].items()):
                if holding.coming:
                    yield name, place, holding.coming

    def said(
        self, measure: Callable[[Holding], int], *, entry: str | None = None, vo: str | None = None
    ) -> str:
        """Which mirror holds how much of a limit: ``, 6 held by mirror factory-b``; empty where none does."""
        words = ""
        for name in sorted(self.held):
            held = sum(
                measure(holding)
                for (its_entry, its_vo), holding in self.held[name].items()
                if entry in (None, its_entry) and vo in (None, its_vo)
            )
            if held:
                words += f", {held} held by mirror {name}"
                if name in self.silent:
                    words += f" (silent since {format_instant(self.silent[name].replace(microsecond=0))})"
        return words


#: A factory without mirrors.
ALONE = Mirrored()


def mirrored(own: str, reading: Reading, *, before: Reading | None = None, now: datetime) -> Mirrored:
    """What a reading says at a moment.

    ``before`` was read ahead of the pool: a pilot that joins meanwhile is then seen twice, never missed.
    """
    earlier = {mirror.name: mirror.standing(now) for mirror in before.others} if before else {}
    held = {
        mirror.name: _not_missed(mirror.standing(now), earlier.get(mirror.name, {}))
        for mirror in reading.others
    }
    silent = {mirror.name: mirror.expires_at for mirror in reading.others if mirror.is_silent(now)}
    able = sum(mirror.is_able and not mirror.is_silent(now) for mirror in reading.others)
    return Mirrored(own=own, held=held, silent=silent, able=able)


def _not_missed(now: Mapping[Place, Holding], earlier: Mapping[Place, Holding]) -> dict[Place, Holding]:
    nothing = Holding()
    found = {}
    for place in now.keys() | earlier.keys():
        holding = now.get(place, nothing)
        coming = max(holding.coming, earlier.get(place, nothing).coming)
        found[place] = replace(holding, coming=coming)
    return found


def with_granted(
    holdings: Mapping[Place, Holding],
    granted: Mapping[Place, int],
    *,
    walltimes: Mapping[str, int],
) -> dict[Place, Holding]:
    """What a mirror holds once it may submit ``granted`` pilots; ``walltimes`` are those of the entries."""
    found = dict(holdings)
    for place, count in granted.items():
        before = found.get(place, Holding(walltime_seconds=0))
        known = before.walltime_seconds
        found[place] = replace(
            before,
            idle=before.idle + count,
            coming=before.coming + count,
            walltime_seconds=None if known is None else max(known, walltimes[place[0]]),
        )
    return found


def with_walltimes(
    holdings: Mapping[Place, Holding], before: Mapping[Place, Holding]
) -> dict[Place, Holding]:
    """The holdings, each with the longest walltime that was known as long as it held anything.

    What an entry says now is not what its older pilots were sent with.
    """
    found = dict(holdings)
    for place in holdings.keys() & before.keys():
        now, was = holdings[place].walltime_seconds, before[place].walltime_seconds
        longest = was if now is None else None if was is None else max(now, was)
        found[place] = replace(holdings[place], walltime_seconds=longest)
    return found


def larger(now: Mapping[Place, Holding], before: Mapping[Place, Holding]) -> dict[Place, Holding]:
    """Of two counts of the same pilots, the larger of each number."""
    found = dict(before) | dict(now)
    for place in now.keys() & before.keys():
        one, other = now[place], before[place]
        found[place] = replace(
            one,
            idle=max(one.idle, other.idle),
            held=max(one.held, other.held),
            running=max(one.running, other.running),
        )
    return found


def is_more(after: Mapping[Place, Holding], before: Mapping[Place, Holding]) -> bool:
    """Whether a mirror holds anywhere more than another may have counted on."""
    nothing = Holding()
    return any(
        holding.alive > (old := before.get(place, nothing)).alive or holding.waiting > old.waiting
        for place, holding in after.items()
    )
