"""What the old answers are joined from: texts of entries, beside what filters choose them by. Immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from opengoc.registry.downtime import Downtime
from opengoc.registry.kept import Pieces
from opengoc.registry.model import VO, Resource, ResourceGroup
from opengoc.registry.project import Project
from opengoc.registry.snapshot import Registry
from opengoc.web.myosg import xml
from opengoc.web.myosg.downtimes import calendar_event, downtime_tree
from opengoc.web.myosg.filters import Filters
from opengoc.web.myosg.numbers import number_of
from opengoc.web.myosg.persons import Persons
from opengoc.web.myosg.projects import project_tree, sponsor_number
from opengoc.web.myosg.resources import Shapes, has_wlcg
from opengoc.web.myosg.vos import reporting_groups_of, uses_oasis, vo_tree


@dataclass(frozen=True, kw_only=True)
class Place:
    """Numbers by which groups are chosen, and downtimes with them."""

    facility: int
    site: int
    center: int | None
    group: int
    production: bool

    def chosen(self, filters: Filters) -> bool:
        """Whether the filters ask for what stands here."""
        return (
            filters.production in (None, self.production)
            and among(self.facility, filters.of("facility"))
            and among(self.site, filters.of("site"))
            and among(self.center, filters.of("sc"))
            and among(self.group, filters.of("rg"))
        )


@dataclass(frozen=True, kw_only=True)
class ServiceText:
    """A service of a resource."""

    number: int | None
    hidden: bool | None
    text: str


@dataclass(frozen=True, kw_only=True)
class ResourceText:
    """A resource, whole and in parts: a filter may leave services out."""

    active: bool
    disabled: bool
    owners: frozenset[int]
    wlcg: bool
    services: tuple[ServiceText, ...]
    #: Text up to the services, after them, and the whole.
    before: str
    after: str
    text: str

    def chosen(self, filters: Filters) -> str:
        """Its text under the filters; empty where they leave it out."""
        owners = filters.of("voown")
        if (
            filters.active not in (None, self.active)
            or filters.disable not in (None, self.disabled)
            or (owners and owners.isdisjoint(self.owners))
            or (filters.has_wlcg and not self.wlcg)
        ):
            return ""
        kinds = filters.of("service")
        if not kinds and filters.service_hidden is None:
            return self.text
        services = [
            service.text
            for service in self.services
            if among(service.number, kinds) and filters.service_hidden in (None, service.hidden)
        ]
        return f"{self.before}{''.join(services)}{self.after}" if services else ""


@dataclass(frozen=True, kw_only=True)
class GroupText:
    """A resource group, up to its resources."""

    place: Place
    head: str
    resources: tuple[ResourceText, ...]


@dataclass(frozen=True, kw_only=True)
class DowntimeText:
    """A downtime, as element and as event of a calendar."""

    downtime: Downtime
    place: Place
    start: datetime
    end: datetime
    services: frozenset[int]
    text: str
    event: str


@dataclass(frozen=True, kw_only=True)
class VOText:
    """A VO."""

    number: int
    active: bool
    disabled: bool
    oasis: bool | None
    text: str


def among(number: int | None, wanted: frozenset[int]) -> bool:
    """Whether a number is asked for; an empty set asks for all."""
    return not wanted or number in wanted


def place_of(registry: Registry, name: str) -> Place:
    """Where the named resource group stands."""
    group = registry.groups[name]
    site = registry.sites[group.site]
    center = registry.support_centers.get(group.support_center or "")
    return Place(
        facility=number_of(registry.facilities[site.facility]),
        site=number_of(site),
        center=number_of(center) if center else None,
        group=number_of(group),
        production=group.production,
    )


def render_groups(
    registry: Registry,
    places: Mapping[str, Place],
    owners: Mapping[str, int],
    shapes: Shapes,
    persons: Persons,
    pieces: Pieces,
) -> tuple[GroupText, ...]:
    """Every resource group, by name whatever its case, its resources by name."""
    kinds = pieces.of("kinds", (registry.service_kinds,), lambda: service_numbers(registry))
    members: dict[str, list[ResourceText]] = {name: [] for name in registry.groups}
    for name, resource in sorted(registry.resources.items()):
        text = pieces.of(
            ("resource", name),
            (resource, owners, kinds),
            partial(_render_resource, resource, shapes, persons, owners, kinds),
        )
        members[resource.group].append(text)
    groups = sorted(registry.groups.values(), key=lambda each: (each.name.lower(), each.name))
    return tuple(
        GroupText(
            place=places[group.name],
            head=pieces.of(("group", group.name), shapes.above(group), partial(_render_head, group, shapes)),
            resources=tuple(members[group.name]),
        )
        for group in groups
    )


def _render_head(group: ResourceGroup, shapes: Shapes) -> str:
    return f"\t<ResourceGroup>\n{xml.elements(shapes.group(group), 2)}\t\t<Resources>\n"


def _render_resource(
    resource: Resource, shapes: Shapes, persons: Persons, owners: Mapping[str, int], kinds: Mapping[str, int]
) -> ResourceText:
    tree = shapes.resource(resource, persons)
    keys = list(tree)
    cut = keys.index("Services")
    services = tuple(
        ServiceText(
            number=kinds.get(service.kind),
            hidden=service.details.get("hidden"),
            text=xml.elements({"Service": shapes.service(service)}, 5),
        )
        for service in resource.services
    )
    head = xml.elements({key: tree[key] for key in keys[:cut]}, 4)
    before = f"\t\t\t<Resource>\n{head}\t\t\t\t<Services>\n"
    rest = xml.elements({key: tree[key] for key in keys[cut + 1 :]}, 4)
    after = f"\t\t\t\t</Services>\n{rest}\t\t\t</Resource>\n"
    return ResourceText(
        active=resource.active,
        disabled=resource.disabled,
        owners=frozenset(owners[vo] for vo in resource.ownership if vo in owners),
        wlcg=has_wlcg(resource),
        services=services,
        before=before,
        after=after,
        text=f"{before}{''.join(service.text for service in services)}{after}",
    )


def render_vos(registry: Registry, persons: Persons, pieces: Pieces) -> tuple[VOText, ...]:
    """Every VO, by name whatever its case."""
    numbers = vo_numbers(registry)
    return tuple(
        pieces.of(
            vo.name,
            (vo, numbers.get(vo.parent or ""), reporting_groups_of(registry, vo)),
            partial(_render_vo, registry, vo, persons),
        )
        for vo in sorted(registry.vos.values(), key=lambda each: each.name.lower())
    )


def _render_vo(registry: Registry, vo: VO, persons: Persons) -> VOText:
    return VOText(
        number=number_of(vo),
        active=vo.active,
        disabled=vo.disabled,
        oasis=uses_oasis(vo),
        text=xml.elements({"VO": vo_tree(registry, vo, persons)}, 1),
    )


def render_downtimes(
    registry: Registry, places: Mapping[str, Place], pieces: Pieces
) -> tuple[DowntimeText, ...]:
    """Those that stand, of resources that stand, by start."""
    kinds = pieces.of("kinds", (registry.service_kinds,), lambda: service_numbers(registry))
    rendered = []
    for key, downtime in sorted(registry.downtimes.items(), key=lambda each: each[1].interval.start):
        resource = registry.resources.get(downtime.resource)
        if downtime.cancelled or resource is None:
            continue
        place = places[resource.group]
        made_of = (downtime, resource, place, kinds)
        rendered.append(pieces.of(key, made_of, partial(_render_downtime, registry, downtime, place, kinds)))
    return tuple(rendered)


def _render_downtime(
    registry: Registry, downtime: Downtime, place: Place, kinds: Mapping[str, int]
) -> DowntimeText:
    tree = downtime_tree(registry, downtime)
    return DowntimeText(
        downtime=downtime,
        place=place,
        start=downtime.interval.start,
        end=downtime.interval.end or downtime.interval.start,
        services=frozenset(kinds[service] for service in downtime.services if service in kinds),
        text=xml.elements({"Downtime": tree}, 2) if tree else "",
        event=calendar_event(registry, downtime),
    )


def render_projects(registry: Registry, persons: Persons, pieces: Pieces) -> str:
    """The elements of every project, by name."""
    return "".join(
        pieces.of(
            name,
            (project, sponsor_number(registry, project)),
            partial(_render_project, registry, project, persons),
        )
        for name, project in sorted(registry.projects.items())
    )


def _render_project(registry: Registry, project: Project, persons: Persons) -> str:
    return xml.elements({"Project": project_tree(registry, project, persons)}, 1)


def vo_numbers(registry: Registry) -> Mapping[str, int]:
    """VO → its number."""
    return {vo.name: number_of(vo) for vo in registry.vos.values()}


def service_numbers(registry: Registry) -> Mapping[str, int]:
    """Kind of service → its number."""
    return {name: number_of(kind) for name, kind in registry.service_kinds.items()}
