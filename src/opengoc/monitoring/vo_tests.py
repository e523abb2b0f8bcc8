"""The tests of a VO: which metrics of which kinds of service count for it. A change is a new version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.monitoring.profile import SAM_WLCG, Profile, profile
from opengoc.store import facts

#: Kind of the facts; the key is the VO, lower case.
KIND = "ar-tests"


def define(
    conn: Connection, vo: str, tests: Mapping[str, tuple[str, ...]], *, who: str, why: str = ""
) -> None:
    """Say which metrics of which services count for a VO. Raises InvalidInput where none is named."""
    if not tests or not all(tests.values()):
        raise InvalidInput(f"tests of {vo}", dict(tests), "must name a metric for each kind of service")
    key, value = vo.casefold(), {"tests": {kind: sorted(named) for kind, named in sorted(tests.items())}}
    fact = facts.get(conn, KIND, key)
    if fact is None:
        facts.assert_fact(conn, kind=KIND, key=key, value=value, valid=Interval(utc_now()), who=who, why=why)
    elif fact.value != value:
        facts.supersede(conn, kind=KIND, key=key, value=value, who=who, why=why, expect=fact.version)


def profile_of(conn: Connection, name: str, *, known_at: datetime | None = None) -> Profile:
    """The profile of a name; ``sam-wlcg:VO`` counts the tests of a VO alone. Raises InvalidInput."""
    base, _, vo = name.partition(":")
    if not vo:
        return profile(name)
    if base != SAM_WLCG.name:
        raise InvalidInput("profile", name, f"only {SAM_WLCG.name} takes a VO")
    fact = facts.get(conn, KIND, vo.casefold(), known_at=known_at)
    if fact is None:
        raise InvalidInput("profile", name, f"{vo} has no tests: say which with `goc ar tests {vo} …`")
    tests = {kind: tuple(named) for kind, named in (fact.value or {})["tests"].items()}
    # The version of the tests is the version of the profile: the rest is the same for every VO.
    return replace(SAM_WLCG, name=f"{base}:{fact.key}", version=fact.version, tests=tests)
