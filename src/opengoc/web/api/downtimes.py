"""/api/downtimes and /api/changes: what is announced, as known at any moment, and what changed since."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.exceptions import HTTPException

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, DowntimeState, Part
from opengoc.registry.reading import decoded
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import (
    announce,
    cancel_downtime,
    change_downtime,
    read_downtime,
    reinstate_downtime,
)
from opengoc.registry.tokens import Right, Token
from opengoc.registry.tree import KINDS
from opengoc.store import facts
from opengoc.store.facts import Fact
from opengoc.web.api.asking import (
    Asking,
    AsOf,
    Credentials,
    Limit,
    Moment,
    house_of,
    moment,
    page,
    registry_at,
    require,
)
from opengoc.web.api.models import (
    GUARDED,
    PROBLEMS,
    ChangeKind,
    ChangeOut,
    ChangesOut,
    DowntimeChange,
    DowntimeIn,
    DowntimeOut,
    Page,
    Reason,
)
from opengoc.web.api.route import ApiRoute

router = APIRouter(prefix="/api", tags=["downtimes"], route_class=ApiRoute, responses=PROBLEMS)

Id = Annotated[str, Path(max_length=200)]
Wanted = Annotated[str | None, Query(max_length=200)]
Kind = Annotated[str, Field(json_schema_extra={"enum": list(KINDS)})]


@router.get("/downtimes")
def downtimes(
    request: Request,
    asked: Asking,
    resource: Wanted = None,
    site: Wanted = None,
    state: DowntimeState | None = None,
    from_: Annotated[Moment, Query(alias="from")] = None,
    to: Moment = None,
) -> Page[DowntimeOut]:
    """Downtimes by start; those that overlap from ≤ t < to, of a resource or site, in a state."""
    registry = registry_at(request, asked.as_of)
    now = asked.as_of or utc_now()
    start, end = moment(from_, "from"), moment(to, "to")
    found = (
        (f"{each.interval.start:%Y%m%dT%H%M%S} {each.id}", downtime_out(registry, each, now))
        for each in registry.downtimes.values()
        if resource in (None, each.resource)
        and (site is None or registry.site_of_downtime(each) == site)
        and state in (None, each.state(now))
        and (end is None or each.interval.start < end)
        and (start is None or each.interval.end is None or each.interval.end > start)
    )
    return page(found, asked)


@router.post("/downtimes", status_code=201, responses=GUARDED)
def add(request: Request, said: DowntimeIn, credentials: Credentials = None) -> list[DowntimeOut]:
    """Announce a downtime of one resource or several; late is accepted, and shows in the derived class."""
    token = require(request, credentials, Right.DOWNTIMES)
    interval = _interval(said.start, said.end)
    services = tuple(said.services)
    parts = [Part(resource=name, services=services, interval=interval) for name in said.resources]
    _check_sites(token, registry_at(request, None), said.resources)
    with house_of(request).database.begin() as conn:
        made = announce(
            conn,
            parts,
            severity=said.severity,
            description=said.description,
            claimed_class=said.claimed_class,
            who=token.name,
        )
    registry = registry_at(request, None)
    return [downtime_out(registry, each, utc_now()) for each in made]


@router.get("/downtimes/{downtime}")
def downtime(request: Request, downtime: Id, as_of: AsOf = None) -> DowntimeOut:
    """One downtime."""
    at = moment(as_of, "as_of")
    registry = registry_at(request, at)
    return downtime_out(registry, _known(registry, downtime), at or utc_now())


@router.patch("/downtimes/{downtime}", responses=GUARDED)
def change(
    request: Request, downtime: Id, said: DowntimeChange, credentials: Credentials = None
) -> DowntimeOut:
    """Shorten, extend, move or correct a downtime, however late."""
    token, _ = _touch(request, downtime, credentials)
    start, end = moment(said.start, "start"), moment(said.end, "end")
    with house_of(request).database.begin() as conn:
        # In the transaction: two who change one end each do not take the other's back.
        was, version = read_downtime(conn, downtime)
        interval = Interval(start or was.interval.start, end or was.interval.end) if start or end else None
        change_downtime(
            conn,
            downtime,
            who=token.name,
            why=said.why,
            interval=interval,
            services=said.services,
            severity=said.severity,
            description=said.description,
            expect=version,
        )
    return _now(request, downtime)


@router.post("/downtimes/{downtime}/cancel", responses=GUARDED)
def cancel(request: Request, downtime: Id, said: Reason, credentials: Credentials = None) -> DowntimeOut:
    """Withdraw a downtime: none of its time counts, past or future."""
    token, _ = _touch(request, downtime, credentials)
    with house_of(request).database.begin() as conn:
        cancel_downtime(conn, downtime, who=token.name, why=said.why)
    return _now(request, downtime)


@router.post("/downtimes/{downtime}/reinstate", responses=GUARDED)
def reinstate(request: Request, downtime: Id, said: Reason, credentials: Credentials = None) -> DowntimeOut:
    """Take a cancellation back."""
    token, _ = _touch(request, downtime, credentials)
    with house_of(request).database.begin() as conn:
        reinstate_downtime(conn, downtime, who=token.name, why=said.why)
    return _now(request, downtime)


@router.get("/changes")
def changes(
    request: Request,
    cursor: Annotated[int, Query(ge=0, le=2**62, description="Of the answer before; 0: from the start.")] = 0,
    kind: Annotated[list[Kind] | None, Query(max_length=20)] = None,
    limit: Limit = 1000,
) -> ChangesOut:
    """Everything that changed after a cursor, cancellations included; ask again with the cursor given."""
    kinds = kind or list(KINDS)
    for each in kinds:
        if each not in KINDS:
            raise InvalidInput("kind", each, f"must be one of: {', '.join(KINDS)}")
    registry = registry_at(request, None)
    with house_of(request).database.read() as conn:
        found = facts.changes(conn, after=cursor, limit=limit, kinds=kinds)
        last = found[-1].seq if found else max(cursor, facts.head(conn)) if not kind else cursor
    return ChangesOut(items=[_change(registry, fact) for fact in found], cursor=last)


def downtime_out(registry: Registry, downtime: Downtime, now: datetime) -> DowntimeOut:
    """A downtime as the API gives it."""
    return DowntimeOut(
        id=downtime.id,
        resource=downtime.resource,
        resource_id=downtime.resource_id,
        site=registry.site_of_downtime(downtime),
        services=downtime.services,
        start=downtime.interval.start,
        end=downtime.interval.end or downtime.interval.start,
        severity=downtime.severity,
        at_risk=downtime.severity.at_risk,
        derived_class=downtime.derived_class(),
        claimed_class=downtime.claimed_class,
        state=downtime.state(now),
        declared_at=downtime.declared_at,
        cancelled_at=downtime.cancelled_at,
        description=downtime.description,
    )


def _change(registry: Registry, fact: Fact) -> ChangeOut:
    shown = None
    if fact.kind == "downtime" and fact.value is not None:
        shown = downtime_out(registry, decoded("downtime", fact.key, fact.value), fact.known_from)
    if fact.value is None:
        change = ChangeKind.RETRACTED
    elif shown is not None and shown.cancelled_at is not None:
        change = ChangeKind.CANCELLED
    else:
        change = ChangeKind.ADDED if fact.version == 1 else ChangeKind.CHANGED
    return ChangeOut(
        cursor=fact.seq,
        kind=fact.kind,
        id=fact.key,
        version=fact.version,
        change=change,
        known_from=fact.known_from,
        valid_from=fact.valid.start,
        valid_to=fact.valid.end,
        downtime=shown,
    )


def _interval(start: str, end: str) -> Interval:
    begins, ends = moment(start, "start"), moment(end, "end")
    assert begins is not None
    return Interval(begins, ends)


def _known(registry: Registry, downtime: str) -> Downtime:
    if downtime not in registry.downtimes:
        raise HTTPException(404, "there is no such downtime")
    return registry.downtimes[downtime]


def _touch(request: Request, downtime: str, credentials: Credentials) -> tuple[Token, Downtime]:
    token = require(request, credentials, Right.DOWNTIMES)
    registry = registry_at(request, None)
    known = _known(registry, downtime)
    _check_site(token, known.resource, registry.site_of_downtime(known))
    return token, known


def _check_sites(token: Token, registry: Registry, resources: Iterable[str]) -> None:
    for name in resources:
        resource = registry.resources.get(name)
        _check_site(token, name, None if resource is None else resource.site)


def _check_site(token: Token, resource: str, site: str | None) -> None:
    if token.sites and site not in token.sites:
        raise HTTPException(403, f"the token of {token.name} has no right at the site of {resource}")


def _now(request: Request, downtime: str) -> DowntimeOut:
    registry = registry_at(request, None)
    return downtime_out(registry, _known(registry, downtime), utc_now())
