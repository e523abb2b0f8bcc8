"""What to do about a snapshot. Pure: the same arguments give the same actions.

1. Can the snapshot be trusted? If not, nothing is requested and nothing removed.
2. Which entries may be sent pilots, and how many (``bounds``)?
3. Which idle jobs find room in what is there, and which entries should get pilots for the rest?
4. Which waiting pilots does nothing ask for, in this snapshot and in the one before?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from opengoc.factory.bounds import bounds_of, count_failures, count_pilots
from opengoc.factory.configuration import Configuration
from opengoc.factory.demand import Place, Share, divide
from opengoc.factory.match import Matching
from opengoc.factory.model import (
    Action,
    CollectPilot,
    Decision,
    Memory,
    Pace,
    PilotState,
    RemovePilot,
    Snapshot,
    SubmitPilots,
)
from opengoc.factory.rows import rows_of
from opengoc.factory.supply import LATE, assign, rooms_of
from opengoc.registry.snapshot import Registry


def decide(
    snapshot: Snapshot,
    configuration: Configuration,
    registry: Registry,
    *,
    now: datetime,
    memory: Memory,
    pace: Pace | None = None,
    matching: Matching | None = None,
) -> Decision:
    """The actions of one cycle and what they rest on.

    ``matching`` is what was worked out in earlier cycles: it saves time and changes nothing.
    """
    pace = pace or Pace()
    frozen = why_frozen(snapshot, memory)
    failures = count_failures(snapshot, memory)
    pilots = count_pilots(snapshot)
    clusters = (matching or Matching()).match(configuration, snapshot.payloads)
    joined = memory.joined | {slot.pilot_id for slot in snapshot.slots.items}
    rooms = list(rooms_of(snapshot, configuration, joined=joined, now=now, pace=pace))
    assigned = assign(clusters, [room for room in rooms if room.rank < LATE])
    # A late pilot is not counted on, and yet not taken back while there is something for it to do.
    used = assign(clusters, rooms).used | assigned.used
    bounds = bounds_of(configuration, pilots, registry, frozen=frozen, failures=failures, now=now, pace=pace)
    shares = divide(clusters, assigned.left, entries=configuration.entries, bounds=bounds)
    shares, capped = _pace(shares, pace.submissions)
    surplus = frozenset(pilot.id for pilot in snapshot.pilots_in(PilotState.IDLE) if pilot.id not in used)
    given_up = now - timedelta(seconds=pace.collect_seconds)
    actions: list[Action] = [
        CollectPilot(pilot=pilot, is_last_try=pilot.since <= given_up)
        for pilot in snapshot.pilots_in(PilotState.COMPLETED)
    ]
    if not frozen:
        actions += _submissions(shares)
        actions += _removals(snapshot, surplus & memory.surplus, now=now, pace=pace)
    return Decision(
        actions=tuple(actions),
        rows=rows_of(snapshot, configuration, clusters, pilots, shares, bounds, capped),
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
    running = len(snapshot.pilots_in(PilotState.RUNNING))
    if memory.slots and not snapshot.slots.items and running:
        return f"the pool shows no slot, {memory.slots} before, while {running} pilots run: looking again"
    if memory.pilots and not snapshot.pilots.items and snapshot.slots.items:
        slots = len(snapshot.slots.items)
        return f"the factory's queue is empty, {memory.pilots} before, while {slots} slots run: looking again"
    return ""


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
        for pilot in snapshot.pilots_in(PilotState.IDLE)
        if pilot.id in surplus
    ] + [
        RemovePilot(pilot=pilot, reason=f"held: {pilot.hold_reason}")
        for pilot in snapshot.pilots_in(PilotState.HELD)
        if pilot.since <= given_up
    ]
    return sorted(chosen, key=lambda each: each.pilot.since, reverse=True)[: pace.removals]


def _remember(
    snapshot: Snapshot, memory: Memory, *, surplus: frozenset[str], joined: frozenset[str]
) -> Memory:
    pilots, slots = snapshot.pilots, snapshot.slots
    known = {pilot.id for pilot in pilots.items}
    ended = (pilot.id for pilot in snapshot.pilots_in(PilotState.COMPLETED))
    return Memory(
        surplus=surplus,
        # Forget the pilots that are gone, but not because of a query that failed.
        ended=frozenset(ended) if pilots.complete else memory.ended,
        joined=joined & known if pilots.complete else joined,
        pilots=len(pilots.items) if pilots.complete else memory.pilots,
        slots=len(slots.items) if slots.complete else memory.slots,
    )
