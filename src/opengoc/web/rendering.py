"""Rendering pages: Jinja with escaping always on, and the few filters that pages share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from opengoc import __version__
from opengoc.base.instant import format_instant, utc_now
from opengoc.reports.wording import figure_text, figure_title, moment_text
from opengoc.web.public import without_addresses


class Pages:
    """The templates of one installation."""

    def __init__(self, installation: str) -> None:
        self._environment = Environment(
            loader=PackageLoader("opengoc.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(installation=installation, version=__version__)
        self._environment.filters.update(
            instant=format_instant,
            moment=moment_text,
            ago=ago,
            figure=figure_text,
            figure_title=figure_title,
            public=without_addresses,
        )

    def page(
        self, request: Request, template: str, *, status: int = 200, refresh_seconds: int = 0, **values: Any
    ) -> HTMLResponse:
        """One page; ``refresh_seconds`` makes the browser load it again by itself."""
        values.setdefault("now", utc_now())
        text = self._environment.get_template(template).render(
            url=lambda route, /, **path: request.app.url_path_for(route, **path), **values
        )
        headers = {"Cache-Control": "no-store"}
        if refresh_seconds:
            headers["Refresh"] = str(refresh_seconds)
        return HTMLResponse(text, status_code=status, headers=headers)


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, for people: ``4 s ago``, ``3 min ago``."""
    seconds = max(0, int((now - moment).total_seconds()))
    if seconds < 120:
        return f"{seconds} s ago"
    return f"{seconds // 60} min ago" if seconds < 7200 else f"{seconds // 3600} h ago"
