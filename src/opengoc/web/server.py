"""The web application: pages, health and metrics over one opened house."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from opengoc import __version__
from opengoc.app import House
from opengoc.base.errors import GocError, InvalidInput, Temporary
from opengoc.base.instant import utc_now
from opengoc.monitoring.intake import Intake
from opengoc.registry.live import LiveRegistry
from opengoc.registry.past import PastRegistries
from opengoc.web import (
    accounting,
    announcing,
    availability,
    deciding,
    downtimes,
    health,
    login,
    pages,
    reporting,
    status,
    usage,
)
from opengoc.web.api import downtimes as api_downtimes
from opengoc.web.api import registry as api_registry
from opengoc.web.api import results as api_results
from opengoc.web.drafts import Drafts
from opengoc.web.myosg import schemas
from opengoc.web.myosg.answers import Answers
from opengoc.web.myosg.endpoints import OldAddresses, clock
from opengoc.web.rendering import Pages
from opengoc.web.session import LoginNeeded, Sessions
from opengoc.web.upkeep import Upkeep
from opengoc.web.watch import Watch

#: Pages load their own style and pictures, nothing from elsewhere and no script at all.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def create_app(house: House, *, look_seconds: float = 10.0) -> FastAPI:
    """The application. It looks at the grid every ``look_seconds`` while it serves."""
    live, past = LiveRegistry(house.database), PastRegistries(house.database)
    answers = Answers(live, clock())
    watch, upkeep = Watch(house, look_seconds), Upkeep(house, answers)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch.start()
        upkeep.start()
        yield
        upkeep.stop()
        watch.stop()

    app = FastAPI(title="OpenGOC", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.house, app.state.watch = house, watch
    app.state.drafts = Drafts(house=house, live=live, past=past)
    app.state.templates = Pages(house.settings.name)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    app.include_router(pages.router)
    app.include_router(status.router)
    app.include_router(login.router)
    app.include_router(downtimes.router)
    app.include_router(announcing.router)
    app.include_router(reporting.router)
    app.include_router(availability.router)
    app.include_router(deciding.router)
    app.include_router(health.router)
    app.include_router(accounting.router)
    app.include_router(schemas.router)
    app.include_router(usage.router)
    app.state.live, app.state.sessions = live, Sessions(house=house, live=live)
    app.state.provider = login.provider_of(house)
    app.state.past = past
    app.include_router(api_registry.router)
    app.include_router(api_downtimes.router)
    app.state.intake = Intake(house.lake, house.database, who="agents", clock=utc_now)
    app.include_router(api_results.router)

    @app.middleware("http")
    async def _with_headers(request: Request, call_next):  # type: ignore[no-untyped-def]
        response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    app.add_middleware(OldAddresses, database=house.database, answers=answers)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(GocError, _house_error)
    app.add_exception_handler(LoginNeeded, login.lead_to_login)
    return app


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(request, error.status_code, str(error.detail))


def _house_error(request: Request, error: Exception) -> Response:
    if isinstance(error, InvalidInput):
        # The page is there: what was chosen on it, or written into its address, means nothing.
        asked = error.value in request.query_params.values()
        return _error(request, 400 if asked else 404, str(error), again=request.url.path if asked else "")
    return _error(request, 503 if isinstance(error, Temporary) else 500, str(error))


def _error(request: Request, code: int, message: str, again: str = "") -> Response:
    if "text/html" not in request.headers.get("accept", "*/*") and "*/*" not in request.headers.get(
        "accept", "*/*"
    ):
        return JSONResponse({"error": message}, status_code=code)
    templates: Pages = request.app.state.templates
    titles = {
        400: "That cannot be asked",
        403: "Not yours to do",
        404: "There is no such page",
        503: "Not possible just now",
    }
    title = titles.get(code, "That did not work")
    return templates.page(
        request, "error.html", status=code, title=title, message=message, here="", again=again
    )
