"""How many more pilots each entry may be sent, and what says so. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from opengoc.base.instant import format_instant
from opengoc.factory.configuration import COMPUTE_ELEMENT, Configuration
from opengoc.factory.demand import SHUT, Bound, Place
from opengoc.factory.entries import Entry
from opengoc.factory.limits import Limits
from opengoc.factory.model import Limit, Pace, PilotState, Snapshot
from opengoc.factory.protection import Health, Phase, Protection, in_words
from opengoc.factory.ramp import Ramp
from opengoc.registry.snapshot import Registry

States: TypeAlias = Counter[PilotState]


def count_pilots(snapshot: Snapshot) -> Mapping[Place, States]:
    """Pilots of each entry and VO by state; those on their way into the queue are idle."""
    counts: defaultdict[Place, States] = defaultdict(Counter)
    for pilot in snapshot.pilots.items:
        counts[(pilot.entry, pilot.vo)][pilot.state] += 1
    for submission in snapshot.submissions:
        counts[(submission.entry, submission.vo)][PilotState.IDLE] += 1
    return counts


def bounds_of(
    configuration: Configuration,
    pilots: Mapping[Place, States],
    registry: Registry,
    *,
    frozen: str,
    protection: Protection,
    paused: Mapping[str, str],
    ramp: Ramp,
    now: datetime,
) -> dict[str, Bound]:
    """The bound of every entry; ``paused`` are those that get nothing, with the reason."""
    if frozen:
        shut = Bound(pilots=0, limit=Limit.FROZEN, detail=frozen)
        return dict.fromkeys(configuration.entries, shut)
    totals: defaultdict[str, States] = defaultdict(Counter)
    for (name, _), states in pilots.items():
        totals[name] += states
    bounds = {
        name: _guarded(
            bound_of(entry, totals[name], registry, ramp=ramp, now=now), totals[name], protection.of(name)
        )
        for name, entry in configuration.entries.items()
    }
    pauses = {
        name: Bound(pilots=0, limit=Limit.PAUSED, detail=why)
        for name, why in paused.items()
        if name in bounds and bounds[name].limit is not Limit.DISABLED
    }
    return bounds | pauses


def bound_of(entry: Entry, pilots: States, registry: Registry, *, ramp: Ramp, now: datetime) -> Bound:
    """How many more pilots this entry may be sent."""
    shut = next(shut_by(entry, registry, now=now), None)
    return shut or min(counted(entry, pilots, ramp=ramp, now=now), key=lambda bound: bound.pilots)


def shut_by(entry: Entry, registry: Registry, *, now: datetime) -> Iterator[Bound]:
    """What lets the entry have no pilot at all, the weightiest first."""
    if not entry.enabled:
        yield Bound(pilots=0, limit=Limit.DISABLED, detail=entry.reason)
    outage = registry.outage_at(entry.resource, now, service=COMPUTE_ELEMENT)
    if outage is not None:
        detail = f"{entry.resource} {outage.id}: {outage.description}"
        yield Bound(pilots=0, limit=Limit.OUTAGE, detail=detail)
    ahead = registry.next_outage_start(entry.resource, now, service=COMPUTE_ELEMENT)
    if ahead is not None and now + timedelta(seconds=entry.walltime_seconds) > ahead:
        detail = f"{entry.resource} from {format_instant(ahead)}: a pilot could not end before"
        yield Bound(pilots=0, limit=Limit.OUTAGE_AHEAD, detail=detail)


def counted(entry: Entry, pilots: States, *, ramp: Ramp, now: datetime) -> Iterator[Bound]:
    """What each limit of the entry leaves; of equal ones the first is named."""
    held = pilots[PilotState.HELD]
    waiting = pilots[PilotState.IDLE] + held
    if entry.max_held is not None and held >= entry.max_held:
        yield Bound(pilots=0, limit=Limit.MAX_HELD, detail=f"{held} held pilots, {entry.max_held} allowed")
    alive = waiting + pilots[PilotState.RUNNING]
    yield _of_number(Limit.MAX_PILOTS, entry.max_pilots, alive, f"{entry.max_pilots} pilots")
    yield _of_number(Limit.MAX_IDLE, entry.max_idle, waiting, f"{entry.max_idle} waiting pilots")
    if entry.max_per_cycle is not None:
        detail = f"{entry.max_per_cycle} pilots a cycle: the next cycle goes on"
        yield _of_number(Limit.MAX_PER_CYCLE, entry.max_per_cycle, 0, detail)
    if entry.max_per_minute is not None:
        yield Bound(
            pilots=ramp.left(entry.max_per_minute, entry.name, now=now),
            limit=Limit.MAX_PER_MINUTE,
            detail=f"{entry.max_per_minute} pilots a minute: more follow",
            cap=entry.max_per_minute,
            used=ramp.of_last_minute(entry.name, now=now),
        )


def _guarded(bound: Bound, pilots: States, health: Health) -> Bound:
    """The bound of an entry whose pilots ended badly: none in a pause, one at a time after it."""
    if health.phase is Phase.OPEN or bound.limit in SHUT:
        return bound
    if health.phase is Phase.PAUSED:
        return Bound(pilots=0, limit=Limit.FAILING, detail=in_words(health))
    alive = pilots[PilotState.IDLE] + pilots[PilotState.RUNNING] + pilots[PilotState.HELD]
    return Bound(pilots=min(bound.pilots, max(0, 1 - alive)), limit=Limit.CANARY, detail=in_words(health))


def bounds_of_all(
    limits: Limits, pilots: Iterable[Mapping[PilotState, int]], pace: Pace, *, ramp: Ramp, now: datetime
) -> Iterator[Bound]:
    """How many pilots each limit over all entries leaves for this cycle; of equal ones the first is named."""
    total: Counter[PilotState] = Counter()
    for states in pilots:
        total.update(states)
    waiting = total[PilotState.IDLE] + total[PilotState.HELD]
    yield _of_number(Limit.CYCLE, pace.submissions, 0, "the next cycle goes on")
    if limits.max_per_cycle is not None:
        detail = f"{limits.max_per_cycle} pilots a cycle, all entries together: the next cycle goes on"
        yield _of_number(Limit.CYCLE, limits.max_per_cycle, 0, detail)
    if limits.max_pilots is not None:
        alive = waiting + total[PilotState.RUNNING]
        detail = f"{limits.max_pilots} pilots, all entries together"
        yield _of_number(Limit.ALL_ENTRIES, limits.max_pilots, alive, detail)
    if limits.max_idle is not None:
        detail = f"{limits.max_idle} waiting pilots, all entries together"
        yield _of_number(Limit.ALL_ENTRIES, limits.max_idle, waiting, detail)
    if limits.max_per_minute is not None:
        yield Bound(
            pilots=ramp.left(limits.max_per_minute, now=now),
            limit=Limit.ALL_ENTRIES,
            detail=f"{limits.max_per_minute} pilots a minute, all entries together",
            cap=limits.max_per_minute,
            used=ramp.of_last_minute(now=now),
        )


def bounds_of_vos(
    entries: Mapping[str, Entry], pilots: Mapping[Place, Mapping[PilotState, int]]
) -> dict[Place, Bound]:
    """How many more pilots a VO may be sent at an entry, where the entry limits it."""
    alive = (PilotState.IDLE, PilotState.RUNNING, PilotState.HELD)
    found = {}
    for name, entry in entries.items():
        for vo, most in entry.max_pilots_of.items():
            there = sum(pilots.get((name, vo), {}).get(state, 0) for state in alive)
            found[(name, vo)] = _of_number(Limit.MAX_PILOTS_OF_VO, most, there, f"{most} pilots of {vo}")
    return found


def _of_number(limit: Limit, cap: int, used: int, detail: str) -> Bound:
    return Bound(pilots=max(0, cap - used), limit=limit, detail=detail, cap=cap, used=used)
