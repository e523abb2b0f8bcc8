"""Every limit of an entry, what it leaves, and which one the last cycle named. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from opengoc.base.instant import format_instant
from opengoc.factory.bounds import bounds_of_all, bounds_of_vos, counted, shut_by
from opengoc.factory.configuration import COMPUTE_ELEMENT
from opengoc.factory.demand import SHUT, Bound, Place
from opengoc.factory.entries import Entry
from opengoc.factory.limits import Limits
from opengoc.factory.mirror import ALONE, Mirrored
from opengoc.factory.mirror_bounds import with_mirrors
from opengoc.factory.model import EntryRow, Limit, Pace, PilotState
from opengoc.factory.ramp import Ramp
from opengoc.registry.snapshot import Registry

ALL = "all entries"
NOT_SET = "not set"


@dataclass(frozen=True, kw_only=True)
class LimitState:
    """One limit that may bind, whether it does or not."""

    limit: str
    #: Whose: of the entry (empty), of a VO there, or of all entries.
    of: str = ""
    #: Its number, how much of it is used and what is left; None for one that counts nothing.
    cap: int | None = None
    used: int | None = None
    left: int | None = None
    #: In words.
    state: str
    #: Whether the last cycle named it for the entry.
    binds: bool = False


@dataclass(frozen=True, kw_only=True)
class Around:
    """What decides about an entry beside itself and its pilots."""

    registry: Registry
    #: Over all entries.
    limits: Limits
    ramp: Ramp
    #: Entries that a person or the guard paused, and why.
    paused: Mapping[str, str]
    #: Why the last cycle was frozen; empty: it was not. And pilots that it removed.
    frozen: str = ""
    removed: int = 0
    #: Factories that share the limits.
    mirrors: Mirrored = ALONE
    pace: Pace
    now: datetime


@dataclass(frozen=True, kw_only=True)
class EntryExplanation:
    """One entry in one cycle."""

    entry: Entry
    #: One a VO; none where the cycle did not know the entry.
    rows: tuple[EntryRow, ...]
    limits: tuple[LimitState, ...]

    @property
    def binding(self) -> tuple[str, ...]:
        """Every limit that bound, in words, each once."""
        said = (f"{row.limit.value}: {row.detail}" if row.detail else row.limit.value for row in self.rows)
        return tuple(dict.fromkeys(words for words in said if words))

    @property
    def answer(self) -> str:
        """The explanation in one sentence."""
        if not self.rows:
            return "the last cycle did not know this entry: it was not in force then"
        if self.binding:
            return "; ".join(self.binding)
        if any(row.allowed for row in self.rows):
            return f"nothing bound: {sum(row.allowed for row in self.rows)} pilots were sent"
        if any(row.matching_jobs for row in self.rows):
            return "nothing bound: the jobs that match find room in the pilots that are there, or elsewhere"
        return "nothing bound: no idle job matches"


def explain_entry(entry: Entry, rows: Iterable[EntryRow], around: Around) -> EntryExplanation:
    """What the rows of a cycle say of an entry, and how all its limits stand."""
    every = tuple(rows)
    own = tuple(row for row in every if row.entry == entry.name)
    pilots = with_mirrors({(row.entry, row.vo): _states(row) for row in every}, around.mirrors)
    limits = (
        *_gates(entry, own, around),
        *_of_entry(entry, pilots, around),
        *_of_all(pilots, around),
    )
    named = {(row.limit.value, row.detail) for row in own}
    return EntryExplanation(
        entry=entry, rows=own, limits=tuple(replace(each, binds=_binds(each, named)) for each in limits)
    )


def _states(row: EntryRow) -> Counter[PilotState]:
    counts = {PilotState.IDLE: row.idle, PilotState.RUNNING: row.running, PilotState.HELD: row.held}
    return Counter(counts)


def _gates(entry: Entry, rows: Sequence[EntryRow], around: Around) -> Iterator[LimitState]:
    """What shuts an entry, or leaves it one pilot at a time, rather than count its pilots."""
    shut = {bound.limit: bound.detail for bound in shut_by(entry, around.registry, now=around.now)}
    ahead = around.registry.next_outage_start(entry.resource, around.now, service=COMPUTE_ELEMENT)
    none_ahead = "none announced" if ahead is None else f"the next from {format_instant(ahead)}: far enough"
    seen = {row.limit: row.detail for row in rows if row.limit in SHUT or row.limit is Limit.CANARY}
    # Of the state of its pilots' ends the cycle says nothing where something weightier shut the entry.
    ends = "not known: something else shuts it" if seen.keys() - {Limit.FAILING, Limit.CANARY} else "no"
    yield from (
        LimitState(limit=limit.value, state=state)
        for limit, state in (
            (Limit.DISABLED, shut.get(Limit.DISABLED, "no")),
            (Limit.OUTAGE, shut.get(Limit.OUTAGE, "none")),
            (Limit.OUTAGE_AHEAD, shut.get(Limit.OUTAGE_AHEAD, none_ahead)),
            (Limit.PAUSED, around.paused.get(entry.name, "no")),
            (Limit.FAILING, seen.get(Limit.FAILING, ends)),
            (Limit.CANARY, seen.get(Limit.CANARY, ends)),
            (Limit.FROZEN, seen.get(Limit.FROZEN, around.frozen or "no")),
        )
    )


def _of_entry(
    entry: Entry, pilots: Mapping[Place, Counter[PilotState]], around: Around
) -> Iterator[LimitState]:
    total: Counter[PilotState] = Counter()
    for (name, _), states in pilots.items():
        total.update(states if name == entry.name else {})
    bounds = {each.limit: each for each in counted(entry, total, ramp=around.ramp, now=around.now)}
    yield from (_counting(limit, bounds.get(limit)) for limit in (Limit.MAX_PILOTS, Limit.MAX_IDLE))
    held = total[PilotState.HELD]
    state = NOT_SET if entry.max_held is None else f"{held} held: none is sent from {entry.max_held} on"
    yield LimitState(limit=Limit.MAX_HELD.value, cap=entry.max_held, used=held, state=state)
    yield from (_counting(limit, bounds.get(limit)) for limit in (Limit.MAX_PER_CYCLE, Limit.MAX_PER_MINUTE))
    of_vos = bounds_of_vos({entry.name: entry}, pilots)
    yield from (_counting(Limit.MAX_PILOTS_OF_VO, of_vos.get((entry.name, vo)), of=vo) for vo in entry.vos)


def _of_all(pilots: Mapping[Place, Counter[PilotState]], around: Around) -> Iterator[LimitState]:
    over_all = bounds_of_all(around.limits, pilots.values(), around.pace, ramp=around.ramp, now=around.now)
    yield from (_counting(bound.limit, bound, of=ALL) for bound in over_all)
    left = max(0, around.pace.removals - around.removed)
    yield LimitState(
        limit="removals",
        of=ALL,
        cap=around.pace.removals,
        used=around.removed,
        left=left,
        state=f"{around.pace.removals} pilots taken back in one cycle",
        binds=not left,
    )


def _counting(limit: Limit, bound: Bound | None, *, of: str = "") -> LimitState:
    if bound is None:
        return LimitState(limit=limit.value, of=of, state=NOT_SET)
    return LimitState(
        limit=limit.value,
        of=of,
        cap=bound.cap,
        used=bound.used,
        left=bound.pilots,
        state=bound.detail,
    )


def _binds(state: LimitState, named: Iterable[tuple[str, str]]) -> bool:
    """Whether a row names it; those of VOs and of all entries are told apart by their words.

    After those a row may say which mirror holds how much.
    """
    return state.binds or any(
        limit == state.limit and (not state.of or f"{detail},".startswith(f"{state.state},"))
        for limit, detail in named
    )
