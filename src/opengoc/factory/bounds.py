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
from opengoc.factory.model import Limit, PilotState, Snapshot
from opengoc.factory.protection import Health, Phase, Protection, in_words
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
        name: _guarded(bound_of(entry, totals[name], registry, now=now), totals[name], protection.of(name))
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


def _guarded(bound: Bound, pilots: States, health: Health) -> Bound:
    """The bound of an entry whose pilots ended badly: none in a pause, one at a time after it."""
    if health.phase is Phase.OPEN or bound.limit in SHUT:
        return bound
    if health.phase is Phase.PAUSED:
        return Bound(pilots=0, limit=Limit.FAILING, detail=in_words(health))
    alive = pilots[PilotState.IDLE] + pilots[PilotState.RUNNING] + pilots[PilotState.HELD]
    return Bound(pilots=min(bound.pilots, max(0, 1 - alive)), limit=Limit.CANARY, detail=in_words(health))
