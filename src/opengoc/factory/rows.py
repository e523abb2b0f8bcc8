"""One row an entry and VO: what a cycle found and decided, for people and for the history. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from opengoc.factory.bounds import States
from opengoc.factory.configuration import Configuration
from opengoc.factory.demand import SHUT, Bound, Place, Share
from opengoc.factory.match import Cluster
from opengoc.factory.model import EntryRow, Limit, PilotState, Snapshot


def rows_of(
    snapshot: Snapshot,
    configuration: Configuration,
    clusters: Sequence[Cluster],
    pilots: Mapping[Place, States],
    shares: Mapping[Place, Share],
    bounds: Mapping[str, Bound],
    binding: Mapping[Place, Bound],
    frozen_vos: Mapping[str, str],
) -> tuple[EntryRow, ...]:
    """The rows of every entry and VO, in order of name.

    ``binding`` are limits beside those of the entry, ``frozen_vos`` VOs for which nothing is sent, with the
    reason.
    """
    matching = _matching(clusters)
    free = Counter((slot.entry, vo) for slot in snapshot.slots.items if slot.cores for vo in slot.vos)
    places = [(name, vo) for name, entry in configuration.entries.items() for vo in entry.vos]
    return tuple(
        _row(
            place,
            pilots.get(place, Counter()),
            share=shares.get(place, Share(requested=0, allowed=0)),
            bound=_bound(place, bounds, frozen_vos),
            beside=binding.get(place),
            matching_jobs=matching[place],
            free_slots=free[place],
        )
        for place in places
    )


def _matching(clusters: Sequence[Cluster]) -> Counter[Place]:
    """Idle jobs that each entry may run, by VO."""
    # Many clusters have the same entries: these are gone through once.
    jobs: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for cluster in clusters:
        jobs[(cluster.vo, cluster.entries)] += cluster.idle
    found: Counter[Place] = Counter()
    for (vo, entries), count in jobs.items():
        found.update({(name, vo): count for name in entries})
    return found


def _bound(place: Place, bounds: Mapping[str, Bound], frozen_vos: Mapping[str, str]) -> Bound:
    name, vo = place
    if vo in frozen_vos and bounds[name].limit not in SHUT:
        return Bound(pilots=0, limit=Limit.FROZEN, detail=frozen_vos[vo])
    return bounds[name]


def _row(
    place: Place,
    pilots: States,
    *,
    share: Share,
    bound: Bound,
    beside: Bound | None,
    matching_jobs: int,
    free_slots: int,
) -> EntryRow:
    limit, detail = Limit.NONE, ""
    if bound.limit in SHUT or bound.limit is Limit.CANARY:
        # A shut entry, and one on trial, says so even when nothing was asked of it.
        limit, detail = bound.limit, bound.detail
    elif share.allowed < share.requested:
        named = beside or bound
        limit, detail = named.limit, named.detail
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
