"""What people may do of whom the login provider says something: by its claims, and by roles in the registry.

Pure, but for finding the contact that somebody is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from opengoc.registry.contacts import contact_called
from opengoc.registry.snapshot import Registry
from opengoc.registry.tokens import Right
from opengoc.settings import LoginSettings


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What somebody may do."""

    rights: frozenset[Right]
    #: Sites whose downtimes they may touch; empty: all.
    sites: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """What somebody's standing follows from."""

    #: Names of the grants of the settings.
    grants: tuple[str, ...] = ()
    #: Id of the contact that they are.
    person: str | None = None

    def as_values(self) -> dict[str, Any]:
        """As JSON values."""
        return {"grants": list(self.grants), "person": self.person}

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Grounds:
        """From JSON values."""
        return cls(grants=tuple(values["grants"]), person=values["person"])


def grounds_of(conn: Connection, claims: Mapping[str, Any], settings: LoginSettings) -> Grounds:
    """What the claims of an id token are grounds for. Needs a write transaction: a person found is logged."""
    grants = tuple(each.name for each in settings.grants if each.value in _values(claims.get(each.claim)))
    return Grounds(grants=grants, person=_person(conn, claims, settings))


def standing_of(grounds: Grounds, settings: LoginSettings, registry: Registry) -> Standing:
    """What grounds allow as grants and roles stand now."""
    granted = [each for each in settings.grants if each.name in grounds.grants]
    rights = {Right(right) for each in granted for right in each.rights}
    announcing = [frozenset(each.sites) for each in granted if Right.DOWNTIMES in each.rights]
    own = _sites_of(grounds.person, settings.contact_roles, registry)
    if own:
        rights.add(Right.DOWNTIMES)
        announcing.append(own)
    # A grant without sites is for all of them.
    sites = frozenset().union(*announcing) if all(announcing) else frozenset()
    return Standing(rights=frozenset(rights), sites=sites)


def _sites_of(person: str | None, roles: Iterable[str], registry: Registry) -> frozenset[str]:
    """Sites of resources for which a person holds one of the roles."""
    if person is None:
        return frozenset()
    wanted = frozenset(roles)
    return frozenset(
        resource.site
        for resource in registry.resources.values()
        if any(role.contact == person and role.role in wanted for role in resource.contacts)
    )


def _person(conn: Connection, claims: Mapping[str, Any], settings: LoginSettings) -> str | None:
    said = claims.get(settings.contact_claim) if settings.contact_claim else None
    if not isinstance(said, str) or not said:
        return None
    if settings.contact_claim == "email" and claims.get("email_verified") is not True:
        # OpenID Connect Core, section 5.1: anybody may have typed it in.
        return None
    return contact_called(conn, settings.contact_field, said, who="login", why="login at the pages")


def _values(said: object) -> frozenset[str]:
    """The values of a claim: a text is one, a list of texts several."""
    several = said if isinstance(said, list) else [said]
    return frozenset(each for each in several if isinstance(each, str))
