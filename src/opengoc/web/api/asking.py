"""What the operations of the API share: the house, the registry asked about, parts of lists, who may what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from opengoc.app import House
from opengoc.base.instant import parse_instant
from opengoc.registry.live import LiveRegistry
from opengoc.registry.past import PastRegistries
from opengoc.registry.snapshot import Registry
from opengoc.registry.tokens import Right, Token, token_of
from opengoc.web.api.models import Page

T = TypeVar("T")

_TIME = {"format": "date-time"}
AsOf = Annotated[
    str | None,
    Query(
        description="Answer as it was known at this time (ISO 8601 with a zone); left out: now.",
        json_schema_extra=_TIME,
        max_length=40,
    ),
]
Moment = Annotated[str | None, Query(json_schema_extra=_TIME, max_length=40)]
Limit = Annotated[int, Query(ge=1, le=5000, description="How many at most.")]
After = Annotated[str | None, Query(max_length=300, description="``next`` of the part before.")]

_BEARER = HTTPBearer(auto_error=False, description="A token made by `goc token add`.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


def moment(text: str | None, name: str) -> datetime | None:
    """A time of a query. Raises InvalidInput."""
    return None if text is None else parse_instant(text, name)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What every list is asked with."""

    as_of: datetime | None
    limit: int
    after: str | None


def asked(as_of: AsOf = None, limit: Limit = 1000, after: After = None) -> Asked:
    """The moment that is asked about, and the part of the list. Raises InvalidInput."""
    return Asked(as_of=moment(as_of, "as_of"), limit=limit, after=after)


Asking = Annotated[Asked, Depends(asked)]


def house_of(request: Request) -> House:
    """The installation."""
    house: House = request.app.state.house
    return house


def registry_at(request: Request, as_of: datetime | None) -> Registry:
    """The registry as known at a moment; None: as it stands."""
    if as_of is None:
        live: LiveRegistry = request.app.state.live
        return live.current()[0]
    past: PastRegistries = request.app.state.past
    return past.at(as_of)


def page(entries: Iterable[tuple[str, T]], asked: Asked) -> Page[Any]:
    """The part of a list that is asked for; entries come with their keys, in any order."""
    behind = (entry for entry in entries if asked.after is None or entry[0] > asked.after)
    ordered = sorted(behind, key=lambda entry: entry[0])
    shown = ordered[: asked.limit]
    last = shown[-1][0] if len(ordered) > len(shown) else None
    return Page(items=[value for _, value in shown], next=last, as_of=asked.as_of)


def require(request: Request, credentials: HTTPAuthorizationCredentials | None, right: Right) -> Token:
    """Whose token it is that came with the request. Raises HTTPException 401 or 403."""
    challenge = {"WWW-Authenticate": "Bearer"}
    if credentials is None:
        raise HTTPException(401, "needs a token: Authorization: Bearer …", challenge)
    with house_of(request).database.read() as conn:
        token = token_of(conn, credentials.credentials)
    if token is None:
        raise HTTPException(401, "the token is not known, or was revoked", challenge)
    if right not in token.rights:
        raise HTTPException(403, f"the token of {token.name} has not the right {right}")
    return token
