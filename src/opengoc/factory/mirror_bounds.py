"""Limits that mirrors share: their pilots count, and what is left is taken in parts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from opengoc.factory.bounds import States
from opengoc.factory.demand import SHUT, Bound, Place
from opengoc.factory.mirror import Holding, Mirrored
from opengoc.factory.model import Limit

#: Limits that count something else than the pilots that are there.
_RATES = frozenset({Limit.MAX_PER_CYCLE, Limit.MAX_PER_MINUTE})


def _alive(holding: Holding) -> int:
    return holding.alive


#: What of a mirror's pilots a limit is about, where that is not all of them.
_MEASURES: Mapping[Limit, Callable[[Holding], int]] = {
    Limit.MAX_IDLE: lambda holding: holding.waiting,
    Limit.MAX_HELD: lambda holding: holding.held,
}


def with_mirrors(own: Mapping[Place, States], mirrors: Mirrored) -> Mapping[Place, States]:
    """Pilots of all mirrors together."""
    theirs = mirrors.counts()
    if not theirs:
        return own
    nothing: States = Counter()
    return {place: own.get(place, nothing) + theirs.get(place, nothing) for place in own.keys() | theirs}


def shared(bound: Bound, mirrors: Mirrored, *, entry: str | None = None, vo: str | None = None) -> Bound:
    """A bound that all mirrors count against, as far as it is this one's in this cycle; who holds the rest.

    Rates are divided as well: the site sees the sum.
    """
    if not mirrors.held or bound.limit in SHUT or bound.limit is Limit.CYCLE:
        return bound
    part = mirrors.part(bound.pilots)
    held = (
        "" if bound.limit in _RATES else mirrors.said(_MEASURES.get(bound.limit, _alive), entry=entry, vo=vo)
    )
    left = f", {bound.pilots - part} left to other mirrors in this cycle" if part < bound.pilots else ""
    return replace(bound, pilots=part, detail=bound.detail + held + left)
