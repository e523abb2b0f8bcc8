"""Everything the old answers are made of, rendered once for a version of the registry; filters choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from opengoc.registry.kept import Kept
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
    render_downtimes,
    render_groups,
    render_projects,
    render_vos,
    vo_numbers,
)
from opengoc.web.myosg.objects import (
    as_json,
    group_objects,
    project_objects,
    resource_objects,
    vo_objects,
)
from opengoc.web.myosg.persons import NOBODY, Persons
from opengoc.web.myosg.resources import Shapes

_SCHEMAS = "https://topology.opensciencegrid.org/schema"
_XSI = {"xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"}


class Catalog:
    """The rendered registry; ``before`` is an older version's catalog: what holds of it is used again.

    Parts are rendered when they are first asked for, by one thread at a time.
    """

    def __init__(
        self, registry: Registry, persons: Persons = NOBODY, *, before: Catalog | None = None
    ) -> None:
        self._registry = registry
        self._persons = persons
        self._shapes = Shapes(registry)
        self._kept: Kept = Kept(None if before is None else before._kept)

    def groups(self) -> tuple[GroupText, ...]:
        """Resource groups with their resources."""
        known, places, owners = self._registry, self._places(), self._vo_numbers()
        return self._kept.part(
            "groups",
            (known.resources, owners, known.service_kinds, *self._above()),
            lambda pieces: render_groups(known, places, owners, self._shapes, self._persons, pieces),
        )

    def vos(self) -> tuple[VOText, ...]:
        """VOs."""
        known = self._registry
        return self._kept.part(
            "vos",
            (known.vos, known.reporting_groups),
            lambda pieces: render_vos(known, self._persons, pieces),
        )

    def downtimes(self) -> tuple[DowntimeText, ...]:
        """Downtimes that stand, by start."""
        known, places = self._registry, self._places()
        return self._kept.part(
            "downtimes",
            (known.downtimes, known.resources, known.service_kinds, places),
            lambda pieces: render_downtimes(known, places, pieces),
        )

    def projects(self) -> str:
        """/miscproject/xml."""
        known = self._registry
        return self._kept.part(
            "projects",
            (known.projects, self._vo_numbers(), known.campus_grids),
            lambda pieces: _document("<Projects>", render_projects(known, self._persons, pieces), "Projects"),
        )

    def projects_json(self) -> str:
        """/miscproject/json."""
        known = self._registry
        return self._kept.part(
            "projects as JSON",
            (known.projects, self._vo_numbers(), known.campus_grids),
            lambda pieces: project_objects(known, self._persons, pieces),
        )

    def vos_json(self) -> str:
        """/vosummary/json."""
        known, numbers = self._registry, self._vo_numbers()
        return self._kept.part(
            "VOs as JSON",
            (known.vos, known.reporting_groups),
            lambda pieces: vo_objects(known, numbers, self._persons, pieces),
        )

    def groups_json(self) -> str:
        """/api/resource_group_summary."""
        known = self._registry
        return self._kept.part(
            "groups as JSON",
            (known.resources, known.service_kinds, *self._above()),
            lambda pieces: group_objects(known, self._shapes, self._persons, pieces),
        )

    def facilities_json(self) -> str:
        """/miscfacility/json."""
        known, shapes = self._registry, self._shapes
        return self._kept.part(
            "facilities",
            (known.facilities, shapes.campus_facilities),
            lambda _: as_json({name: shapes.facility(each) for name, each in known.facilities.items()}),
        )

    def sites_json(self) -> str:
        """/miscsite/json."""
        known, shapes = self._registry, self._shapes
        return self._kept.part(
            "sites",
            (known.sites, shapes.campus_sites),
            lambda _: as_json({name: shapes.site(each) for name, each in known.sites.items()}),
        )

    def resources_json(self) -> str:
        """/miscresource/json."""
        known, facilities = self._registry, self._facilities()
        return self._kept.part(
            "resources",
            (known.resources, facilities, known.service_kinds),
            lambda pieces: resource_objects(known, facilities, self._shapes, self._persons, pieces),
        )

    def resource_summary(self, filters: Filters) -> str:
        """/rgsummary/xml."""
        parts = []
        for group in self.groups():
            if not group.place.chosen(filters):
                continue
            resources = "".join([resource.chosen(filters) for resource in group.resources])
            if resources:
                parts += [group.head, resources, "\t\t</Resources>\n\t</ResourceGroup>\n"]
        start = xml.opening("ResourceSummary", _XSI | {"xsi:schemaLocation": f"{_SCHEMAS}/rgsummary.xsd"})
        return _document(start, "".join(parts), "ResourceSummary")

    def downtime_summary(self, filters: Filters, now: datetime) -> str:
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
        for each in self.downtimes():
            moments += [moment for moment in (each.start, each.end) if moment >= now]
            if oldest is not None and oldest <= each.end < now:
                moments.append(now + (each.end - oldest))
        return min(moments, default=None)

    def vo_summary(self, filters: Filters) -> str:
        """/vosummary/xml."""
        texts = [
            vo.text
            for vo in self.vos()
            if filters.active in (None, vo.active)
            and filters.disable in (None, vo.disabled)
            and filters.oasis in (None, vo.oasis)
            and among(vo.number, filters.of("vo"))
        ]
        start = xml.opening("VOSummary", _XSI | {"xsi:schemaLocation": f"{_SCHEMAS}/vosummary.xsd"})
        return _document(start, "".join(texts), "VOSummary")

    def _above(self) -> tuple[object, ...]:
        known = self._registry
        return known.groups, known.sites, known.facilities, known.support_centers

    def _vo_numbers(self) -> Mapping[str, int]:
        return self._kept.part("numbers of VOs", (self._registry.vos,), lambda _: vo_numbers(self._registry))

    def _places(self) -> Mapping[str, Place]:
        known = self._registry
        return self._kept.part(
            "places", self._above(), lambda _: {name: place_of(known, name) for name in known.groups}
        )

    def _facilities(self) -> Mapping[str, str]:
        """Site → its facility."""
        sites = self._registry.sites
        return self._kept.part(
            "facilities of sites", (sites,), lambda _: {name: site.facility for name, site in sites.items()}
        )

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
        for each in self.downtimes():
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


def _document(start: str, content: str, name: str) -> str:
    line_end = "\n" if content else ""
    return f"{xml.DECLARATION}{start}{line_end}{content}</{name}>"
