"""What to do about a snapshot. Pure: the same arguments give the same actions.

1. Can the snapshot be trusted? If not, nothing is requested and nothing removed.
2. Which entries may be sent pilots, and how many (``bounds``)?
3. Which idle jobs find room in what is there, and which entries should get pilots for the rest?
4. Which waiting pilots does nothing ask for, in this snapshot and in the one before?
5. Which running pilots are idle and decide otherwise than those sent now, in both?

What the guard wants stopped is stopped whatever the rest says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opengoc.factory.bounds import bounds_of, bounds_of_all, bounds_of_vos, count_pilots
from opengoc.factory.configuration import Configuration
from opengoc.factory.demand import Bound, Place, Share, divide
from opengoc.factory.held import alive, held_actions
from opengoc.factory.match import Cluster, Matching
from opengoc.factory.mirror import ALONE, Mirrored
from opengoc.factory.mirror_bounds import shared, with_mirrors
from opengoc.factory.model import (
    Action,
    CollectPilot,
    Decision,
    Memory,
    Pace,
    Pilot,
    PilotState,
    RemovePilot,
    Snapshot,
    StopStartd,
    SubmitPilots,
)
from opengoc.factory.protection import protect
from opengoc.factory.protection_ends import Judged
from opengoc.factory.ramp import Ramp
from opengoc.factory.rows import rows_of
from opengoc.factory.supply import LATE, WAITING, Room, assign, rooms_of
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
    paused: Mapping[str, str] | None = None,
    stops: Sequence[RemovePilot | StopStartd] = (),
    ends: Iterable[Judged] = (),
    ramp: Ramp | None = None,
    mirrors: Mirrored = ALONE,
) -> Decision:
    """The actions of one cycle and what they rest on.

    ``paused`` are entries that get nothing, with the reason; ``stops`` is what the guard wants stopped.
    ``ends`` are the pilots that ended of late, by which entries are closed and opened again; ``ramp`` is what
    was sent of late, by which they are filled slowly. ``mirrors`` are factories that share the limits, with
    what they hold. ``matching`` is what was worked out in earlier cycles: it saves time and changes nothing.
    """
    pace, ramp = pace or Pace(), ramp or Ramp()
    frozen = why_frozen(snapshot, memory)
    frozen_vos = {} if frozen else why_frozen_vos(snapshot, memory)
    own = count_pilots(snapshot)
    pilots = with_mirrors(own, mirrors)
    clusters = (matching or Matching()).match(configuration, snapshot.payloads)
    joined = memory.joined | {slot.pilot_id for slot in snapshot.slots.items}
    rooms = rooms_of(snapshot, configuration, joined=joined, now=now, pace=pace, mirrors=mirrors)
    left, used = _supply(clusters, list(rooms))
    of_entries = bounds_of(
        configuration,
        pilots,
        registry,
        frozen=frozen,
        protection=protect(ends, now=now, alive=alive(snapshot, joined)),
        paused=paused or {},
        ramp=ramp,
        now=now,
    )
    over_all = bounds_of_all(configuration.limits, pilots.values(), pace, ramp=ramp, now=now)
    bounds = _Bounds.shared(of_entries, bounds_of_vos(configuration.entries, pilots), over_all, mirrors)
    shares, binding = _demand(configuration, clusters, left, bounds, frozen_vos)
    unneeded = _unneeded(snapshot, configuration, used | joined, frozen_vos)
    stops = stops[: pace.stops]
    actions: list[Action] = [*stops, *_collections(snapshot, now=now, pace=pace)]
    if not frozen:
        held, released = held_actions(snapshot, configuration, now=now, pace=pace)
        removals = _removals(snapshot, unneeded.also_in(memory), held=held, stops=stops, pace=pace)
        actions += [*_submissions(shares), *released, *removals]
    return Decision(
        actions=tuple(actions),
        rows=rows_of(snapshot, configuration, clusters, own, shares, bounds.entries, binding, frozen_vos),
        frozen=frozen,
        frozen_vos=frozen_vos,
        unmatched_jobs=sum(cluster.idle for cluster in clusters if not cluster.entries),
        memory=_remember(snapshot, memory, _Unneeded() if frozen else unneeded, joined=joined),
    )


@dataclass(frozen=True, kw_only=True)
class _Bounds:
    """How many pilots may be sent in this cycle, and what says so."""

    entries: Mapping[str, Bound]
    #: Of a VO at an entry, where the entry limits it.
    vos: Mapping[Place, Bound]
    over_all: Bound

    @classmethod
    def shared(
        cls,
        entries: Mapping[str, Bound],
        vos: Mapping[Place, Bound],
        over_all: Iterable[Bound],
        mirrors: Mirrored,
    ) -> _Bounds:
        """What the mirrors leave of each, the least of those over all entries."""
        return cls(
            entries={name: shared(bound, mirrors, entry=name) for name, bound in entries.items()},
            vos={(name, vo): shared(cap, mirrors, entry=name, vo=vo) for (name, vo), cap in vos.items()},
            over_all=min((shared(each, mirrors) for each in over_all), key=lambda bound: bound.pilots),
        )


@dataclass(frozen=True, kw_only=True)
class _Unneeded:
    """Pilots that one snapshot gives no reason to keep; two of them have to agree."""

    #: Waiting ones that nothing asks for.
    surplus: frozenset[str] = frozenset()
    #: Running ones without a job that decide otherwise than those sent now.
    superseded: frozenset[str] = frozenset()

    def also_in(self, memory: Memory) -> _Unneeded:
        """Those that the cycle before saw as well."""
        return _Unneeded(
            surplus=self.surplus & memory.surplus, superseded=self.superseded & memory.superseded
        )


def why_frozen(snapshot: Snapshot, memory: Memory) -> str:
    """Why the snapshot is no ground for requests or removals; empty when it is one.

    A daemon that restarted answers with an empty list and no error. So a list that is suddenly empty while
    the other side still knows of pilots has to be seen twice.
    """
    queues = [queue for queue in snapshot.queues if not queue.complete]
    # Nobody else's queue can tell what the VOs of one queue want; what they are is known once it was whole.
    known = all(queue.source in memory.vos for queue in queues) and len(queues) < len(snapshot.queues)
    spared = {queue.source for queue in queues} if known else set()
    lacking = [
        f"{each.source}: {each.error}"
        for each in snapshot.observations
        if not each.complete and each.source not in spared
    ]
    if lacking:
        return "; ".join(lacking)
    running = len(snapshot.pilots_in(PilotState.RUNNING))
    if memory.slots and not snapshot.slots.items and running:
        return f"the pool shows no slot, {memory.slots} before, while {running} pilots run: looking again"
    if memory.pilots and not snapshot.pilots.items and snapshot.slots.items:
        slots = len(snapshot.slots.items)
        return f"the factory's queue is empty, {memory.pilots} before, while {slots} slots run: looking again"
    return ""


def why_frozen_vos(snapshot: Snapshot, memory: Memory) -> dict[str, str]:
    """The VOs that had jobs in a queue which does not answer now, with the reason."""
    return {
        vo: f"{queue.source}: {queue.error}"
        for queue in snapshot.queues
        if not queue.complete
        for vo in memory.vos.get(queue.source, ())
    }


def _supply(clusters: Sequence[Cluster], rooms: Sequence[Room]) -> tuple[Sequence[int], frozenset[str]]:
    """Idle jobs of each cluster without room in what is there, and the pilots that jobs were given to."""
    assigned = assign(clusters, [room for room in rooms if room.rank < LATE])
    # A late pilot is not counted on, and yet not taken back while there is something for it to do. Nor is one
    # that waits, though there is room in the pool for the same jobs: they start where they are matched first.
    waiting = [room for room in rooms if room.rank in (WAITING, LATE)]
    return assigned.left, assigned.used | assign(clusters, rooms).used | assign(clusters, waiting).used


def _demand(
    configuration: Configuration,
    clusters: Sequence[Cluster],
    left: Sequence[int],
    bounds: _Bounds,
    frozen_vos: Mapping[str, str],
) -> tuple[dict[Place, Share], dict[Place, Bound]]:
    """The pilots to send for the jobs left of each cluster, and the limits beside those of the entries."""
    wanted = [0 if each.vo in frozen_vos else n for each, n in zip(clusters, left, strict=True)]
    entries, caps = configuration.entries, bounds.vos
    shares = divide(clusters, wanted, entries=entries, bounds=bounds.entries, caps=caps)
    reached = {
        place: cap for place, cap in caps.items() if place in shares and shares[place].allowed >= cap.pilots
    }
    shares, capped = _pace(shares, bounds.over_all.pilots)
    return shares, reached | dict.fromkeys(capped, bounds.over_all)


def _unneeded(
    snapshot: Snapshot, configuration: Configuration, needed: frozenset[str], frozen_vos: Mapping[str, str]
) -> _Unneeded:
    """What there is beside the pilots that jobs were given to, or that joined the pool (``needed``).

    The queue is told of a start later than the pool.
    """
    idle = {slot.pilot_id for slot in snapshot.slots.items if not slot.is_busy}
    return _Unneeded(
        surplus=frozenset(
            pilot.id
            for pilot in snapshot.pilots_in(PilotState.IDLE)
            if pilot.id not in needed and pilot.vo not in frozen_vos
        ),
        superseded=frozenset(
            pilot.id
            for pilot in snapshot.pilots_in(PilotState.RUNNING)
            if pilot.id in idle and not configuration.is_current(pilot.digest, pilot.entry, pilot.vo)
        ),
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


def _collections(snapshot: Snapshot, *, now: datetime, pace: Pace) -> list[CollectPilot]:
    given_up = now - timedelta(seconds=pace.collect_seconds)
    return [
        CollectPilot(pilot=pilot, is_last_try=pilot.since <= given_up)
        for pilot in snapshot.pilots_in(PilotState.COMPLETED)
    ]


def _removals(
    snapshot: Snapshot,
    unneeded: _Unneeded,
    *,
    held: Iterable[RemovePilot],
    stops: Sequence[RemovePilot | StopStartd],
    pace: Pace,
) -> list[RemovePilot]:
    """Pilots that nothing asked for twice running, and ``held`` ones that are given up; the youngest first.

    ``stops`` are on their way out already.
    """
    leaving = {each.pilot.id for each in stops if isinstance(each, RemovePilot)}
    chosen = [
        RemovePilot(pilot=pilot, reason=reason, is_unneeded=True)
        for pilot in snapshot.pilots.items
        if (reason := _why_remove(pilot, unneeded))
    ]
    chosen = [each for each in (*chosen, *held) if each.pilot.id not in leaving]
    return sorted(chosen, key=lambda each: each.pilot.since, reverse=True)[: pace.removals]


def _why_remove(pilot: Pilot, unneeded: _Unneeded) -> str:
    if pilot.state is PilotState.IDLE and pilot.id in unneeded.surplus:
        return "no job asks for it"
    if pilot.state is PilotState.RUNNING and pilot.id in unneeded.superseded:
        return "idle, and decides by an earlier policy"
    return ""


def _remember(snapshot: Snapshot, memory: Memory, unneeded: _Unneeded, *, joined: frozenset[str]) -> Memory:
    pilots, slots = snapshot.pilots, snapshot.slots
    known = {pilot.id for pilot in pilots.items}
    whole = {queue.source: queue for queue in snapshot.queues if queue.complete}
    vos = {source: frozenset(job.vo for job in queue.items) for source, queue in whole.items()}
    return Memory(
        surplus=unneeded.surplus,
        superseded=unneeded.superseded,
        vos={**memory.vos, **vos},
        # Forget the pilots that are gone, but not because of a query that failed.
        joined=joined & known if pilots.complete else joined,
        pilots=len(pilots.items) if pilots.complete else memory.pilots,
        slots=len(slots.items) if slots.complete else memory.slots,
    )
