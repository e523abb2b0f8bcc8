"""Everything the old answers are made of, rendered once for one version of the registry; filters only choose.

Immutable once made; ``now`` is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from opengoc.registry.snapshot import Registry
from opengoc.web.myosg import xml
from opengoc.web.myosg.downtimes import calendar, downtime_tree
from opengoc.web.myosg.filters import Filters
from opengoc.web.myosg.fragments import (
    DowntimeText,
    GroupText,
    Place,
    VOText,
    among,
    place_of,
    render_downtime,
    render_groups,
    render_vos,
)
from opengoc.web.myosg.persons import NOBODY, Persons
from opengoc.web.myosg.projects import project_tree
from opengoc.web.myosg.resources import Shapes

_SCHEMAS = "https://topology.opensciencegrid.org/schema"
_XSI = {"xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"}


class Catalog:
    """The rendered registry; ``before`` is an older version's catalog: what holds of it is used again."""

    def __init__(
        self, registry: Registry, persons: Persons = NOBODY, *, before: Catalog | None = None
    ) -> None:
        self._registry = registry
        self._persons = persons
        self._shapes = Shapes(registry)
        old = before if before is not None and _only_downtimes_differ(before._registry, registry) else None
        self._places: Mapping[str, Place] = (
            old._places if old else {name: place_of(registry, name) for name in registry.groups}
        )
        self._groups: tuple[GroupText, ...] = (
            old._groups if old else render_groups(registry, self._places, self._shapes, persons)
        )
        self._vos: tuple[VOText, ...] = old._vos if old else render_vos(registry, persons)
        self._projects: str = old._projects if old else _render_projects(registry, persons)
        self._downtimes: Mapping[str, DowntimeText] = self._render_downtimes(old._downtimes if old else {})

    def resource_summary(self, filters: Filters) -> str:
        """/rgsummary/xml."""
        parts = []
        for group in self._groups:
            if not group.place.chosen(filters):
                continue
            resources = "".join([resource.chosen(filters) for resource in group.resources])
            if resources:
                parts += [group.head, resources, "\t\t</Resources>\n\t</ResourceGroup>\n"]
        start = xml.opening("ResourceSummary", _XSI | {"xsi:schemaLocation": f"{_SCHEMAS}/rgsummary.xsd"})
        return _document(start, "".join(parts), "ResourceSummary")

    def downtimes(self, filters: Filters, now: datetime) -> str:
        """/rgdowntime/xml: past, current and future as of ``now``."""
        past, current, future = self._chosen(filters, now)
        kinds = filters.of("service")
        text = "".join(
            f"\t<{name}>\n{''.join(texts)}\t</{name}>\n" if texts else f"\t<{name}></{name}>\n"
            for name, texts in (
                ("PastDowntimes", [self._text(each, kinds) for each in past]),
                ("CurrentDowntimes", [self._text(each, kinds) for each in current]),
                ("FutureDowntimes", [self._text(each, kinds) for each in future]),
            )
        )
        start = xml.opening("Downtimes", {"xsi:schemaLocation": f"{_SCHEMAS}/rgdowntime.xsd"} | _XSI)
        return _document(start, text, "Downtimes")

    def calendar(self, filters: Filters, now: datetime) -> str:
        """/rgdowntime/ical."""
        return calendar("".join(each.event for frame in self._chosen(filters, now) for each in frame))

    def next_change(self, filters: Filters, now: datetime) -> datetime | None:
        """When the downtimes shown under the filters next change by the passing of time; None: never."""
        oldest = _oldest(filters, now)
        moments = []
        for each in self._downtimes.values():
            moments += [moment for moment in (each.start, each.end) if moment >= now]
            if oldest is not None and oldest <= each.end < now:
                moments.append(now + (each.end - oldest))
        return min(moments, default=None)

    def vo_summary(self, filters: Filters) -> str:
        """/vosummary/xml."""
        texts = [
            vo.text
            for vo in self._vos
            if filters.active in (None, vo.active)
            and filters.disable in (None, vo.disabled)
            and filters.oasis in (None, vo.oasis)
            and among(vo.number, filters.of("vo"))
        ]
        start = xml.opening("VOSummary", _XSI | {"xsi:schemaLocation": f"{_SCHEMAS}/vosummary.xsd"})
        return _document(start, "".join(texts), "VOSummary")

    def projects(self) -> str:
        """/miscproject/xml."""
        return self._projects

    def facility_trees(self) -> dict[str, Any]:
        """/miscfacility/json."""
        return {name: self._shapes.facility(each) for name, each in self._registry.facilities.items()}

    def site_trees(self) -> dict[str, Any]:
        """/miscsite/json."""
        return {name: self._shapes.site(each) for name, each in self._registry.sites.items()}

    def resource_trees(self) -> dict[str, Any]:
        """/miscresource/json."""
        return {
            name: {
                "Name": name,
                "Site": resource.site,
                "Facility": self._registry.sites[resource.site].facility,
                "ResourceGroup": resource.group,
            }
            | self._shapes.resource(resource, self._persons)
            for name, resource in self._registry.resources.items()
        }

    def _render_downtimes(self, known: Mapping[str, DowntimeText]) -> Mapping[str, DowntimeText]:
        """Those that stand, of resources that stand, by start."""
        registry = self._registry
        rendered = {}
        for key, downtime in sorted(registry.downtimes.items(), key=lambda each: each[1].interval.start):
            if downtime.cancelled or downtime.resource not in registry.resources:
                continue
            old = known.get(key)
            place = self._places[registry.resources[downtime.resource].group]
            same = old is not None and old.downtime == downtime
            rendered[key] = old if old and same else render_downtime(registry, downtime, place)
        return rendered

    def _text(self, each: DowntimeText, services: frozenset[int]) -> str:
        if not services:
            return each.text
        tree = downtime_tree(self._registry, each.downtime, services)
        return xml.elements({"Downtime": tree}, 2) if tree else ""

    def _chosen(self, filters: Filters, now: datetime) -> tuple[list[DowntimeText], ...]:
        """Past, current and future downtimes; both ends are part of the present, as in Topology."""
        oldest = _oldest(filters, now)
        kinds = filters.of("service")
        past, current, future = [], [], []
        places = _chooser(filters)
        for each in self._downtimes.values():
            if (kinds and kinds.isdisjoint(each.services)) or not places(each.place):
                continue
            if each.end < now:
                if oldest is None or each.end >= oldest:
                    past.append(each)
            elif each.start > now:
                future.append(each)
            else:
                current.append(each)
        return past, current, future


def _oldest(filters: Filters, now: datetime) -> datetime | None:
    """The earliest end of a downtime that is still shown; None: however long ago."""
    since = now - datetime.min.replace(tzinfo=UTC)
    if filters.past_days is None or timedelta(days=filters.past_days) >= since:
        return None
    return now - timedelta(days=filters.past_days)


def _chooser(filters: Filters) -> Callable[[Place], bool]:
    if filters.production is None and not any(filters.of(key) for key in ("facility", "site", "sc", "rg")):
        return lambda _: True
    return lambda place: place.chosen(filters)


def _render_projects(registry: Registry, persons: Persons) -> str:
    projects = [project_tree(registry, project, persons) for _, project in sorted(registry.projects.items())]
    return _document("<Projects>", xml.elements({"Project": projects}, 1) if projects else "", "Projects")


def _only_downtimes_differ(one: Registry, other: Registry) -> bool:
    return one.resources is other.resources and one.vos is other.vos and one.projects is other.projects


def _document(start: str, content: str, name: str) -> str:
    line_end = "\n" if content else ""
    return f"{xml.DECLARATION}{start}{line_end}{content}</{name}>"
