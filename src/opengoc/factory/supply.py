"""What is there for the jobs already: free slots in the pool, and pilots on their way. Pure.

Jobs are put into what they can use, so that a slot or a pilot that nobody can use is no supply, and two jobs
do not count on the same core.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from opengoc.factory.configuration import Configuration
from opengoc.factory.entries import Entry
from opengoc.factory.match import Cluster
from opengoc.factory.mirror import ALONE, Mirrored
from opengoc.factory.model import Pace, PilotState, Snapshot

#: Rank of pilots that wait in a queue, and of those that have waited too long to be counted on.
WAITING, LATE = 2, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """Room for jobs of one VO behind one entry."""

    pilot_id: str
    entry: str
    vo: str
    cores: int
    memory_mib: int
    #: Lower ranks are filled first: slots, running pilots, waiting ones, those on their way, late ones.
    rank: int


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Where the idle jobs find room."""

    #: Idle jobs of each cluster, in the given order, for which there is no room.
    left: tuple[int, ...]
    #: Pilots that have something to do.
    used: frozenset[str]


#: (rank, cores, memory in MiB): what is left of a room after a job is a room of another shape.
_Shape: TypeAlias = tuple[int, int, int]


class _Rooms:
    """Rooms by VO, shape and entry: a cluster looks only at the shapes that it fits into."""

    def __init__(self, rooms: Iterable[Room]) -> None:
        self._by_vo: defaultdict[str, dict[_Shape, dict[str, deque[str]]]] = defaultdict(dict)
        for room in rooms:
            shape = (room.rank, room.cores, room.memory_mib)
            self._put_back(room.vo, shape, room.entry, room.pilot_id)

    def put(self, cluster: Cluster, jobs: int, used: set[str]) -> int:
        """Put up to ``jobs`` jobs of a cluster into rooms, the lowest rank first; how many found none."""
        shapes = self._by_vo[cluster.vo]
        for shape in sorted(shapes):
            fit = cluster.fits_into(shape[1], shape[2])
            if not fit:
                continue
            # What is left of a room is a room of another shape, of which this one may be the first.
            by_entry = shapes[shape]
            for entry in [name for name in cluster.entries if name in by_entry]:
                while jobs and by_entry[entry]:
                    # The first come first: the youngest are left over, and are the ones to take back.
                    pilot_id = by_entry[entry].popleft()
                    taken = min(fit, jobs)
                    jobs -= taken
                    used.add(pilot_id)
                    rest = _less(shape, cluster, taken)
                    self._put_back(cluster.vo, rest, entry, pilot_id)
                if not by_entry[entry]:
                    del by_entry[entry]
                if not jobs:
                    return 0
            if not by_entry:
                del shapes[shape]
        return jobs

    def _put_back(self, vo: str, shape: _Shape, entry: str, pilot_id: str) -> None:
        if shape[1] > 0:
            self._by_vo[vo].setdefault(shape, {}).setdefault(entry, deque()).append(pilot_id)


def _less(shape: _Shape, cluster: Cluster, jobs: int) -> _Shape:
    rank, cores, memory_mib = shape
    return (rank, cores - jobs * cluster.cores, memory_mib - jobs * cluster.memory_mib)


def assign(clusters: Sequence[Cluster], rooms: Iterable[Room]) -> Assignment:
    """Put the idle jobs into the rooms, those with the fewest entries first: they have no other place."""
    free = _Rooms(rooms)
    left = [cluster.idle for cluster in clusters]
    used: set[str] = set()
    for number in narrowest_first(clusters):
        if left[number]:
            left[number] = free.put(clusters[number], left[number], used)
    return Assignment(left=tuple(left), used=frozenset(used))


def rooms_of(
    snapshot: Snapshot,
    configuration: Configuration,
    *,
    joined: frozenset[str],
    now: datetime,
    pace: Pace,
    mirrors: Mirrored = ALONE,
) -> Iterable[Room]:
    """Free slots, running pilots that have yet to join, waiting pilots: the oldest of each first.

    Pilots of mirrors stand in the order of the mirrors' names, with one's own among them: so all mirrors
    give the jobs to the same pilots, and agree on which of them nothing asks for.
    """
    for slot in snapshot.slots.items:
        if not slot.accepting or not slot.cores:
            continue
        for vo in slot.vos:
            # A pilot that decides otherwise is no supply: whether it takes a job is not ours to say.
            if configuration.is_current(slot.digest, slot.entry, vo):
                yield Room(
                    pilot_id=slot.pilot_id,
                    entry=slot.entry,
                    vo=vo,
                    cores=slot.cores,
                    memory_mib=slot.memory_mib,
                    rank=0,
                )
    yield from _coming(mirrors, configuration, is_before=True)
    for pilot in sorted(snapshot.pilots.items, key=lambda pilot: (pilot.since, pilot.id)):
        entry = configuration.entries.get(pilot.entry)
        if entry is None or not configuration.is_current(pilot.digest, pilot.entry, pilot.vo):
            continue
        due = pilot.since + timedelta(seconds=pace.join_seconds)
        if pilot.state is PilotState.RUNNING and pilot.id not in joined and now < due:
            yield _whole(pilot.id, entry, pilot.vo, rank=1)
        elif pilot.state is PilotState.IDLE:
            is_late = now - pilot.since > timedelta(seconds=pace.wait_seconds)
            yield _whole(pilot.id, entry, pilot.vo, rank=LATE if is_late else WAITING)
    for submission in snapshot.submissions:
        if entry := configuration.entries.get(submission.entry):
            yield _whole(submission.pilot_id, entry, submission.vo, rank=3)
    yield from _coming(mirrors, configuration, is_before=False)


def _coming(mirrors: Mirrored, configuration: Configuration, *, is_before: bool) -> Iterable[Room]:
    """Pilots of mirrors on their way into the pool; of the mirrors before this one, or after it."""
    for name, (entry_name, vo), count in mirrors.coming():
        entry = configuration.entries.get(entry_name)
        if entry is not None and (name < mirrors.own) is is_before:
            for number in range(count):
                yield _whole(f"{name}#{entry_name}#{vo}#{number}", entry, vo, rank=WAITING)


def _whole(pilot_id: str, entry: Entry, vo: str, *, rank: int) -> Room:
    return Room(
        pilot_id=pilot_id,
        entry=entry.name,
        vo=vo,
        cores=entry.cores,
        memory_mib=entry.memory_mib,
        rank=rank,
    )


def narrowest_first(clusters: Sequence[Cluster]) -> list[int]:
    """Numbers of the clusters, those that fit into the fewest places first, larger jobs before smaller."""
    return sorted(
        range(len(clusters)),
        key=lambda n: (len(clusters[n].entries), -clusters[n].cores, -clusters[n].memory_mib),
    )
