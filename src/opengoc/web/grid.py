"""The grid now, put together by site and VO: registry, last look and newest probe answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from opengoc.factory.entries import Entry
from opengoc.factory.model import PayloadState, PilotState
from opengoc.monitoring.standing import ServiceState
from opengoc.registry.downtime import Downtime, DowntimeState
from opengoc.registry.model import VO, Resource, Site
from opengoc.registry.snapshot import Registry
from opengoc.web.watch import Look

#: The worst first: what a site is called after when its services differ.
_GRAVITY = ("CRITICAL", "DOWNTIME", "MISSING", "UNKNOWN", "WARNING", "OK")


@dataclass(frozen=True, kw_only=True)
class EntryNow:
    """One entry with its pilots; None counts are unknown."""

    entry: Entry
    idle: int | None
    running: int | None
    held: int | None


@dataclass(frozen=True, kw_only=True)
class SiteNow:
    """One site with its services and entries."""

    site: Site
    resources: tuple[Resource, ...]
    services: tuple[ServiceState, ...]
    entries: tuple[EntryNow, ...]

    @property
    def name(self) -> str:
        """Name of the site."""
        return self.site.name

    @property
    def facility(self) -> str:
        """Name of its facility."""
        return self.site.facility

    @property
    def country(self) -> str | None:
        """Country, where the registry says it."""
        return self.site.country

    @property
    def status(self) -> str:
        """The gravest state of its services; empty where none is probed."""
        states = {service.status.value for service in self.services}
        return next((state for state in _GRAVITY if state in states), "")

    @property
    def kinds(self) -> list[tuple[str, str, int]]:
        """Kind of service, status and how many stand so, the gravest first."""
        found = Counter((service.target.service, service.status.value) for service in self.services)
        return sorted(
            ((kind, status, number) for (kind, status), number in found.items()),
            key=lambda each: (gravity(each[1]), each[0]),
        )

    @property
    def watched(self) -> bool:
        """Whether a probe looks at it or an entry of the factory leads there."""
        return bool(self.services or self.entries)

    @property
    def idle(self) -> int | None:
        """Pilots that wait at its entries; None when unknown."""
        return _sum(entry.idle for entry in self.entries)

    @property
    def running(self) -> int | None:
        """Pilots that run at its entries; None when unknown."""
        return _sum(entry.running for entry in self.entries)

    @property
    def held(self) -> int | None:
        """Pilots held on the way to it; None when unknown."""
        return _sum(entry.held for entry in self.entries)


@dataclass(frozen=True, kw_only=True)
class VONow:
    """One VO with its jobs; None counts are unknown."""

    vo: VO
    idle: int | None
    running: int | None

    @property
    def name(self) -> str:
        """Name of the VO."""
        return self.vo.name

    @property
    def long_name(self) -> str:
        """Its name in full."""
        return self.vo.long_name

    @property
    def fields(self) -> tuple[str, ...]:
        """Its fields of science."""
        return self.vo.fields_of_science


def gravity(status: str) -> int:
    """Place of a status among all: 0 is the gravest; what is not probed comes last."""
    return _GRAVITY.index(status) if status in _GRAVITY else len(_GRAVITY)


def gravest_first(sites: Iterable[SiteNow]) -> list[SiteNow]:
    """What needs a look stands on top; within a status by name."""
    return sorted(sites, key=lambda site: (gravity(site.status), site.name.casefold()))


def sites_now(
    registry: Registry, entries: Mapping[str, Entry], states: Iterable[ServiceState], look: Look
) -> list[SiteNow]:
    """Every site of the registry, by name."""
    by_name: dict[str, list[ServiceState]] = {}
    for state in states:
        by_name.setdefault(state.site, []).append(state)
    pilots = look.pilots()

    def count(entry: str, state: PilotState) -> int | None:
        return None if pilots is None else pilots.get((entry, state), 0)

    by_site: dict[str, list[EntryNow]] = {}
    for entry in entries.values():
        now = EntryNow(
            entry=entry,
            idle=count(entry.name, PilotState.IDLE),
            running=count(entry.name, PilotState.RUNNING),
            held=count(entry.name, PilotState.HELD),
        )
        by_site.setdefault(entry.site, []).append(now)
    return [
        SiteNow(
            site=site,
            resources=registry.resources_of(name),
            services=tuple(by_name.get(name, ())),
            entries=tuple(by_site.get(name, ())),
        )
        for name, site in sorted(registry.sites.items(), key=lambda each: each[0].casefold())
    ]


def vos_now(registry: Registry, look: Look) -> list[VONow]:
    """Every VO of the registry, by name."""
    jobs = look.jobs()

    def count(vo: str, state: PayloadState) -> int | None:
        return None if jobs is None else jobs.get((vo.casefold(), state), 0)

    return [
        VONow(vo=vo, idle=count(name, PayloadState.IDLE), running=count(name, PayloadState.RUNNING))
        for name, vo in sorted(registry.vos.items(), key=lambda each: each[0].casefold())
    ]


def downtimes_ahead(registry: Registry, now: datetime, *, site: str | None = None) -> list[Downtime]:
    """Downtimes under way or announced, of one site or of all, by start."""
    wanted = (DowntimeState.ACTIVE, DowntimeState.PLANNED)
    found = [d for d in registry.downtimes.values() if d.state(now) in wanted]
    if site is not None:
        names = {resource.name for resource in registry.resources_of(site)}
        found = [downtime for downtime in found if downtime.resource in names]
    return sorted(found, key=lambda downtime: (downtime.interval.start, downtime.resource))


def _sum(counts: Iterable[int | None]) -> int | None:
    counts = list(counts)
    return None if None in counts else sum(count or 0 for count in counts)
