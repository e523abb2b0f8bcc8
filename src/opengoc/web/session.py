"""Who is logged in on the pages: a token pasted once becomes a session, and forms prove that they are ours.

The cookie holds a random id that means nothing elsewhere and is kept here as a digest. A session lives in the
memory of this process for some hours at most, and ends at once when its token is revoked.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from opengoc.app import House
from opengoc.base.ids import digest
from opengoc.base.instant import utc_now
from opengoc.registry.tokens import Right, Token, token_with

#: Names of the cookies of a session, and of a login form that waits for its token.
COOKIE, LOGIN_COOKIE = "goc_session", "goc_login"
#: Name of the hidden field of every form.
CSRF = "csrf"
LIFETIME = timedelta(hours=8)
#: More are not kept: the oldest ends.
_MOST = 1000
_MAX_BODY = 64 * 1024
_MAX_FIELDS = 2000


class LoginNeeded(Exception):
    """The page is for those who are logged in: they are led to the login page, and back."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody who is logged in."""

    token: Token
    #: What each of their forms carries.
    csrf: str

    def may_touch(self, site: str | None) -> bool:
        """Whether downtimes of a site are theirs to announce and change; None: of no site that stands."""
        return not self.token.sites or site in self.token.sites


@dataclass(frozen=True, kw_only=True)
class _Kept:
    token_digest: str
    csrf: str
    expires_at: datetime


@dataclass
class Sessions:
    """Every session of this process."""

    house: House
    _kept: dict[str, _Kept] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def open(self, secret: str) -> str | None:
        """Begin a session with a token; gives the id for the cookie, None where the token may not."""
        given = digest(secret)
        if self._token(given) is None:
            return None
        made, now = secrets.token_urlsafe(32), utc_now()
        kept = _Kept(token_digest=given, csrf=secrets.token_urlsafe(32), expires_at=now + LIFETIME)
        with self._lock:
            alive = [(key, each) for key, each in self._kept.items() if each.expires_at > now]
            self._kept = dict(alive[-(_MOST - 1) :]) | {digest(made): kept}
        return made

    def of(self, request: Request) -> Session | None:
        """The session of a request; None without one, or when it or its token has ended."""
        with self._lock:
            kept = self._kept.get(digest(request.cookies.get(COOKIE, "")))
        if kept is None or kept.expires_at <= utc_now():
            return None
        token = self._token(kept.token_digest)
        return None if token is None else Session(token=token, csrf=kept.csrf)

    def close(self, request: Request) -> None:
        """End the session of a request, if there is one."""
        with self._lock:
            self._kept.pop(digest(request.cookies.get(COOKIE, "")), None)

    def _token(self, token_digest: str) -> Token | None:
        with self.house.database.read() as conn:
            token = token_with(conn, token_digest)
        return token if token is not None and Right.DOWNTIMES in token.rights else None


def session_of(request: Request) -> Session | None:
    """Who is logged in; None: nobody."""
    sessions: Sessions = request.app.state.sessions
    return sessions.of(request)


def need_session(request: Request) -> Session:
    """Who is logged in. Raises LoginNeeded."""
    session = session_of(request)
    if session is None:
        # A form that was sent is not sent again by itself: whoever filled it in comes back to the empty one.
        query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
        raise LoginNeeded(request.url.path + query)
    return session


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a form sent."""

    fields: Mapping[str, list[str]]

    def text(self, name: str) -> str:
        """The first value of a field, without blanks around it; empty where it was not sent."""
        return self.fields.get(name, [""])[0].strip()

    def all(self, name: str) -> list[str]:
        """Every value of a field, e.g. of ticked boxes."""
        return self.fields.get(name, [])


async def read_form(request: Request) -> Form:
    """The fields of a form, read up to a limit. Raises HTTPException 400, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "A form is sent as application/x-www-form-urlencoded.")
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size > _MAX_BODY:
            raise HTTPException(413, f"A form holds {_MAX_BODY} bytes at most.")
        parts.append(part)
    try:
        text = b"".join(parts).decode()
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(400, "The form cannot be read.") from error
    return Form(fields=fields)


def check_form(form: Form, expected: str) -> None:
    """Refuse a form that was not made for this visitor. Raises HTTPException 403."""
    if not expected or not secrets.compare_digest(form.text(CSRF).encode(), expected.encode()):
        raise HTTPException(403, "This form is not of your session: open it again, then send it.")


def set_cookie(request: Request, response: Response, name: str, value: str, lifetime: timedelta) -> None:
    """A cookie that no script reads and no other site makes a browser send."""
    response.set_cookie(
        name,
        value,
        max_age=int(lifetime.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
