"""Resources with how their services stand, chosen by the filters of the page of current status. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from opengoc.monitoring.model import Status, Target
from opengoc.monitoring.standing import ServiceState
from opengoc.registry.model import ANY_VO, Resource, Service
from opengoc.registry.snapshot import Registry

#: What a service is said to be that no probe looks at and no outage covers.
NOT_PROBED = "NOT PROBED"
#: The statuses that can be asked for, the gravest first.
STATUSES = (
    Status.CRITICAL.value,
    Status.DOWNTIME.value,
    Status.MISSING.value,
    Status.UNKNOWN.value,
    Status.WARNING.value,
    Status.OK.value,
    NOT_PROBED,
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for: empty texts and None ask for all."""

    #: Name of a VO that the resource serves, whatever its case.
    vo: str = ""
    #: Part of the name of a site or facility, whatever its case.
    place: str = ""
    #: Kind of service.
    service: str = ""
    #: One of STATUSES.
    status: str = ""
    active: bool | None = None
    disabled: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceNow:
    """One service of a resource, now."""

    service: Service
    status: str
    since: datetime | None
    #: What its probe answered last, or the description of its downtime.
    summary: str


@dataclass(frozen=True, kw_only=True)
class ResourceNow:
    """One resource with its services that were asked for."""

    resource: Resource
    facility: str
    services: tuple[ServiceNow, ...]


def resources_now(
    registry: Registry, states: Iterable[ServiceState], wanted: Wanted, now: datetime
) -> list[ResourceNow]:
    """The resources that are asked for, by site and name; of each, the services of the kind and status."""
    by_target = {state.target: state for state in states}
    found = []
    for resource in registry.resources.values():
        facility = registry.sites[resource.site].facility
        if not _is_wanted(resource, facility, wanted):
            continue
        services = tuple(
            service
            for service in _services(registry, resource, by_target, now)
            if wanted.service in ("", service.service.kind) and wanted.status in ("", service.status)
        )
        if services:
            found.append(ResourceNow(resource=resource, facility=facility, services=services))
    return sorted(found, key=lambda row: (row.resource.site.casefold(), row.resource.name.casefold()))


def counts(rows: Iterable[ResourceNow]) -> dict[str, int]:
    """Services by status, the gravest first; statuses that none has are left out."""
    found = Counter(service.status for row in rows for service in row.services)
    return {status: found[status] for status in STATUSES if found[status]}


def serves(resource: Resource, vo: str) -> bool:
    """Whether the registry says that a resource serves a VO, or that the VO owns a part of it."""
    named = {name.casefold() for name in (*resource.allowed_vos, *resource.ownership)}
    return vo.casefold() in named or not ANY_VO.isdisjoint(resource.allowed_vos)


def _is_wanted(resource: Resource, facility: str, wanted: Wanted) -> bool:
    place = wanted.place.casefold()
    return (
        wanted.active in (None, resource.active)
        and wanted.disabled in (None, resource.disabled)
        and (place in resource.site.casefold() or place in facility.casefold())
        and (not wanted.vo or serves(resource, wanted.vo))
    )


def _services(
    registry: Registry, resource: Resource, states: Mapping[Target, ServiceState], now: datetime
) -> Iterable[ServiceNow]:
    for service in resource.services:
        state = states.get(Target(resource=resource.name, service=service.kind))
        if state is not None:
            yield ServiceNow(
                service=service, status=state.status.value, since=state.since, summary=state.summary
            )
            continue
        outage = registry.outage_at(resource.name, now, service=service.kind)
        yield ServiceNow(
            service=service,
            status=NOT_PROBED if outage is None else Status.DOWNTIME.value,
            since=None if outage is None else outage.interval.start,
            summary="" if outage is None else outage.description,
        )
