"""Who is logged in on the pages: by a token that was pasted once, or by the login of their provider.

The cookie holds a random id that means nothing elsewhere and is kept in the database as a digest: a session
outlives a restart and holds in every process. What it allows is looked up at every request, so that it ends
with the token it came from, and follows the roles of the person it is of.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import Request
from sqlalchemy import Connection

from opengoc.app import House
from opengoc.base.ids import digest
from opengoc.base.instant import utc_now
from opengoc.registry.live import LiveRegistry
from opengoc.registry.tokens import Right, token_with
from opengoc.store import sessions
from opengoc.store.sessions import Opened
from opengoc.web.people import Grounds, Standing, standing_of

#: Name of the cookie of a session.
COOKIE = "goc_session"
LIFETIME = timedelta(hours=8)
#: Rights that the pages have a use for.
_OF_PAGES = frozenset({Right.DOWNTIMES, Right.REPORTS})


class LoginNeeded(Exception):
    """The page is for those who are logged in: they are led to the login page, and back."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody who is logged in."""

    #: Name of a token or of a grant, or id of a person: what facts say who did it.
    who: str
    standing: Standing
    #: What each of their forms carries.
    csrf: str

    @property
    def sites(self) -> frozenset[str]:
        """Sites whose downtimes are theirs; empty: all."""
        return self.standing.sites

    @property
    def announces(self) -> bool:
        """Whether they may touch any downtime."""
        return Right.DOWNTIMES in self.standing.rights

    @property
    def decides(self) -> bool:
        """Whether late corrections of reports are theirs to approve and reject."""
        return Right.REPORTS in self.standing.rights

    def may_touch(self, site: str | None) -> bool:
        """Whether downtimes of a site are theirs to announce and change; None: of no site that stands."""
        return self.announces and (not self.sites or site in self.sites)


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Every session of an installation."""

    house: House
    live: LiveRegistry

    def open_by_token(self, secret: str) -> str | None:
        """Begin a session with a token; gives the id for the cookie, None where the token opens no page."""
        given = digest(secret)
        with self.house.database.begin() as conn:
            token = token_with(conn, given)
            if token is None or not token.rights & _OF_PAGES:
                return None
            return self._begin(conn, token.name, {"token": given})

    def open_for(self, who: str, grounds: Grounds) -> str:
        """Begin a session of somebody whom their provider vouched for; gives the id for the cookie."""
        with self.house.database.begin() as conn:
            return self._begin(conn, who, grounds.as_values())

    def of(self, request: Request) -> Session | None:
        """The session of a request; None without one, or when it or what it came from has ended."""
        made = request.cookies.get(COOKIE, "")
        if not made:
            return None
        with self.house.database.read() as conn:
            opened = sessions.find(conn, digest(made), now=utc_now())
            standing = None if opened is None else self._standing(conn, opened)
        if opened is None or standing is None or not standing.rights & _OF_PAGES:
            return None
        return Session(who=opened.who, standing=standing, csrf=opened.csrf)

    def close(self, request: Request) -> None:
        """End the session of a request, if there is one."""
        if made := request.cookies.get(COOKIE, ""):
            with self.house.database.begin() as conn:
                sessions.end(conn, digest(made))

    def _begin(self, conn: Connection, who: str, grounds: Mapping[str, Any]) -> str:
        made, now = secrets.token_urlsafe(32), utc_now()
        opened = Opened(
            id_digest=digest(made),
            who=who,
            csrf=secrets.token_urlsafe(32),
            grounds=grounds,
            opened_at=now,
            expires_at=now + LIFETIME,
        )
        sessions.begin(conn, opened)
        return made

    def _standing(self, conn: Connection, opened: Opened) -> Standing | None:
        if "token" in opened.grounds:
            token = token_with(conn, opened.grounds["token"])
            return None if token is None else Standing(rights=token.rights, sites=token.sites)
        login = self.house.settings.login
        if login is None:
            return None
        return standing_of(Grounds.of_values(opened.grounds), login, self.live.current()[0])


def session_of(request: Request) -> Session | None:
    """Who is logged in; None: nobody."""
    found: Sessions = request.app.state.sessions
    return found.of(request)


def need_session(request: Request) -> Session:
    """Who is logged in. Raises LoginNeeded."""
    session = session_of(request)
    if session is None:
        # A form that was sent is not sent again by itself: whoever filled it in comes back to the empty one.
        query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
        raise LoginNeeded(request.url.path + query)
    return session
