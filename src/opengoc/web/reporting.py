"""The weekly report on the pages: what is published, every revision of it, and the draft of a week."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from opengoc.app import House
from opengoc.base.interval import week as week_interval
from opengoc.base.interval import week_name
from opengoc.reports import published
from opengoc.reports.model import Report
from opengoc.reports.render import html, json, markdown, text, twiki
from opengoc.web.pages import drafts_of
from opengoc.web.rendering import Pages

router = APIRouter(include_in_schema=False)

_FORMATS = {
    "html": (html.render, "text/html"),
    "md": (markdown.render, "text/markdown"),
    "twiki": (twiki.render, "text/plain"),
    "txt": (text.render, "text/plain"),
    "json": (json.render, "application/json"),
}


@router.get("/report", name="report")
def reports(request: Request) -> HTMLResponse:
    """Published weeks, and the draft of the week that runs."""
    house: House = request.app.state.house
    pages: Pages = request.app.state.templates
    with house.database.read() as conn:
        latest = published.latest_of_each_week(conn)
        weeks = [published.revisions(conn, each.report.week) for each in reversed(latest)]
    draft = drafts_of(request).this_week()
    return pages.page(request, "reports.html", title="Weekly report", here="report", weeks=weeks, draft=draft)


@router.get("/report/{week}.{suffix}", name="weekly")
def weekly(request: Request, week: str, suffix: str, revision: int = 0) -> Response:
    """A week's report in one format; ``revision`` 0 is the draft as known now."""
    if suffix not in _FORMATS:
        raise HTTPException(404, f"The report is had as {', '.join(_FORMATS)}, not as {suffix!r}.")
    week_interval(week)
    report = _published(request, week, revision) if revision else drafts_of(request).of(week)
    render, media_type = _FORMATS[suffix]
    return Response(render(report), media_type=f"{media_type}; charset=utf-8")


def _published(request: Request, week: str, revision: int) -> Report:
    house: House = request.app.state.house
    with house.database.read() as conn:
        found = published.published(conn, week, revision)
    if found is None:
        raise HTTPException(
            404, f"Revision {revision} of {week_name(week_interval(week).start)} was not published."
        )
    return found.report
