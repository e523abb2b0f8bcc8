"""The old addresses over HTTP: filters in, answers out, 304 where the client has the answer already."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from opengoc.base.errors import InvalidInput, Temporary
from opengoc.base.instant import parse_instant, utc_now
from opengoc.registry.contacts import read_contacts
from opengoc.registry.tokens import Right, token_of
from opengoc.store.database import Database
from opengoc.web.answer import respond
from opengoc.web.myosg.answers import ADDRESSES, Answers
from opengoc.web.myosg.filters import Filters, read_filters

#: For tests only: the moment at which every request is answered.
CLOCK_VARIABLE = "GOC_TEST_CLOCK"
_MAX_QUERY = 16 * 1024


def clock() -> Callable[[], datetime]:
    """The clock of the old answers: the system's, unless a test set one. Raises InvalidInput."""
    if not (text := os.environ.get(CLOCK_VARIABLE)):
        return utc_now
    moment = parse_instant(text, CLOCK_VARIABLE)
    return lambda: moment


class OldAddresses:
    """ASGI in front of the application: answers the old addresses itself, at the cost of the answer alone."""

    def __init__(self, app: ASGIApp, database: Database, answers: Answers) -> None:
        self._app = app
        self._database = database
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or leave the request to the application."""
        if scope["type"] != "http" or scope["path"] not in ADDRESSES:
            await self._app(scope, receive, send)
            return
        response = await run_in_threadpool(self._respond, Request(scope))
        await response(scope, receive, send)

    def _respond(self, request: Request) -> Response:
        path = request.scope["path"]
        if request.method not in ("GET", "HEAD"):
            return _text(405, "Only GET and HEAD are answered here", {"Allow": "GET, HEAD"})
        try:
            filters = _filters(request) if ADDRESSES[path].filtered else Filters()
        except InvalidInput as error:
            # The words of the peer, as text: clients look for them.
            return _text(400, f"Invalid arguments: {error.rule}")
        try:
            if "authorization" in request.headers:
                return self._named(request, filters)
            answer = self._answers.answer(path, filters, self._answers.clock())
        except Temporary as error:
            return _text(503, str(error), {"Retry-After": "5"})
        return respond(request.headers, answer)

    def _named(self, request: Request, filters: Filters) -> Response:
        """The answer with names, for a token that may read them; the reading is written down."""
        path = request.scope["path"]
        scheme, _, secret = request.headers["authorization"].partition(" ")
        with self._database.begin() as conn:
            token = token_of(conn, secret.strip()) if scheme.lower() == "bearer" else None
            if token is None:
                return _text(401, "The token is not known, or was revoked", {"WWW-Authenticate": "Bearer"})
            if Right.CONTACTS not in token.rights:
                return _text(403, f"The token of {token.name} may not read contacts")
            persons = read_contacts(conn, who=token.name, why=f"GET {path}")
        answer = self._answers.named(path, filters, self._answers.clock(), persons)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(answer.body, media_type=answer.media_type, headers=headers)


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    given = {"X-Content-Type-Options": "nosniff"} | (headers or {})
    return Response(text, status_code=status, media_type="text/plain; charset=utf-8", headers=given)


def _filters(request: Request) -> Filters:
    query = request.scope["query_string"]
    if len(query) > _MAX_QUERY:
        raise InvalidInput("query", len(query), f"the query must hold {_MAX_QUERY} bytes at most")
    return read_filters(
        parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace", max_num_fields=2000)
    )
