"""Forms that announce, change, cancel and reinstate a downtime, for who logged in with a token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from opengoc.app import House
from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.instant import format_instant, parse_instant
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, Part, Severity
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import announce, cancel_downtime, change_downtime, reinstate_downtime
from opengoc.store import facts
from opengoc.web.downtimes import known, one_page
from opengoc.web.form import Form, Sent, check_form
from opengoc.web.pages import registry_of
from opengoc.web.rendering import Pages
from opengoc.web.session import Session, need_session

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

Id = Annotated[str, Path(max_length=200)]

#: What a form does to a downtime, with who, why and the version that was shown.
Act = Callable[[Connection, Downtime, dict[str, Any]], object]

_MOST_TEXT = 5000
_MOST_WHY = 1000
#: Sites of one announcement.
_MOST_SITES = 50


@router.get("/downtimes/new", name="new_downtime")
def new(
    request: Request, site: Annotated[list[str] | None, Query(max_length=_MOST_SITES)] = None
) -> HTMLResponse:
    """The form for a new downtime, after its site, or sites, are chosen."""
    session = need_session(request)
    return _new_page(request, session, site or [], {})


@router.post("/downtimes/new", name="announce_downtime")
def add(request: Request, form: Sent) -> Response:
    """Announce it, of every resource that was ticked."""
    session, registry = need_session(request), registry_of(request)
    check_form(form, session.csrf)
    said = _said(form)
    for name in form.all("resource"):
        resource = registry.resources.get(name)
        _check_site(session, None if resource is None else resource.site)
    try:
        if not form.all("resource"):
            raise InvalidInput("resource", "", "tick one resource or more")
        interval, severity, description = _interval(form), _severity(form), _text(form, "description")
        parts = [_part(registry, name, form.all("service"), interval) for name in form.all("resource")]
        with _house(request).database.begin() as conn:
            made = announce(conn, parts, severity=severity, description=description, who=session.who)
    except (InvalidInput, Conflict) as error:
        return _new_page(request, session, form.all("site")[:_MOST_SITES], said, error)
    return _to(request, made[0].id)


@router.get("/downtimes/{downtime:path}/change", name="change_downtime_form")
def change_form(request: Request, downtime: Id) -> HTMLResponse:
    """The forms for a downtime that stands."""
    session = need_session(request)
    return _change_page(request, session, _own(request, session, downtime), {})


@router.post("/downtimes/{downtime:path}/change", name="change_downtime")
def change(request: Request, downtime: Id, form: Sent) -> Response:
    """Move, shorten, extend or correct it."""

    def act(conn: Connection, was: Downtime, words: dict[str, Any]) -> None:
        interval, services = _interval(form, was.interval), form.all("service")
        if not services:
            raise InvalidInput(
                "service", "", "tick one service or more; to withdraw all, cancel the downtime"
            )
        severity, description = _severity(form), _text(form, "description")
        change_downtime(
            conn,
            downtime,
            interval=interval,
            services=services,
            severity=severity,
            description=description,
            **words,
        )

    return _act(request, downtime, form, act)


@router.post("/downtimes/{downtime:path}/cancel", name="cancel_downtime")
def cancel(request: Request, downtime: Id, form: Sent) -> Response:
    """Withdraw it."""
    return _act(request, downtime, form, lambda conn, _, words: cancel_downtime(conn, downtime, **words))


@router.post("/downtimes/{downtime:path}/reinstate", name="reinstate_downtime")
def reinstate(request: Request, downtime: Id, form: Sent) -> Response:
    """Take the withdrawal back."""
    return _act(request, downtime, form, lambda conn, _, words: reinstate_downtime(conn, downtime, **words))


@router.get("/downtimes/{downtime:path}", name="downtime")
def downtime(request: Request, downtime: Id) -> HTMLResponse:
    """One downtime; stands here because its path would take the others' too."""
    return one_page(request, downtime)


def _part(registry: Registry, name: str, ticked: list[str], interval: Interval) -> Part:
    """What is down at a resource: of the services that were ticked, those that it offers."""
    offered = [each for each in ticked if registry.resource(name).offers(each)]
    if ticked and not offered:
        raise InvalidInput("service", "", f"none of those ticked is a service of {name}")
    return Part(resource=name, services=tuple(offered), interval=interval)


def _act(request: Request, downtime: str, form: Form, act: Act) -> Response:
    """Do what a form of a downtime asks for, or show the form again with what is wrong."""
    session = need_session(request)
    check_form(form, session.csrf)
    own = _own(request, session, downtime)
    try:
        why = _text(form, "why", most=_MOST_WHY)
        if not why:
            raise InvalidInput("why", "", "say why: it stays on record with the change")
        version = form.text("version")
        if not version.isascii() or not version.isdigit() or len(version) > 9:
            raise InvalidInput("version", version, "is lacking: open the form again")
        words = {"who": session.who, "why": why, "expect": int(version)}
        with _house(request).database.begin() as conn:
            act(conn, own, words)
    except (InvalidInput, Conflict) as error:
        return _change_page(request, session, own, _said(form), error)
    return _to(request, downtime)


def _own(request: Request, session: Session, downtime: str) -> Downtime:
    """The downtime, if it is theirs to touch. Raises HTTPException 403 or 404."""
    registry = registry_of(request)
    found = known(registry, downtime)
    _check_site(session, registry.site_of_downtime(found))
    return found


def _check_site(session: Session, site: str | None) -> None:
    if not session.may_touch(site):
        sites = ", ".join(sorted(session.sites)) if session.announces else "no site"
        raise HTTPException(403, f"The login of {session.who} is for downtimes of {sites} alone.")


def _new_page(
    request: Request,
    session: Session,
    chosen: Iterable[str],
    said: Mapping[str, Any],
    error: Exception | None = None,
) -> HTMLResponse:
    registry = registry_of(request)
    sites = sorted(session.sites & registry.sites.keys() if session.sites else registry.sites)
    own = [site for site in dict.fromkeys(chosen) if site] or (sites if len(sites) == 1 else [])
    for site in own:
        registry.site(site)
        _check_site(session, site)
    resources = {site: registry.resources_of(site) for site in own}
    kinds = {kind.kind for several in resources.values() for each in several for kind in each.services}
    values = {"start": "", "end": "", "severity": Severity.OUTAGE.value, "description": "", "services": []}
    return _form_page(
        request,
        session,
        "new_downtime.html",
        "Announce a downtime",
        error,
        said={**values, "resources": [], **said},
        kinds=sorted(kinds),
        resources=resources,
        others=[site for site in sites if site not in resources] if len(own) < _MOST_SITES else [],
    )


def _change_page(
    request: Request,
    session: Session,
    downtime: Downtime,
    said: Mapping[str, Any],
    error: Exception | None = None,
) -> HTMLResponse:
    with _house(request).database.read() as conn:
        fact = facts.get(conn, "downtime", downtime.id)
    assert downtime.interval.end is not None
    values = {
        "start": _local(downtime.interval.start),
        "end": _local(downtime.interval.end),
        "severity": downtime.severity.value,
        "description": downtime.description,
        "services": list(downtime.services),
        "why": "",
    }
    if not said.get("start"):
        # Cancelling sends the reason alone: the other fields show what stands.
        said = {"why": said.get("why", "")}
    return _form_page(
        request,
        session,
        "change_downtime.html",
        f"Change the downtime of {downtime.resource}",
        error,
        said={**values, **said},
        kinds=_kinds(registry_of(request), downtime),
        downtime=downtime,
        version=0 if fact is None else fact.version,
    )


def _form_page(
    request: Request, session: Session, template: str, title: str, error: Exception | None, **values: Any
) -> HTMLResponse:
    pages: Pages = request.app.state.templates
    wrong = {error.where: error.rule} if isinstance(error, InvalidInput) else {}
    return pages.page(
        request,
        template,
        status=200 if error is None else 409 if isinstance(error, Conflict) else 422,
        title=title,
        here="downtimes",
        session=session,
        severities=[severity.value for severity in Severity],
        error="" if error is None or wrong else str(error),
        wrong=wrong,
        **values,
    )


def _kinds(registry: Registry, downtime: Downtime) -> list[str]:
    resource = registry.resources.get(downtime.resource)
    offered = () if resource is None else (service.kind for service in resource.services)
    return sorted({*offered, *downtime.services})


def _said(form: Form) -> dict[str, Any]:
    """What was filled in, to be shown again."""
    texts = {name: form.text(name) for name in ("start", "end", "severity", "description", "why")}
    return texts | {"services": form.all("service"), "resources": form.all("resource")}


def _interval(form: Form, was: Interval | None = None) -> Interval:
    """Start and end; ``was``: what stands, kept to the second where the form shows its minute unchanged."""
    start, end = _moment(form, "start"), _moment(form, "end")
    if was is not None and was.end is not None:
        start = was.start if form.text("start") == _local(was.start) else start
        end = was.end if form.text("end") == _local(was.end) else end
    if end <= start:
        raise InvalidInput("end", form.text("end"), "must be after the start")
    return Interval(start, end)


def _moment(form: Form, name: str) -> datetime:
    """A time as a browser sends it, without a zone and meant as UTC, or ISO 8601 with one."""
    text = form.text(name)
    if not text:
        raise InvalidInput(name, text, "is needed")
    zoned = text.endswith(("Z", "z")) or "+" in text or "-" in text[11:]
    try:
        return parse_instant(text if zoned or len(text) <= len("2026-11-16") else f"{text}Z", name)
    except OverflowError as error:
        raise InvalidInput(name, text, "lies beyond the calendar") from error


def _severity(form: Form) -> Severity:
    said = form.text("severity")
    if said not in list(Severity):
        raise InvalidInput("severity", said, f"must be one of: {', '.join(Severity)}")
    return Severity(said)


def _text(form: Form, name: str, *, most: int = _MOST_TEXT) -> str:
    text = form.text(name)
    if len(text) > most:
        raise InvalidInput(name, "", f"must hold {most} characters at most")
    return text


def _local(moment: datetime) -> str:
    return format_instant(moment.replace(second=0, microsecond=0)).removesuffix(":00Z")


def _to(request: Request, downtime: str) -> RedirectResponse:
    return RedirectResponse(request.app.url_path_for("downtime", downtime=downtime), 303)


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house
