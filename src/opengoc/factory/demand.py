"""Jobs without room become pilots: divided over the entries that may take them, held to the limits. Pure.

A job counts once, however many entries it could use. What an entry's limit turns away is offered to others.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from opengoc.factory.entries import Entry
from opengoc.factory.match import Cluster
from opengoc.factory.model import Limit
from opengoc.factory.supply import narrowest_first

#: Entry and VO.
Place: TypeAlias = tuple[str, str]

#: Limits that say that nothing is sent, rather than how much.
SHUT = frozenset(
    {Limit.DISABLED, Limit.PAUSED, Limit.FAILING, Limit.OUTAGE, Limit.OUTAGE_AHEAD, Limit.FROZEN}
)

#: Parts of a pilot are added up: what rounding leaves is no pilot.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Bound:
    """How many more pilots an entry may be sent, and what says so."""

    pilots: int
    limit: Limit = Limit.NONE
    detail: str = ""
    #: The number of a limit that counts pilots, and how many count; None for others.
    cap: int | None = None
    used: int | None = None


@dataclass(frozen=True, kw_only=True)
class Share:
    """Pilots for one entry and VO."""

    requested: int
    allowed: int


def divide(
    clusters: Sequence[Cluster],
    left: Sequence[int],
    *,
    entries: Mapping[str, Entry],
    bounds: Mapping[str, Bound],
    caps: Mapping[Place, Bound] | None = None,
) -> dict[Place, Share]:
    """The pilots that ``left`` jobs of each cluster ask for, by entry and VO.

    ``caps`` bound one VO at one entry. An entry without a bound takes none. Entries that are shut (a bound
    of 0 that is no count of pilots) are asked only for jobs that have no other: so it shows what waits for
    them.
    """
    jobs = _Jobs(clusters, entries)
    shut = {name for name, bound in bounds.items() if bound.limit in SHUT}
    asked: dict[tuple[str, ...], tuple[str, ...]] = {}
    for number in narrowest_first(clusters):
        names = clusters[number].entries
        # Many clusters have the same entries.
        if left[number] and names not in asked:
            known = tuple(name for name in names if name in bounds)
            asked[names] = tuple(name for name in known if name not in shut) or known
        if left[number]:
            jobs.spread(number, left[number], asked[names])
    caps = caps or {}
    allowed = _allow(jobs.pilots(), bounds, caps)
    # Once more for what the limits turned away: others may have room for it.
    jobs.move_on(allowed, {name for name in bounds if name not in shut}, bounds, caps)
    requested = jobs.pilots()
    allowed = _allow(requested, bounds, caps)
    return {
        place: Share(requested=pilots, allowed=allowed[place])
        for place, pilots in sorted(requested.items())
        if pilots
    }


@dataclass(frozen=True, kw_only=True)
class _Fitting:
    """Entries of which a pilot takes at least one job of some kind."""

    #: How many a pilot takes.
    fits: Mapping[str, int]
    #: Jobs that all pilots of an entry take.
    weights: Mapping[str, int]
    total: int
    largest: int


class _Jobs:
    """Which jobs were given to which entry."""

    def __init__(self, clusters: Sequence[Cluster], entries: Mapping[str, Entry]) -> None:
        self._clusters = clusters
        self._entries = entries
        #: Jobs of a cluster given to an entry.
        self._given: Counter[tuple[int, str]] = Counter()
        #: Pilots, in parts, that jobs were given for: by entry and VO, and by entry.
        self._parts: defaultdict[Place, float] = defaultdict(float)
        self._load: defaultdict[str, float] = defaultdict(float)
        #: Of each VO, the entries with a pilot that is filled in part.
        self._begun: defaultdict[str, set[str]] = defaultdict(set)
        #: Cores and memory of a pilot; entries differ in few.
        self._shape = {name: (entry.cores, entry.memory_mib) for name, entry in entries.items()}
        self._sizes = {name: max(1, entry.max_pilots) for name, entry in entries.items()}
        #: By names of entries: their shapes; and with how many jobs fit into each shape, what fits where.
        self._shapes: dict[tuple[str, ...], tuple[tuple[int, int], ...]] = {}
        self._fitting: dict[tuple[tuple[str, ...], tuple[int, ...]], _Fitting] = {}

    def spread(self, number: int, jobs: int, names: tuple[str, ...]) -> None:
        """Give jobs of a cluster to entries in proportion to their size, in whole pilots.

        What makes no whole pilot goes into pilots that are begun, then to the least loaded entry.
        """
        found = self._fits(number, names)
        fits, total = found.fits, found.total
        if not total:
            return
        rest = jobs
        # Fewer jobs than entries, as often: then no part is a whole pilot.
        if jobs * found.largest >= total:
            for name, fit in fits.items():
                part = math.floor(jobs * found.weights[name] / total)
                part -= part % fit
                self._give(number, name, part)
                rest -= part
        while rest:
            name, room = self._best(self._clusters[number].vo, fits)
            taken = min(rest, room)
            self._give(number, name, taken)
            rest -= taken

    def _best(self, vo: str, fits: Mapping[str, int]) -> tuple[str, int]:
        """Where the next job goes, and how many like it find room in the same pilot."""
        for name in sorted(self._begun[vo] & fits.keys()):
            parts = self._parts[(name, vo)]
            room = math.floor((math.ceil(parts - _ROUNDING) - parts) * fits[name] + _ROUNDING)
            if room:
                return name, room
        name = min(fits, key=lambda name: (self._load[name] / self._sizes[name], name))
        return name, fits[name]

    def move_on(
        self,
        allowed: Mapping[Place, int],
        open_entries: set[str],
        bounds: Mapping[str, Bound],
        caps: Mapping[Place, Bound],
    ) -> None:
        """Offer what the limits turn away to entries that are open and have room."""
        turned_away = {p: parts - allowed.get(p, 0) for p, parts in self._parts.items()}
        sent: Counter[str] = Counter()
        for (name, _), count in allowed.items():
            sent[name] += count
        room = {name: float(bounds[name].pilots - sent[name]) for name in open_entries}
        room = {name: left for name, left in room.items() if left > 0}
        room_of_vo = {place: float(cap.pilots - allowed.get(place, 0)) for place, cap in caps.items()}
        for (number, name), jobs in list(self._given.items()):
            place = (name, self._clusters[number].vo)
            fit = self._fit(number, name)
            over = min(jobs, math.floor(max(0.0, turned_away[place]) * fit + _ROUNDING))
            if not over:
                continue
            for other in self._clusters[number].entries:
                if other not in room:
                    continue
                fit_other = self._fit(number, other)
                left = min(room[other], room_of_vo.get((other, place[1]), math.inf))
                if other == name or not fit_other or left <= 0 or not over:
                    continue
                moved = min(over, math.floor(left * fit_other + _ROUNDING))
                self._give(number, other, moved)
                over -= moved
                room[other] -= moved / fit_other
                if (other, place[1]) in room_of_vo:
                    room_of_vo[(other, place[1])] -= moved / fit_other
                turned_away[place] -= moved / fit

    def pilots(self) -> dict[Place, int]:
        """Whole pilots by entry and VO."""
        return {place: math.ceil(parts - _ROUNDING) for place, parts in self._parts.items()}

    def _give(self, number: int, name: str, jobs: int) -> None:
        if not jobs:
            return
        vo = self._clusters[number].vo
        parts = jobs / self._fit(number, name)
        self._given[(number, name)] += jobs
        self._load[name] += parts
        self._parts[(name, vo)] += parts
        left = math.ceil(self._parts[(name, vo)] - _ROUNDING) - self._parts[(name, vo)]
        (self._begun[vo].add if left > _ROUNDING else self._begun[vo].discard)(name)

    def _fit(self, number: int, name: str) -> int:
        entry = self._entries[name]
        return self._clusters[number].fits_into(entry.cores, entry.memory_mib)

    def _fits(self, number: int, names: tuple[str, ...]) -> _Fitting:
        """Where jobs of the cluster fit; worked out once for clusters that fit in the same way."""
        shapes = self._shapes.get(names)
        if shapes is None:
            shapes = self._shapes[names] = tuple(dict.fromkeys(self._shape[name] for name in names))
        fit_of = self._clusters[number].fits_into_each(shapes)
        found = self._fitting.get((names, fit_of))
        if found is None:
            of_shape = dict(zip(shapes, fit_of, strict=True))
            fits = {name: fit for name in names if (fit := of_shape[self._shape[name]])}
            weights = {name: self._sizes[name] * fit for name, fit in fits.items()}
            found = self._fitting[(names, fit_of)] = _Fitting(
                fits=fits,
                weights=weights,
                total=sum(weights.values()),
                largest=max(weights.values(), default=0),
            )
        return found


def _allow(
    requested: Mapping[Place, int], bounds: Mapping[str, Bound], caps: Mapping[Place, Bound]
) -> dict[Place, int]:
    """What each entry's bound leaves, its VOs served in turn, each up to its own cap."""
    most = {
        place: min(count, caps[place].pilots) if place in caps else count
        for place, count in requested.items()
    }
    allowed = dict.fromkeys(requested, 0)
    for name in {name for name, _ in requested}:
        places = sorted(place for place in requested if place[0] == name)
        left = bounds[name].pilots
        while left > 0 and (waiting := [p for p in places if allowed[p] < most[p]]):
            for place in waiting[:left]:
                allowed[place] += 1
            left -= len(waiting[:left])
    return allowed
