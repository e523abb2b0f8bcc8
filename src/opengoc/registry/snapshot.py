"""The registry as it was known at one moment: an immutable snapshot with the look-ups other rooms need.

Pure: whoever asks about a moment passes it in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, QuarantinedDowntime
from opengoc.registry.model import (
    VO,
    ContactRole,
    Facility,
    ReportingGroup,
    Resource,
    ResourceGroup,
    ServiceKind,
    Site,
    SupportCenter,
)
from opengoc.registry.project import CampusGrid, Institution, Project, Vocabulary

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Everything that stood at ``known_at``. Mappings go by name, downtimes by id.

    Persons are not in it: roles give their ids, and ``contacts.read_contacts`` names them to those who may.
    """

    #: The moment up to which facts were known; None: when it was loaded.
    known_at: datetime | None
    facilities: Mapping[str, Facility]
    sites: Mapping[str, Site]
    groups: Mapping[str, ResourceGroup]
    resources: Mapping[str, Resource]
    vos: Mapping[str, VO]
    reporting_groups: Mapping[str, ReportingGroup]
    #: Empty: the built-in kinds.
    service_kinds: Mapping[str, ServiceKind]
    support_centers: Mapping[str, SupportCenter]
    projects: Mapping[str, Project] = field(default_factory=dict)
    campus_grids: Mapping[str, CampusGrid] = field(default_factory=dict)
    institutions: Mapping[str, Institution] = field(default_factory=dict)
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
    #: Cancelled and ended ones too: past availability depends on them.
    downtimes: Mapping[str, Downtime]
    #: Downtimes of the tree that nobody can act on.
    quarantined: Mapping[str, QuarantinedDowntime] = field(default_factory=dict)

    def resource(self, name: str) -> Resource:
        """The resource of this name. Raises InvalidInput for an unknown one."""
        return _known("resource", self.resources, name)

    def site(self, name: str) -> Site:
        """The site of this name. Raises InvalidInput for an unknown one."""
        return _known("site", self.sites, name)

    def site_of(self, resource: str) -> Site:
        """The site at which the named resource stands. Raises InvalidInput for an unknown one."""
        return self.sites[self.resource(resource).site]

    def owner_of(self, downtime: Downtime) -> Resource | None:
        """The resource that a downtime is of; None where it is gone, whatever has taken its name since."""
        named = self.resources.get(downtime.resource)
        return named if named is not None and downtime.resource_id in (None, named.id) else None

    def site_of_downtime(self, downtime: Downtime) -> str | None:
        """Name of the site of the resource that a downtime is of; None where that is gone."""
        owner = self.owner_of(downtime)
        return None if owner is None else owner.site

    def resources_of(self, site: str) -> tuple[Resource, ...]:
        """The resources of the named site, in order of name. Raises InvalidInput for an unknown one."""
        self.site(site)
        return tuple(self._resources_by_site.get(site, ()))

    def vo(self, name: str) -> VO | None:
        """The VO of this name whatever its case (jobs say ``cms``, the tree ``CMS``); None where unknown."""
        return self._vos_by_folded_name.get(name.casefold())

    def roles(self) -> Iterator[tuple[str, str, ContactRole]]:
        """Every role that a person holds: kind and name of what it is held for, and the role."""
        for kind, holders in (
            ("resource", self.resources),
            ("vo", self.vos),
            ("support-center", self.support_centers),
            ("reporting-group", self.reporting_groups),
        ):
            for name, value in holders.items():
                yield from ((kind, name, role) for role in value.contacts)
        for name, project in self.projects.items():
            if project.investigator is not None:
                yield (
                    "project",
                    name,
                    ContactRole(role="Principal Investigator", contact=project.investigator),
                )

    def downtimes_of(
        self, resource: str, interval: Interval | None = None, *, service: str | None = None
    ) -> tuple[Downtime, ...]:
        """Downtimes of a resource that stand and overlap ``interval``, by start; of one service if asked.

        Cancelled ones are left out. A resource that the registry no longer holds keeps its past downtimes.
        """
        return tuple(
            downtime
            for downtime in self._standing_by_resource.get(resource, ())
            if (interval is None or downtime.interval.overlaps(interval))
            and (service is None or service in downtime.services)
        )

    def outage_at(self, resource: str, now: datetime, *, service: str | None = None) -> Downtime | None:
        """The outage that is on at ``now``, the one that ends last where several are; None where none is."""
        current = [
            downtime
            for downtime in self.downtimes_of(resource, service=service)
            if downtime.is_outage and now in downtime.interval
        ]
        return max(current, key=lambda outage: outage.interval.end or now, default=None)

    def next_outage_start(
        self, resource: str, now: datetime, *, service: str | None = None
    ) -> datetime | None:
        """When the next outage that has not begun at ``now`` begins; None where none is announced."""
        starts = (
            downtime.interval.start
            for downtime in self.downtimes_of(resource, service=service)
            if downtime.is_outage and downtime.interval.start > now
        )
        return min(starts, default=None)

    @cached_property
    def _resources_by_site(self) -> dict[str, list[Resource]]:
        found: defaultdict[str, list[Resource]] = defaultdict(list)
        for _, resource in sorted(self.resources.items()):
            found[resource.site].append(resource)
        return dict(found)

    @cached_property
    def _vos_by_folded_name(self) -> dict[str, VO]:
        return {name.casefold(): vo for name, vo in self.vos.items()}

    @cached_property
    def _standing_by_resource(self) -> dict[str, list[Downtime]]:
        found: defaultdict[str, list[Downtime]] = defaultdict(list)
        for downtime in sorted(self.downtimes.values(), key=lambda each: (each.interval.start, each.id)):
            # Another resource that took the name of one that is gone has no part in its downtimes.
            taken = downtime.resource in self.resources and self.owner_of(downtime) is None
            if not taken and not downtime.cancelled:
                found[downtime.resource].append(downtime)
        return dict(found)


def _known(kind: str, entries: Mapping[str, T], name: str) -> T:
    if name not in entries:
        raise InvalidInput(kind, name, f"is no {kind} of the registry; see `goc registry show {kind}`")
    return entries[name]
