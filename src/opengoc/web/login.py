"""/login and /logout: by a token of `goc token add`, pasted once, or by the login of a provider."""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, unquote, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from opengoc.app import House
from opengoc.base.ids import digest
from opengoc.web.form import Sent, check_form, set_cookie
from opengoc.web.people import grounds_of, standing_of
from opengoc.web.rendering import Pages
from opengoc.web.session import COOKIE, LIFETIME, LoginNeeded, Sessions, need_session, session_of

if TYPE_CHECKING:
    from opengoc.web.provider import Provider

_LOG = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

#: Cookies of a login form that waits for its token, and of a login that is under way at the provider.
_FORM_COOKIE, _ATTEMPT_COOKIE = "goc_login", "goc_provider"
#: A login that is not done by then has to be begun again.
_LOGIN_LIFETIME = timedelta(minutes=30)
_NOT_ACCEPTED = "This token is not known, was revoked, or has no right that the pages have a use for."
_NO_RIGHT = "Your provider knows you, but nothing here is yours to change: no grant and no role of a contact."
#: Where the provider sends the browser back.
CALLBACK = "/login/callback"

Next = Annotated[str, Query(max_length=2000)]


@router.get("/login", name="login")
def login(request: Request, next: Next = "") -> Response:
    """The form for the token, and the way to the provider."""
    if session_of(request) is not None:
        return RedirectResponse(_inside(request, next), 303)
    return _page(request, next)


@router.post("/login", name="enter")
def enter(request: Request, form: Sent) -> Response:
    """Begin a session."""
    # Nobody is logged in yet: the form carries the digest of a cookie that was set with it, which another
    # site can neither read nor set.
    waiting = request.cookies.get(_FORM_COOKIE, "")
    check_form(form, digest(waiting) if waiting else "")
    sessions: Sessions = request.app.state.sessions
    made = sessions.open_by_token(form.text("token"))
    if made is None:
        return _page(request, form.text("next"), error=_NOT_ACCEPTED)
    sessions.close(request)
    response = RedirectResponse(_inside(request, form.text("next")), 303)
    set_cookie(request, response, COOKIE, made, LIFETIME)
    response.delete_cookie(_FORM_COOKIE)
    return response


@router.get("/login/provider", name="login_at_provider")
def begin(request: Request, next: Next = "") -> Response:
    """Send the browser to the provider."""
    from opengoc.web.provider import Attempt

    secret = secrets.token_urlsafe(32)
    response = RedirectResponse(_provider(request).address_for(Attempt.of(secret)), 303)
    # Lax: the way back is a link of the provider's.
    cookie = f"{secret}.{quote(next, safe='')}"
    set_cookie(request, response, _ATTEMPT_COOKIE, cookie, _LOGIN_LIFETIME, samesite="lax")
    return response


@router.get(CALLBACK, name="login_callback")
def back(request: Request) -> Response:
    """Begin a session of who comes back from the provider."""
    from opengoc.web.provider import Attempt, LoginRefused

    provider, house = _provider(request), _house(request)
    assert house.settings.login is not None
    secret, _, wanted = request.cookies.get(_ATTEMPT_COOKIE, "").partition(".")
    next = unquote(wanted)
    if not secret:
        return _page(request, next, error="This login was not begun here, or too long ago: begin again.")
    try:
        claims = provider.claims(Attempt.of(secret), request.url.query)
    except LoginRefused as refused:
        _LOG.warning("action=login refused: %s", refused)
        return _page(request, next, error=f"{refused}. Begin again.")
    with house.database.begin() as conn:
        grounds = grounds_of(conn, claims, house.settings.login)
    sessions: Sessions = request.app.state.sessions
    standing = standing_of(grounds, house.settings.login, sessions.live.current()[0])
    if not standing.rights:
        return _page(request, next, error=_NO_RIGHT)
    who = grounds.person or grounds.grants[0]
    made = sessions.open_for(who, grounds)
    _LOG.info("action=login who=%s", who)
    sessions.close(request)
    # A page, no redirect: the way from the provider to here would keep the strict cookie from being sent.
    pages: Pages = request.app.state.templates
    response = pages.page(
        request, "welcome.html", title="Logged in", here="downtimes", next=_inside(request, next)
    )
    response.headers["Refresh"] = f"0; url={_inside(request, next)}"
    set_cookie(request, response, COOKIE, made, LIFETIME)
    response.delete_cookie(_ATTEMPT_COOKIE)
    return response


@router.post("/logout", name="logout")
def logout(request: Request, form: Sent) -> Response:
    """End the session."""
    check_form(form, need_session(request).csrf)
    sessions: Sessions = request.app.state.sessions
    sessions.close(request)
    response = RedirectResponse(request.app.url_path_for("downtimes"), 303)
    response.delete_cookie(COOKIE)
    return response


def provider_of(house: House) -> Provider | None:
    """The login provider of the settings; None where they name none. Raises Permanent."""
    if house.settings.login is None:
        return None
    # OAuth and its keys are loaded where there is a use for them: they are a tenth of a second at each start.
    from opengoc.web.provider import Provider

    return Provider.of(house, house.settings.login, CALLBACK)


def lead_to_login(request: Request, error: Exception) -> Response:
    """What LoginNeeded answers."""
    assert isinstance(error, LoginNeeded)
    address = request.app.url_path_for("login")
    return RedirectResponse(f"{address}?{urlencode({'next': error.path})}", 303)


def _page(request: Request, next: str, error: str = "") -> HTMLResponse:
    pages: Pages = request.app.state.templates
    provider: Provider | None = request.app.state.provider
    waiting = secrets.token_urlsafe(32)
    response = pages.page(
        request,
        "login.html",
        status=403 if error else 200,
        title="Log in",
        here="downtimes",
        next=next,
        error=error,
        csrf=digest(waiting),
        provider="" if provider is None else provider.name,
    )
    set_cookie(request, response, _FORM_COOKIE, waiting, _LOGIN_LIFETIME)
    return response


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise HTTPException(404, "No login provider is set up here: log in with a token.")
    return provider


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


def _inside(request: Request, path: str) -> str:
    """The path, when it is one of this installation; else the downtimes."""
    plain = path.isascii() and path.isprintable() and "\\" not in path
    if plain and path.startswith("/") and not path.startswith("//"):
        return path
    return str(request.app.url_path_for("downtimes"))
