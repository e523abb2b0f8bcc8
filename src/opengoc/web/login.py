"""/login and /logout: a token of `goc token add` is pasted once."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from opengoc.base.ids import digest
from opengoc.web.rendering import Pages
from opengoc.web.session import (
    COOKIE,
    LIFETIME,
    LOGIN_COOKIE,
    Form,
    LoginNeeded,
    Sessions,
    check_form,
    need_session,
    read_form,
    session_of,
    set_cookie,
)

router = APIRouter(include_in_schema=False)

Sent = Annotated[Form, Depends(read_form)]

#: A login form that is not sent by then has to be opened again.
_LOGIN_LIFETIME = timedelta(minutes=30)
_NOT_ACCEPTED = "This token is not known, was revoked, or has not the right to announce downtimes."


@router.get("/login", name="login")
def login(request: Request, next: Annotated[str, Query(max_length=2000)] = "") -> Response:
    """The form for the token."""
    if session_of(request) is not None:
        return RedirectResponse(_inside(request, next), 303)
    return _page(request, next)


@router.post("/login", name="enter")
def enter(request: Request, form: Sent) -> Response:
    """Begin a session."""
    # Nobody is logged in yet: the form carries the digest of a cookie that was set with it, which another
    # site can neither read nor set.
    waiting = request.cookies.get(LOGIN_COOKIE, "")
    check_form(form, digest(waiting) if waiting else "")
    sessions: Sessions = request.app.state.sessions
    made = sessions.open(form.text("token"))
    if made is None:
        return _page(request, form.text("next"), error=_NOT_ACCEPTED)
    sessions.close(request)
    response = RedirectResponse(_inside(request, form.text("next")), 303)
    set_cookie(request, response, COOKIE, made, LIFETIME)
    response.delete_cookie(LOGIN_COOKIE)
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


def lead_to_login(request: Request, error: Exception) -> Response:
    """What LoginNeeded answers."""
    assert isinstance(error, LoginNeeded)
    address = request.app.url_path_for("login")
    return RedirectResponse(f"{address}?{urlencode({'next': error.path})}", 303)


def _page(request: Request, next: str, error: str = "") -> HTMLResponse:
    pages: Pages = request.app.state.templates
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
    )
    set_cookie(request, response, LOGIN_COOKIE, waiting, _LOGIN_LIFETIME)
    return response


def _inside(request: Request, path: str) -> str:
    """The path, when it is one of this installation; else the downtimes."""
    plain = path.isascii() and path.isprintable() and "\\" not in path
    if plain and path.startswith("/") and not path.startswith("//"):
        return path
    return str(request.app.url_path_for("downtimes"))
