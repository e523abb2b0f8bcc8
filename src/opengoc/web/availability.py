"""A/R on the pages: the heat map of a month, a site's days as strips, and every revision of the reports."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from opengoc.app import House
from opengoc.base.figure import Figure
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from opengoc.flows import availability
from opengoc.flows.availability import Centre
from opengoc.flows.availability_drafts import drafts, rejections
from opengoc.monitoring import circumstances
from opengoc.monitoring.assess import assess
from opengoc.monitoring.availability import DayCount, Node
from opengoc.monitoring.model import Status
from opengoc.monitoring.period import Period, assess_period, period
from opengoc.monitoring.profile import PROFILES, Profile
from opengoc.monitoring.timeline import Timeline
from opengoc.monitoring.vo_tests import profile_of
from opengoc.reports.availability import report_name
from opengoc.reports.render import html
from opengoc.reports.render import json as json_format
from opengoc.web.rendering import Pages

router = APIRouter(include_in_schema=False)

#: Months that the heat map leads to, the running one first.
_MONTHS_BACK = 12


@dataclass(frozen=True, kw_only=True)
class Square:
    """One day of one site in the heat map."""

    day: datetime
    #: None: nothing is known, or the day is not over.
    percent: float | None
    #: Says what the colour says: ``full``, ``high``, ``low``, ``none``, ``unknown``.
    shade: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One stretch of a strip."""

    #: Percent of the strip's width.
    left: float
    width: float
    status: str
    words: str


def centre_of(request: Request) -> Centre:
    """Where A/R is computed: one for the application, so that what seldom changes is read once."""
    state = request.app.state
    if not hasattr(state, "centre"):
        house: House = state.house
        state.centre = Centre.of(house.database, house.lake)
    centre: Centre = state.centre
    return centre


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A day named above the strips."""

    #: Percent of the strip's width.
    left: float
    label: str


@router.get("/availability", name="availability")
def this_month(request: Request) -> HTMLResponse:
    """The month that runs."""
    return month(request, f"{utc_now():%Y-%m}")


@router.get("/availability/{name}", name="availability_month")
def month(request: Request, name: str, profile: str = "") -> HTMLResponse:
    """Every site on every day of a month or week."""
    pages, rules, now = _pages(request), _rules(request, profile), utc_now()
    window = period(name)
    if window.start > now:
        raise HTTPException(404, f"{name} has not begun.")
    centre = centre_of(request)
    found = assess_period(
        centre.lake, centre.database, rules, name, now=now, availability=centre.availability
    )
    figures = {
        f.dimensions["site"]: f
        for f in found.figures()
        if f.name == "availability" and "site" in f.dimensions
    }
    rows = [
        (site, [_square(count, found) for count in days], figures[site])
        for site, days in sorted(found.days.items(), key=lambda each: each[0].casefold())
    ]
    return pages.page(
        request,
        "availability.html",
        title=f"Availability, {name}",
        here="availability",
        name=name,
        profile=rules,
        rows=rows,
        reports=[
            (each_profile, several)
            for each_profile, several in availability.published_periods(centre)
            if several[0].report.week == f"A/R {name}"
        ],
        **_late(centre, name),
        months=_months(now),
        profiles=list(dict.fromkeys((rules.name, *PROFILES))),
    )


@router.get("/availability/{name}/sites/{site}", name="availability_site")
def site(request: Request, name: str, site: str, profile: str = "") -> HTMLResponse:
    """One site over a month or week: a strip for each service, downtimes laid over, and each day's A/R."""
    pages, rules, now = _pages(request), _rules(request, profile), utc_now()
    centre, window = centre_of(request), period(name)
    with centre.database.read() as conn:
        known = circumstances.read(conn, window=window)
    if site not in known.site_names():
        raise HTTPException(404, f"The registry holds no site {site!r} with services.")
    assessed = assess(centre.lake, known, window=window, profile=rules, as_of=now, site=site)
    node = assessed.sites.get(site)
    strips = [] if node is None else [(_name(each), _bars(each, window)) for each in _endpoints(node)]
    figures: Sequence[Figure] = assessed.figures(site)
    return pages.page(
        request,
        "availability_site.html",
        title=f"{site}, {name}",
        here="availability",
        name=name,
        site=site,
        profile=rules,
        whole=[] if node is None else _bars(node, window),
        strips=strips,
        figures=figures,
        ticks=_ticks(window),
        command=_explaining(site, window, rules),
        downtimes=sorted({window_id for each in _endpoints(node) for *_, window_id in each.windows})
        if node
        else [],
    )


@router.get("/availability/{name}/report.{suffix}", name="availability_report")
def report(request: Request, name: str, suffix: str, profile: str = "", revision: int = 0) -> Response:
    """A revision of a period's report; 0: the latest, or the draft where nothing is published."""
    rules, centre = _rules(request, profile), centre_of(request)
    renders = {"html": (html.render, "text/html"), "json": (json_format.render, "application/json")}
    if suffix not in renders:
        raise HTTPException(404, f"The report is had as {', '.join(renders)}, not as {suffix!r}.")
    made = availability.latest(centre, name, rules.name, revision or None)
    if made is None and revision:
        raise HTTPException(404, f"Revision {revision} of {name} was not published.")
    shown = made.report if made is not None else availability.draft(centre, name, rules.name, as_of=utc_now())
    render, media_type = renders[suffix]
    return Response(render(shown), media_type=f"{media_type}; charset=utf-8")


def _late(centre: Centre, name: str) -> dict[str, Any]:
    """The late corrections of a period: those that wait, and those that were rejected."""
    report = report_name(name)
    with centre.database.read() as conn:
        return {
            "waiting": [each for each in drafts(conn) if each.report.week == report],
            "rejected": [each for each in rejections(conn) if each.report == report],
        }


def _pages(request: Request) -> Pages:
    pages: Pages = request.app.state.templates
    return pages


def _rules(request: Request, name: str) -> Profile:
    house: House = request.app.state.house
    with house.database.read() as conn:
        return profile_of(conn, name or house.settings.probes.profile)


def _months(now: datetime) -> list[str]:
    last = now.year * 12 + now.month - 1
    return [f"{place // 12:04d}-{place % 12 + 1:02d}" for place in range(last, last - _MONTHS_BACK, -1)]


def _square(count: DayCount, found: Period) -> Square:
    formula = found.profile.availability
    ratio = count.ratio(formula)
    percent = ratio.percent if ratio.known_seconds else None
    day = datetime.fromtimestamp(count.day, UTC)
    lost = ", ".join(
        f"{state.value} {seconds / SECONDS_PER_HOUR:.1f} h"
        for state, seconds in sorted(count.overlaid.items())
        if state not in formula.up and seconds
    )
    shown = "unknown" if percent is None else f"{percent:.1f} %"
    words = f"{day:%Y-%m-%d}: {shown}{'; ' + lost if lost else ''}"
    return Square(day=day, percent=percent, shade=_shade(percent), words=words)


def _shade(percent: float | None) -> str:
    if percent is None:
        return "unknown"
    if percent >= 99.95:
        return "full"
    return "high" if percent >= 90 else "low" if percent > 0 else "none"


def _endpoints(node: Node) -> list[Node]:
    if node.level == "endpoint":
        return [node]
    return [below for child in node.children for below in _endpoints(child)]


def _name(endpoint: Node) -> str:
    _, resource, service = endpoint.name
    return f"{resource} · {service}"


def _bars(node: Node, window: Interval) -> list[Bar]:
    assert window.end is not None
    start = int(window.start.timestamp())
    total = int(window.end.timestamp()) - start
    timeline: Timeline = node.overlaid
    return [
        Bar(
            left=round(100 * (begin - start) / total, 4),
            width=round(100 * (end - begin) / total, 4),
            status=state.value,
            words=_words(begin, end, state),
        )
        for begin, end, state in timeline.runs()
    ]


def _ticks(window: Interval) -> list[Tick]:
    """Every day of a week, every fifth of a month."""
    assert window.end is not None
    days = (window.end - window.start).days
    step = 1 if days <= 7 else 5
    return [
        Tick(left=round(100 * n / days, 4), label=f"{window.start + timedelta(days=n):%m-%d}")
        for n in range(0, days, step)
        # The last days leave no room for a label.
        if days <= 7 or n <= days - 2
    ]


def _explaining(site: str, window: Interval, rules: Profile) -> str:
    """The command that explains the time which the page is about."""
    assert window.end is not None
    bounds = f"--from {window.start:%Y-%m-%d} --to {window.end:%Y-%m-%d}"
    return f"goc ar show {shlex.quote(site)} {bounds} --profile {shlex.quote(rules.name)} --explain"


def _words(begin: int, end: int, state: Status) -> str:
    since, length = datetime.fromtimestamp(begin, UTC), timedelta(seconds=end - begin)
    days, rest = divmod(int(length.total_seconds()), SECONDS_PER_DAY)
    for_days = f"{days} d " if days else ""
    return f"{state.value} from {since:%Y-%m-%d %H:%M} UTC for {for_days}{rest / SECONDS_PER_HOUR:.1f} h"
