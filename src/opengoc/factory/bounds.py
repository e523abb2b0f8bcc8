"""How many more pilots each entry may be sent, and what says so. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from opengoc.base.instant import format_instant
from opengoc.factory.configuration import COMPUTE_ELEMENT, Configuration
from opengoc.factory.demand import SHUT, Bound, Place
from opengoc.factory.entries import Entry
from opengoc.factory.model import Limit, Memory, Pace, PilotState, Snapshot
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
    failures: Mapping[str, int],
    paused: Mapping[str, str],
    now: datetime,
    pace: Pace,
) -> dict[str, Bound]:
    """The bound of every entry; ``paused`` are those that get nothing, with the reason."""
    if frozen:
        shut = Bound(pilots=0, limit=Limit.FROZEN, detail=frozen)
        return dict.fromkeys(configuration.entries, shut)
    totals: defaultdict[str, States] = defaultdict(Counter)
    for (name, _), states in pilots.items():
        totals[name] += states
    bounds = {
        name: _braked(
            bound_of(entry, totals[name], registry, now=now), totals[name], failures.get(name, 0), pace
        )
        for name, entry in configuration.entries.items()
    }
    pauses = {
        name: Bound(pilots=0, limit=Limit.PAUSED, detail=why)
        for name, why in paused.items()
        if name in bounds and bounds[name].limit is not Limit.DISABLED
    }
    return bounds | pauses


def bound_of(entry: Entry, pilots: States, registry: Registry, *, now: datetime) -> Bound:
    """How many more pilots this entry may be sent."""
    if not entry.enabled:
        return Bound(pilots=0, limit=Limit.DISABLED, detail=entry.reason)
    outage = registry.outage_at(entry.resource, now, service=COMPUTE_ELEMENT)
    if outage is not None:
        detail = f"{entry.resource} {outage.id}: {outage.description}"
        return Bound(pilots=0, limit=Limit.OUTAGE, detail=detail)
    ahead = registry.next_outage_start(entry.resource, now, service=COMPUTE_ELEMENT)
    if ahead is not None and now + timedelta(seconds=entry.walltime_seconds) > ahead:
        detail = f"{entry.resource} from {format_instant(ahead)}: a pilot could not end before"
        return Bound(pilots=0, limit=Limit.OUTAGE_AHEAD, detail=detail)
    waiting = pilots[PilotState.IDLE] + pilots[PilotState.HELD]
    by_total = max(0, entry.max_pilots - waiting - pilots[PilotState.RUNNING])
    by_idle = max(0, entry.max_idle - waiting)
    if by_total <= by_idle:
        return Bound(pilots=by_total, limit=Limit.MAX_PILOTS, detail=f"{entry.max_pilots} pilots")
    return Bound(pilots=by_idle, limit=Limit.MAX_IDLE, detail=f"{entry.max_idle} waiting pilots")


def count_failures(snapshot: Snapshot, memory: Memory) -> dict[str, int]:
    """Failures in a row of each entry, with the pilots that ended since; one that did its work ends a row."""
    counts = dict(memory.failures)
    ended = [p for p in snapshot.pilots_in(PilotState.COMPLETED) if p.id not in memory.ended]
    for pilot in sorted(ended, key=lambda pilot: pilot.since):
        if pilot.exit_code is not None:
            counts[pilot.entry] = counts.get(pilot.entry, 0) + 1 if pilot.exit_code else 0
    return counts


def _braked(bound: Bound, pilots: States, failures: int, pace: Pace) -> Bound:
    """The bound of an entry whose pilots fail: one pilot at a time, whose success lifts it."""
    if failures < pace.failures or bound.limit in SHUT:
        return bound
    alive = pilots[PilotState.IDLE] + pilots[PilotState.RUNNING] + pilots[PilotState.HELD]
    detail = f"{failures} pilots failed in a row: one at a time until one does not"
    return Bound(pilots=min(bound.pilots, max(0, 1 - alive)), limit=Limit.FAILING, detail=detail)
