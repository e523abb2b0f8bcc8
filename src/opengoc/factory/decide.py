"""What to do about a snapshot. Pure: the same arguments give the same actions.

1. Can the snapshot be trusted? If not, nothing is requested and nothing removed.
2. Which entries may be sent pilots, and how many (``bound_of``)?
3. Which idle jobs find room in what is there, and which entries should get pilots for the rest?
4. Which waiting pilots does nothing ask for, in this snapshot and in the one before?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opengoc.base.instant import format_instant
from opengoc.factory.configuration import COMPUTE_ELEMENT, Configuration
from opengoc.factory.demand import SHUT, Bound, Place, Share, divide
from opengoc.factory.entries import Entry
from opengoc.factory.match import Cluster, match
from opengoc.factory.model import (
    Action,
    CollectPilot,
    Decision,
    EntryRow,
    Limit,
    Memory,
    Pilot,
    PilotState,
    RemovePilot,
    Snapshot,
    SubmitPilots,
)
from opengoc.factory.supply import Room, assign
from opengoc.registry.snapshot import Registry


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast the factory may act."""

    #: Pilots submitted in one cycle, over all entries.
    submissions: int = 50
    #: Pilots removed in one cycle.
    removals: int = 10
    #: A running pilot that has not joined the pool by then is no supply any more.
    join_seconds: float = 600.0
    #: A pilot held for so long is given up.
    held_seconds: float = 300.0
    #: The output of an ended pilot is given up when it could not be fetched for so long.
    collect_seconds: float = 900.0
    #: An entry whose pilots fail so many times in a row is sent one at a time.
    failures: int = 3


def decide(
    snapshot: Snapshot,
    configuration: Configuration,
    registry: Registry,
    *,
    now: datetime,
    memory: Memory,
    pace: Pace | None = None,
) -> Decision:
    """The actions of one cycle and what they rest on."""
    pace = pace or Pace()
    frozen = why_frozen(snapshot, memory)
    failures = _failures(snapshot, memory)
    clusters = match(configuration, snapshot.payloads)
    joined = memory.joined | {slot.pilot_id for slot in snapshot.slots.items}
    rooms = list(_rooms(snapshot, configuration, joined=joined, now=now, pace=pace))
    assigned = assign(clusters, rooms)
    bounds = {
        name: _frozen(frozen) if frozen else bound_of(entry, snapshot, registry, now=now)
        for name, entry in configuration.entries.items()
    }
    bounds = {
        name: _braked(bound, _by_state(snapshot, (name,)), failures.get(name, 0), pace)
        for name, bound in bounds.items()
    }
    shares = divide(clusters, assigned.left, entries=configuration.entries, bounds=bounds)
    shares, capped = _pace(shares, pace.submissions)
    surplus = frozenset(pilot.id for pilot in _of(snapshot, PilotState.IDLE) if pilot.id not in assigned.used)
    given_up = now - timedelta(seconds=pace.collect_seconds)
    actions: list[Action] = [
        CollectPilot(pilot=pilot, is_last_try=pilot.since <= given_up)
        for pilot in _of(snapshot, PilotState.COMPLETED)
    ]
    if not frozen:
        actions += _submissions(shares)
        actions += _removals(snapshot, surplus & memory.surplus, now=now, pace=pace)
    return Decision(
        actions=tuple(actions),
        rows=_rows(snapshot, configuration, clusters, shares, bounds, capped),
        frozen=frozen,
        unmatched_jobs=sum(cluster.idle for cluster in clusters if not cluster.entries),
        memory=replace(
            _remember(snapshot, memory, surplus=frozenset() if frozen else surplus, joined=joined),
            failures=failures,
        ),
    )


def why_frozen(snapshot: Snapshot, memory: Memory) -> str:
    """Why the snapshot is no ground for requests or removals; empty when it is one.

    A daemon that restarted answers with an empty list and no error. So a list that is suddenly empty while
    the other side still knows of pilots has to be seen twice.
    """
    lacking = [f"{each.source}: {each.error}" for each in snapshot.observations if not each.complete]
    if lacking:
        return "; ".join(lacking)
    running = len(_of(snapshot, PilotState.RUNNING))
    if memory.slots and not snapshot.slots.items and running:
        return f"the pool shows no slot, {memory.slots} before, while {running} pilots run: looking again"
    if memory.pilots and not snapshot.pilots.items and snapshot.slots.items:
        slots = len(snapshot.slots.items)
        return f"the factory's queue is empty, {memory.pilots} before, while {slots} slots run: looking again"
    return ""


def bound_of(entry: Entry, snapshot: Snapshot, registry: Registry, *, now: datetime) -> Bound:
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
    pilots = _by_state(snapshot, (entry.name,))
    waiting = pilots[PilotState.IDLE] + pilots[PilotState.HELD]
    by_total = max(0, entry.max_pilots - waiting - pilots[PilotState.RUNNING])
    by_idle = max(0, entry.max_idle - waiting)
    if by_total <= by_idle:
        return Bound(pilots=by_total, limit=Limit.MAX_PILOTS, detail=f"{entry.max_pilots} pilots")
    return Bound(pilots=by_idle, limit=Limit.MAX_IDLE, detail=f"{entry.max_idle} waiting pilots")


def _frozen(why: str) -> Bound:
    return Bound(pilots=0, limit=Limit.FROZEN, detail=why)


def _failures(snapshot: Snapshot, memory: Memory) -> dict[str, int]:
    """Failures in a row of each entry, with the pilots that ended since; one that did its work ends a row."""
    counts = dict(memory.failures)
    ended = [p for p in _of(snapshot, PilotState.COMPLETED) if p.id not in memory.ended]
    for pilot in sorted(ended, key=lambda pilot: pilot.since):
        if pilot.exit_code is not None:
            counts[pilot.entry] = counts.get(pilot.entry, 0) + 1 if pilot.exit_code else 0
    return counts


def _braked(bound: Bound, pilots: Counter[PilotState], failures: int, pace: Pace) -> Bound:
    """The bound of an entry whose pilots fail: one pilot at a time, whose success lifts it."""
    if failures < pace.failures or bound.limit in SHUT:
        return bound
    alive = pilots[PilotState.IDLE] + pilots[PilotState.RUNNING] + pilots[PilotState.HELD]
    detail = f"{failures} pilots failed in a row: one at a time until one does not"
    return Bound(pilots=min(bound.pilots, max(0, 1 - alive)), limit=Limit.FAILING, detail=detail)


def _of(snapshot: Snapshot, state: PilotState) -> list[Pilot]:
    return [pilot for pilot in snapshot.pilots.items if pilot.state is state]


def _by_state(snapshot: Snapshot, place: tuple[str, ...]) -> Counter[PilotState]:
    """Pilots of an entry, or of an entry and VO, by state; those on their way into the queue are idle."""
    counts: Counter[PilotState] = Counter()
    for pilot in snapshot.pilots.items:
        if (pilot.entry, pilot.vo)[: len(place)] == place:
            counts[pilot.state] += 1
    for submission in snapshot.submissions:
        if (submission.entry, submission.vo)[: len(place)] == place:
            counts[PilotState.IDLE] += 1
    return counts


def _rooms(
    snapshot: Snapshot,
    configuration: Configuration,
    *,
    joined: frozenset[str],
    now: datetime,
    pace: Pace,
) -> Iterable[Room]:
    """Free slots, running pilots that have yet to join, waiting pilots: the oldest of each first."""
    for slot in snapshot.slots.items:
        # A pilot of another digest decides by another policy: whether it takes a job is not ours to say.
        if slot.accepting and slot.cores and slot.digest == configuration.digest:
            for vo in slot.vos:
                yield Room(
                    pilot_id=slot.pilot_id,
                    entry=slot.entry,
                    vo=vo,
                    cores=slot.cores,
                    memory_mib=slot.memory_mib,
                    rank=0,
                )
    for pilot in sorted(snapshot.pilots.items, key=lambda pilot: (pilot.since, pilot.id)):
        entry = configuration.entries.get(pilot.entry)
        if entry is None or pilot.digest != configuration.digest:
            continue
        due = pilot.since + timedelta(seconds=pace.join_seconds)
        if pilot.state is PilotState.RUNNING and pilot.id not in joined and now < due:
            yield _whole(pilot.id, entry, pilot.vo, rank=1)
        elif pilot.state is PilotState.IDLE:
            yield _whole(pilot.id, entry, pilot.vo, rank=2)
    for submission in snapshot.submissions:
        if entry := configuration.entries.get(submission.entry):
            yield _whole(submission.pilot_id, entry, submission.vo, rank=3)


def _whole(pilot_id: str, entry: Entry, vo: str, *, rank: int) -> Room:
    return Room(
        pilot_id=pilot_id,
        entry=entry.name,
        vo=vo,
        cores=entry.cores,
        memory_mib=entry.memory_mib,
        rank=rank,
    )


def _pace(shares: Mapping[Place, Share], submissions: int) -> tuple[dict[Place, Share], frozenset[Place]]:
    """The shares held to the pace of one cycle, the places served in turn; and those that it cut."""
    sent = dict.fromkeys(shares, 0)
    left = submissions
    while left > 0 and (waiting := [p for p in shares if sent[p] < shares[p].allowed]):
        for place in waiting[:left]:
            sent[place] += 1
        left -= len(waiting[:left])
    capped = frozenset(place for place, share in shares.items() if sent[place] < share.allowed)
    return {place: replace(share, allowed=sent[place]) for place, share in shares.items()}, capped


def _submissions(shares: Mapping[Place, Share]) -> list[SubmitPilots]:
    return [
        SubmitPilots(entry=entry, vo=vo, count=share.allowed, reason=f"{share.requested} pilots asked for")
        for (entry, vo), share in shares.items()
        if share.allowed
    ]


def _removals(snapshot: Snapshot, surplus: frozenset[str], *, now: datetime, pace: Pace) -> list[RemovePilot]:
    """Waiting pilots that nothing asked for twice running, and pilots that stay held; the youngest first."""
    given_up = now - timedelta(seconds=pace.held_seconds)
    chosen = [
        RemovePilot(pilot=pilot, reason="no job asks for it")
        for pilot in _of(snapshot, PilotState.IDLE)
        if pilot.id in surplus
    ] + [
        RemovePilot(pilot=pilot, reason=f"held: {pilot.hold_reason}")
        for pilot in _of(snapshot, PilotState.HELD)
        if pilot.since <= given_up
    ]
    return sorted(chosen, key=lambda each: each.pilot.since, reverse=True)[: pace.removals]


def _rows(
    snapshot: Snapshot,
    configuration: Configuration,
    clusters: Sequence[Cluster],
    shares: Mapping[Place, Share],
    bounds: Mapping[str, Bound],
    capped: frozenset[Place],
) -> tuple[EntryRow, ...]:
    matching: Counter[Place] = Counter()
    for cluster in clusters:
        for name in cluster.entries:
            matching[(name, cluster.vo)] += cluster.idle
    free = Counter((slot.entry, vo) for slot in snapshot.slots.items if slot.cores for vo in slot.vos)
    places = [(name, vo) for name, entry in configuration.entries.items() for vo in entry.vos]
    return tuple(
        _row(
            place,
            _by_state(snapshot, place),
            share=shares.get(place, Share(requested=0, allowed=0)),
            bound=bounds[place[0]],
            capped=place in capped,
            matching_jobs=matching[place],
            free_slots=free[place],
        )
        for place in places
    )


def _row(
    place: Place,
    pilots: Counter[PilotState],
    *,
    share: Share,
    bound: Bound,
    capped: bool,
    matching_jobs: int,
    free_slots: int,
) -> EntryRow:
    limit, detail = Limit.NONE, ""
    if bound.limit in SHUT or bound.limit is Limit.FAILING:
        # A shut or failing entry says so even when nothing was asked of it.
        limit, detail = bound.limit, bound.detail
    elif share.allowed < share.requested:
        limit, detail = (Limit.CYCLE, "the next cycle goes on") if capped else (bound.limit, bound.detail)
    return EntryRow(
        entry=place[0],
        vo=place[1],
        matching_jobs=matching_jobs,
        requested=share.requested,
        allowed=share.allowed,
        limit=limit,
        detail=detail,
        idle=pilots[PilotState.IDLE],
        running=pilots[PilotState.RUNNING],
        held=pilots[PilotState.HELD],
        free_slots=free_slots,
    )


def _remember(
    snapshot: Snapshot, memory: Memory, *, surplus: frozenset[str], joined: frozenset[str]
) -> Memory:
    pilots, slots = snapshot.pilots, snapshot.slots
    known = {pilot.id for pilot in pilots.items}
    return Memory(
        surplus=surplus,
        # Forget the pilots that are gone, but not because of a query that failed.
        ended=frozenset(pilot.id for pilot in _of(snapshot, PilotState.COMPLETED)),
        joined=joined & known if pilots.complete else joined,
        pilots=len(pilots.items) if pilots.complete else memory.pilots,
        slots=len(slots.items) if slots.complete else memory.slots,
    )
