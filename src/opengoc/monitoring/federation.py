"""Federations: named groups of sites, each with a weight, whose A/R is reported as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.monitoring import argo
from opengoc.monitoring.availability import Ratio
from opengoc.monitoring.profile import Profile, Quirk
from opengoc.store import facts

#: Kind of the facts; the key is the federation's name.
KIND = "ar-federation"


@dataclass(frozen=True, kw_only=True)
class Federation:
    """Sites and their weights, e.g. installed capacity; 0 or more."""

    name: str
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.weights:
            raise InvalidInput(f"federation {self.name}", "", "needs at least one site")
        for site, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise InvalidInput(f"federation {self.name}: weight of {site}", weight, "must be 0 or more")


def percent(federation: Federation, days: Mapping[str, Sequence[Ratio]], profile: Profile) -> float | None:
    """The A (or R) of a federation from each site's days; None where none of it counts.

    Weighted ratio of sums: Σ w·up / Σ w·counted, with w the weight and the profile's offset. A site of which
    nothing is known weighs nothing. As ARGO built it: Σ w·A / Σ w of each day, then the mean of the days.
    """
    weight_of = {site: weight + profile.weight_offset for site, weight in federation.weights.items()}
    members = {site: days[site] for site in federation.weights if site in days}
    if Quirk.MEAN_OF_DAYS in profile.quirks:
        count = max((len(each) for each in members.values()), default=0)
        daily = []
        for index in range(count):
            today = [(each[index].percent, federation.weights[site]) for site, each in members.items()]
            known = [(value, weight) for value, weight in today if value is not None]
            value = argo.supergroup_day(known)
            if value is not None:
                daily.append(value)
        return sum(daily) / len(daily) if daily else None
    up = sum(Fraction(weight_of[site]) * sum(d.up_seconds for d in each) for site, each in members.items())
    of = sum(
        Fraction(weight_of[site]) * sum(d.counted_seconds for d in each) for site, each in members.items()
    )
    return float(100 * Fraction(up) / Fraction(of)) if of else None


def define(conn: Connection, federation: Federation, *, who: str, why: str = "") -> None:
    """Say which sites a federation has; every change is a new version."""
    value = {"weights": dict(federation.weights)}
    fact = facts.get(conn, KIND, federation.name)
    if fact is None:
        valid = Interval(utc_now())
        facts.assert_fact(conn, kind=KIND, key=federation.name, value=value, valid=valid, who=who, why=why)
    elif fact.value != value:
        facts.supersede(
            conn, kind=KIND, key=federation.name, value=value, who=who, why=why, expect=fact.version
        )


def federations(conn: Connection, *, known_at: datetime | None = None) -> tuple[Federation, ...]:
    """Every federation, by name."""
    return tuple(
        Federation(name=fact.key, weights=(fact.value or {})["weights"])
        for fact in facts.standing(conn, KIND, known_at=known_at)
    )
