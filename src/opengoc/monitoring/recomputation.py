"""Requests to recompute, as facts: who asked, why, and the state in the place of what was measured."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import new_id
from opengoc.base.interval import Interval
from opengoc.monitoring.model import Status
from opengoc.monitoring.terms import Request
from opengoc.store import facts
from opengoc.store.facts import Fact

#: Kind of the facts; the key is the request's id, the valid time its interval.
KIND = "ar-recomputation"

_NAMES = ("site", "resource", "service", "metric")


def ask(
    conn: Connection,
    *,
    interval: Interval,
    status: Status,
    who: str,
    why: str,
    site: str = "",
    resource: str = "",
    service: str = "",
    metric: str = "",
) -> Request:
    """Ask that a state be put in the place of what was measured. Raises InvalidInput."""
    if not why:
        raise InvalidInput("--why", why, "must say why A/R is to be computed otherwise")
    request = Request(
        id=new_id("re"),
        interval=interval,
        status=status,
        site=site,
        resource=resource,
        service=service,
        metric=metric,
        who=who,
        why=why,
    )
    value = {name: getattr(request, name) for name in _NAMES} | {"status": status.value}
    facts.assert_fact(conn, kind=KIND, key=request.id, value=value, valid=interval, who=who, why=why)
    return request


def withdraw(conn: Connection, request: str, *, who: str, why: str = "") -> None:
    """Take a request back; its history stays. Raises InvalidInput for an unknown one."""
    fact = facts.get(conn, KIND, request)
    if fact is None:
        raise InvalidInput("recomputation", request, "is no request; see `goc ar requests`")
    facts.retract(conn, kind=KIND, key=request, who=who, why=why, expect=fact.version)


def requests(conn: Connection, *, known_at: datetime | None = None) -> tuple[Request, ...]:
    """The requests that stand, the stronger ones last: the narrower, then the later made."""
    standing = [(fact.seq, request_of(fact)) for fact in facts.standing(conn, KIND, known_at=known_at)]
    return tuple(request for _, request in sorted(standing, key=lambda item: (item[1].narrowness, item[0])))


def request_of(fact: Fact) -> Request:
    """The request that a fact states."""
    value = fact.value or {}
    return Request(
        id=fact.key,
        interval=fact.valid,
        status=Status(value["status"]),
        who=fact.who,
        why=fact.why,
        **{name: value[name] for name in _NAMES},
    )
