"""Tokens of programs and people that may do more than read: kept as digests, with what each may do."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import digest
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.registry.model import check_name
from opengoc.store import facts

_KIND = "token"


class Right(StrEnum):
    """What a token may do beyond reading what is public."""

    #: Read names and addresses of persons.
    CONTACTS = "contacts"
    #: Announce, change and cancel downtimes.
    DOWNTIMES = "downtimes"
    #: Send results of probes, under the token's name.
    RESULTS = "results"
    #: Approve and reject late corrections of published reports.
    REPORTS = "reports"


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token that stands; its secret is known to its holder alone."""

    name: str
    rights: frozenset[Right]
    #: Names of sites whose downtimes it may touch; empty: of all.
    sites: frozenset[str] = frozenset()


def add_token(
    conn: Connection, name: str, *, rights: Iterable[Right], sites: Iterable[str] = (), who: str
) -> str:
    """Make a token and give its secret, shown this once. Raises Conflict for a name that is taken."""
    check_name("token", name)
    wanted = sorted(set(rights))
    if not wanted:
        raise InvalidInput("rights", "", f"needs one or more of: {', '.join(Right)}")
    secret = f"goc_{secrets.token_urlsafe(32)}"
    value = {"digest": digest(secret), "rights": wanted, "sites": sorted(set(sites))}
    facts.assert_fact(conn, kind=_KIND, key=name, value=value, valid=Interval(utc_now()), who=who)
    return secret


def revoke_token(conn: Connection, name: str, *, who: str, why: str) -> None:
    """End a token at once. Raises InvalidInput for an unknown one."""
    fact = facts.get(conn, _KIND, name)
    if fact is None:
        raise InvalidInput("token", name, "is no token; see `goc token list`")
    facts.retract(conn, kind=_KIND, key=name, who=who, why=why, expect=fact.version)


def tokens(conn: Connection) -> list[Token]:
    """Every token that stands."""
    return [_token(fact.key, fact.value or {}) for fact in facts.standing(conn, _KIND)]


def token_of(conn: Connection, secret: str) -> Token | None:
    """The token that a secret opens; None: none does."""
    return token_with(conn, digest(secret))


def token_with(conn: Connection, secret_digest: str) -> Token | None:
    """The token whose secret has this digest; None where it was revoked, or never was."""
    for fact in facts.standing(conn, _KIND):
        value = fact.value or {}
        if secrets.compare_digest(value["digest"], secret_digest):
            return _token(fact.key, value)
    return None


def _token(name: str, value: dict[str, list[str]]) -> Token:
    rights = frozenset(Right(right) for right in value["rights"])
    return Token(name=name, rights=rights, sites=frozenset(value["sites"]))
