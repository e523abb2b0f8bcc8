"""``/healthz`` for watchdogs and ``/metrics`` for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from opengoc import __version__
from opengoc.app import House
from opengoc.base.errors import GocError
from opengoc.base.instant import format_instant, utc_now
from opengoc.factory.model import PayloadState, PilotState
from opengoc.registry.snapshot import Registry
from opengoc.store import facts
from opengoc.web.pages import registry_of, service_states_of
from opengoc.web.watch import Look, Watch

router = APIRouter()


@router.get("/healthz", name="healthz")
def healthz(request: Request) -> JSONResponse:
    """Whether this process can serve: 200, or 503 with the reason. The grid's own health is in /metrics."""
    house: House = request.app.state.house
    try:
        with house.database.read() as conn:
            head = facts.head(conn)
    except GocError as error:
        return JSONResponse({"status": "failing", "reason": str(error)}, status_code=503)
    watch: Watch = request.app.state.watch
    look = {"taken_at": format_instant(watch.latest.taken_at), "faults": list(watch.latest.faults)}
    return JSONResponse({"status": "ok", "version": __version__, "facts": head, "look": look})


@router.get("/favicon.ico", include_in_schema=False)
def favicon() -> RedirectResponse:
    """Browsers ask here for the icon of a page that names none, as the report by itself does."""
    return RedirectResponse("/static/icon.svg", status_code=301)


@router.get("/metrics", name="metrics")
def metrics(request: Request) -> Response:
    """The grid now, in Prometheus' text format. What is unknown is absent, never 0."""
    registry = CollectorRegistry()
    grid = _Grid(request.app.state.house, registry_of(request), request.app.state.watch.latest)
    registry.register(grid)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Grid(Collector):
    def __init__(self, house: House, registry: Registry, look: Look) -> None:
        self._house = house
        self._registry = registry
        self._look = look

    def collect(self) -> Iterable[Metric]:
        """Gauges of jobs, pilots, slots and services."""
        look = self._look
        complete = GaugeMetricFamily("goc_look_complete", "Whether every daemon answered the last look")
        complete.add_metric([], float(look.snapshot is not None and not look.faults))
        age = GaugeMetricFamily("goc_look_age_seconds", "Age of the last look")
        age.add_metric([], (utc_now() - look.taken_at).total_seconds())
        yield from (complete, age, self._jobs(), self._pilots(), self._joined(), self._services())

    def _jobs(self) -> Metric:
        family = GaugeMetricFamily("goc_payload_jobs", "Payload jobs in the queues", labels=["vo", "state"])
        jobs = self._look.jobs()
        if jobs is not None:
            known = {vo for vo, _ in jobs} | {name.casefold() for name in self._registry.vos}
            for vo in sorted(known):
                for state in PayloadState:
                    family.add_metric([vo, state.value], jobs.get((vo, state), 0))
        return family

    def _pilots(self) -> Metric:
        family = GaugeMetricFamily("goc_pilots", "Pilots in the factory's queue", labels=["entry", "state"])
        pilots = self._look.pilots()
        if pilots is not None:
            known = {entry for entry, _ in pilots} | self._house.entries()[0].keys()
            for entry in sorted(known):
                for state in PilotState:
                    family.add_metric([entry, state.value], pilots.get((entry, state), 0))
        return family

    def _joined(self) -> Metric:
        family = GaugeMetricFamily("goc_pilots_joined", "Pilots whose startd is in the pool")
        joined = self._look.joined()
        if joined is not None:
            family.add_metric([], joined)
        return family

    def _services(self) -> Metric:
        family = GaugeMetricFamily(
            "goc_service_status",
            "1 for the state a service is in",
            labels=["site", "resource", "service", "status"],
        )
        for state in service_states_of(self._house, self._registry, utc_now()):
            family.add_metric(
                [state.site, state.target.resource, state.target.service, state.status.value], 1
            )
        return family
