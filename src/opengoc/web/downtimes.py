"""/downtimes: what is announced, as a list and as a calendar, and a page for each with all its versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.monitoring.period import period
from opengoc.registry.downtime import Downtime, DowntimeState
from opengoc.registry.snapshot import Registry
from opengoc.store import facts
from opengoc.web.calendar import When, chosen, versions, weeks_of
from opengoc.web.pages import registry_of
from opengoc.web.parts import part_of
from opengoc.web.rendering import Pages
from opengoc.web.session import session_of

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

#: Downtimes on one page of the list.
_PAGE = 100
#: Downtimes named on a day of the calendar; the others are counted.
_ON_A_DAY = 4
#: Years of the calendar.
_FIRST_YEAR, _LAST_YEAR = 1970, 2999

Text = Annotated[str, Query(max_length=200)]


@router.get("/downtimes", name="downtimes")
def downtimes(
    request: Request,
    when: When = When.AHEAD,
    place: Text = "",
    resource: Text = "",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> HTMLResponse:
    """The list."""
    pages: Pages = request.app.state.templates
    registry, now = registry_of(request), utc_now()
    rows = chosen(registry, when, now, place=place.strip(), resource=resource.strip())
    asked = {"when": when.value, "place": place, "resource": resource}
    return pages.page(
        request,
        "downtimes.html",
        title="Downtimes",
        here="downtimes",
        now=now,
        asked=asked,
        part=part_of(rows, page, size=_PAGE, asked=asked),
        whens=[each.value for each in When],
        site_of=registry.site_of_downtime,
        month=f"{now:%Y-%m}",
        session=session_of(request),
    )


@router.get("/downtimes/calendar", name="calendar")
def calendar(request: Request, month: Text = "", place: Text = "", resource: Text = "") -> HTMLResponse:
    """A month, its weeks as rows."""
    pages: Pages = request.app.state.templates
    registry, now = registry_of(request), utc_now()
    shown = _month(month or f"{now:%Y-%m}")
    assert shown.end is not None
    found = chosen(registry, When.ALL, now, place=place.strip(), resource=resource.strip())
    return pages.page(
        request,
        "calendar.html",
        title=f"Downtimes, {shown.start:%B %Y}",
        here="downtimes",
        now=now,
        asked={"place": place, "resource": resource},
        month=f"{shown.start:%Y-%m}",
        before=_months_on(shown.start, -1),
        after=_months_on(shown.start, 1),
        today=now.date(),
        weeks=weeks_of(shown, found),
        most=_ON_A_DAY,
    )


def one_page(request: Request, downtime_id: str) -> HTMLResponse:
    """A downtime with all that was ever said of it."""
    pages: Pages = request.app.state.templates
    house: House = request.app.state.house
    registry, now = registry_of(request), utc_now()
    downtime = known(registry, downtime_id)
    with house.database.read() as conn:
        history = facts.history(conn, "downtime", downtime_id)
    session, site = session_of(request), registry.site_of_downtime(downtime)
    return pages.page(
        request,
        "downtime.html",
        title=f"Downtime of {downtime.resource}",
        here="downtimes",
        now=now,
        downtime=downtime,
        state=downtime.state(now),
        site=site,
        versions=versions(history),
        session=session,
        may_touch=session is None or session.may_touch(site),
        cancelled=downtime.state(now) is DowntimeState.CANCELLED,
    )


def known(registry: Registry, downtime_id: str) -> Downtime:
    """The downtime of this id. Raises HTTPException 404."""
    if downtime_id not in registry.downtimes:
        raise HTTPException(404, f"The registry holds no downtime {downtime_id!r}.")
    return registry.downtimes[downtime_id]


def _month(name: str) -> Interval:
    """A month of the years that the calendar has. Raises InvalidInput."""
    shown = period(name)
    if "W" in name or not _FIRST_YEAR <= shown.start.year <= _LAST_YEAR:
        rule = f"must be a month such as 2026-10, from {_FIRST_YEAR} to {_LAST_YEAR}"
        raise InvalidInput("month", name, rule)
    return shown


def _months_on(start: datetime, number: int) -> str:
    year, month = divmod(start.year * 12 + start.month - 1 + number, 12)
    return f"{year:04d}-{month + 1:02d}"
