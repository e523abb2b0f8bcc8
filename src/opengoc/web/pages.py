"""The pages people look at: the grid now, its sites and VOs, the factory, and the weekly report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from opengoc.app import House
from opengoc.base.instant import utc_now
from opengoc.factory.cycle import read_status
from opengoc.factory.entries import Entry
from opengoc.factory.model import PayloadState, PilotState
from opengoc.monitoring import store
from opengoc.monitoring.current import current_statuses
from opengoc.monitoring.standing import ServiceState, service_states
from opengoc.registry.live import LiveRegistry
from opengoc.registry.snapshot import Registry
from opengoc.reports.render.pictures import pictures_of_site, pictures_of_vo, plot_rules
from opengoc.web.drafts import Drafts
from opengoc.web.grid import SiteNow, VONow, downtimes_ahead, gravest_first, sites_now, vos_now
from opengoc.web.rendering import Pages
from opengoc.web.watch import Look, Watch

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

#: Pages of the present are loaded again after this.
REFRESH_SECONDS = 15


def service_states_of(house: House, registry: Registry, now: datetime) -> list[ServiceState]:
    """How every probed service stands now."""
    store.declare(house.lake)
    with house.checks(registry) as (_, checks):
        intervals = {(check.metric, check.target): check.interval_seconds for check in checks}
    return service_states(registry, current_statuses(house.lake, house.database, now=now), intervals, now=now)


def registry_of(request: Request) -> Registry:
    """The registry as it stands, read from the database only where it changed."""
    live: LiveRegistry = request.app.state.live
    return live.current()[0]


def drafts_of(request: Request) -> Drafts:
    """The drafts of this application."""
    drafts: Drafts = request.app.state.drafts
    return drafts


class _Now:
    """Everything the pages of the present are made of, for one request."""

    def __init__(self, request: Request) -> None:
        self.house: House = request.app.state.house
        self.pages: Pages = request.app.state.templates
        watch: Watch = request.app.state.watch
        self.now = utc_now()
        self.registry = registry_of(request)
        entries, unknown = self.house.entries()
        self.entries: Mapping[str, Entry] = entries
        look = watch.latest
        self.look: Look = replace(look, faults=(*look.faults, unknown)) if unknown else look

    def sites(self) -> list[SiteNow]:
        """Every site."""
        states = service_states_of(self.house, self.registry, self.now)
        return sites_now(self.registry, self.entries, states, self.look)

    def vos(self) -> list[VONow]:
        """Every VO."""
        return vos_now(self.registry, self.look)


@router.get("/", name="overview")
def overview(request: Request) -> HTMLResponse:
    """Sites, pilots and jobs now."""
    at = _Now(request)
    jobs, pilots = at.look.jobs(), at.look.pilots()

    def jobs_in(state: PayloadState) -> int | None:
        return None if jobs is None else sum(n for (_, s), n in jobs.items() if s is state)

    def pilots_in(state: PilotState) -> int | None:
        return None if pilots is None else sum(n for (_, s), n in pilots.items() if s is state)

    tiles = [
        ("Jobs running", jobs_in(PayloadState.RUNNING), "payload jobs of all VOs"),
        ("Jobs waiting", jobs_in(PayloadState.IDLE), "in the VOs' queues"),
        ("Pilots running", pilots_in(PilotState.RUNNING), "at the sites"),
        ("Pilots in the pool", at.look.joined(), "their startd has joined"),
        ("Pilots waiting", pilots_in(PilotState.IDLE), "on the way or in a batch queue"),
        ("Pilots held", pilots_in(PilotState.HELD), "need a look"),
    ]
    sites = gravest_first(at.sites())
    return at.pages.page(
        request,
        "overview.html",
        title="Overview",
        here="overview",
        refresh_seconds=REFRESH_SECONDS,
        now=at.now,
        look=at.look,
        tiles=tiles,
        sites=sites,
        watched=[site for site in sites if site.watched],
        unwatched=[site for site in sites if not site.watched],
        counts=Counter(site.status for site in sites if site.status),
        vos=at.vos(),
        downtimes=downtimes_ahead(at.registry, at.now),
    )


@router.get("/sites", name="sites")
def sites(request: Request) -> HTMLResponse:
    """Every site of the registry."""
    at = _Now(request)
    return at.pages.page(request, "sites.html", title="Sites", here="sites", now=at.now, sites=at.sites())


@router.get("/sites/{name}", name="site")
def site(request: Request, name: str) -> HTMLResponse:
    """One site: its services, pilots, figures of the week and downtimes."""
    at = _Now(request)
    found = next((each for each in at.sites() if each.name == name), None)
    if found is None:
        raise HTTPException(404, f"The registry holds no site {name!r}.")
    draft = drafts_of(request).this_week()
    return at.pages.page(
        request,
        "site.html",
        title=name,
        here="sites",
        refresh_seconds=REFRESH_SECONDS,
        now=at.now,
        look=at.look,
        site=found,
        downtimes=downtimes_ahead(at.registry, at.now, site=name),
        week=draft.week,
        figures=[f for f in draft.figures if f.dimensions.get("site") == name],
        pictures=pictures_of_site(draft, name),
    )


@router.get("/vos", name="vos")
def vos(request: Request) -> HTMLResponse:
    """Every VO of the registry."""
    at = _Now(request)
    return at.pages.page(request, "vos.html", title="VOs", here="vos", now=at.now, vos=at.vos())


@router.get("/vos/{name}", name="vo")
def vo(request: Request, name: str) -> HTMLResponse:
    """One VO: its jobs, figures of the week and the entries that serve it."""
    at = _Now(request)
    found = next((each for each in at.vos() if each.name.casefold() == name.casefold()), None)
    if found is None:
        raise HTTPException(404, f"The registry holds no VO {name!r}.")
    draft = drafts_of(request).this_week()
    return at.pages.page(
        request,
        "vo.html",
        title=found.name,
        here="vos",
        refresh_seconds=REFRESH_SECONDS,
        now=at.now,
        look=at.look,
        vo=found,
        entries=[entry for entry in at.entries.values() if found.name.casefold() in entry.vos],
        figures=[f for f in draft.figures if f.dimensions == {"vo": found.name}],
        pictures=pictures_of_vo(draft, found.name),
    )


@router.get("/plot.css", name="plot_css")
def plot_css() -> Response:
    """The rules of the plots that the report carries in itself."""
    return Response(plot_rules(), media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@router.get("/factory", name="factory")
def factory(request: Request) -> HTMLResponse:
    """The factory's last cycle: what each entry was asked for, what was sent, and which limit bound."""
    at = _Now(request)
    cycle = read_status(at.house.home / "factory")
    return at.pages.page(
        request,
        "factory.html",
        title="Factory",
        here="factory",
        refresh_seconds=REFRESH_SECONDS,
        now=at.now,
        cycle=cycle,
    )
