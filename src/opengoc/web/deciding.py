"""A late correction of an A/R report on the pages: read by anybody, approved or rejected by who may."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.instant import utc_now
from opengoc.flows import availability
from opengoc.flows.availability_drafts import Draft, reject, waiting
from opengoc.web.availability import centre_of
from opengoc.web.form import Form, Sent, check_form
from opengoc.web.rendering import Pages
from opengoc.web.session import Session, need_session, session_of

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

Period = Annotated[str, Path(max_length=20)]
Profile = Annotated[str, Path(max_length=200)]
_MOST_WHY = 1000


@router.get("/availability/{name}/drafts/{profile:path}", name="availability_draft")
def draft(request: Request, name: Period, profile: Profile) -> HTMLResponse:
    """The draft, figure by figure."""
    return _page(request, name, _waiting(request, name, profile), session_of(request))


@router.post("/availability/{name}/drafts/{profile:path}", name="decide_draft")
def decide(request: Request, name: Period, profile: Profile, form: Sent) -> Response:
    """Approve or reject it."""
    session = need_session(request)
    check_form(form, session.csrf)
    if not session.decides:
        raise HTTPException(403, f"The login of {session.who} may not decide about reports.")
    shown = _waiting(request, name, profile)
    try:
        _decide(request, name, profile, form, session.who)
    except (InvalidInput, Conflict) as error:
        return _page(request, name, shown, session, why=form.text("why"), error=error)
    return RedirectResponse(request.app.url_path_for("availability_month", name=name), 303)


def _decide(request: Request, name: str, profile: str, form: Form, who: str) -> None:
    centre, why, content = centre_of(request), form.text("why"), form.text("content")
    if len(why) > _MOST_WHY:
        raise InvalidInput("why", "", f"must hold {_MOST_WHY} characters at most")
    if form.text("decision") == "approve":
        availability.approve(centre, name, profile, who=who, why=why, now=utc_now(), content=content)
    elif form.text("decision") == "reject":
        with centre.database.begin() as conn:
            reject(conn, name, profile, who=who, why=why, content=content)
    else:
        raise InvalidInput("decision", form.text("decision"), "must be approve or reject")


def _waiting(request: Request, name: str, profile: str) -> Draft:
    with centre_of(request).database.read() as conn:
        return waiting(conn, name, profile)


def _page(
    request: Request,
    name: str,
    shown: Draft,
    session: Session | None,
    *,
    why: str = "",
    error: Exception | None = None,
) -> HTMLResponse:
    pages: Pages = request.app.state.templates
    wrong = {error.where: error.rule} if isinstance(error, InvalidInput) else {}
    return pages.page(
        request,
        "draft.html",
        status=200 if error is None else 409 if isinstance(error, Conflict) else 422,
        title=f"A correction of A/R {name}",
        here="availability",
        name=name,
        draft=shown,
        session=session,
        why=why,
        error="" if error is None or wrong else str(error),
        wrong=wrong,
    )
