"""Facilities, sites, resource groups and resources as the trees of /rgsummary and /misc…/json."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

from opengoc.registry.model import Facility, Resource, ResourceGroup, Service, Site
from opengoc.registry.snapshot import Registry
from opengoc.web.myosg.numbers import number_of
from opengoc.web.myosg.persons import Persons, shown
from opengoc.web.public import without_addresses, without_subjects

PRODUCTION = "OSG Production Resource"
TESTBED = "OSG Integration Test Bed Resource"
_NOT_AVAILABLE = "(Information not available)"
_CAMPUS_PROGRAM = "CC*"

_WLCG_KEYS = (
    "InteropBDII",
    "LDAPURL",
    "InteropMonitoring",
    "InteropAccounting",
    "AccountingName",
    "KSI2KMin",
    "KSI2KMax",
    "StorageCapacityMin",
    "StorageCapacityMax",
    "HEPSPEC",
    "APELNormalFactor",
    "HEPScore23Percentage",
    "TapeCapacity",
)


class Shapes:
    """The trees of one registry; what takes part in the CC* programme is worked out once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        #: Names of what takes part.
        campus = [each for each in registry.resources.values() if _CAMPUS_PROGRAM in each.tags]
        self.campus_groups = {resource.group for resource in campus}
        self.campus_sites = {resource.site for resource in campus}
        self.campus_facilities = {registry.sites[site].facility for site in self.campus_sites}

    def facility(self, facility: Facility) -> dict[str, Any]:
        """A facility."""
        return {
            "ID": number_of(facility),
            "InstitutionID": facility.institution,
            "Name": facility.name,
            "IsCCStar": facility.name in self.campus_facilities,
        }

    def site(self, site: Site) -> dict[str, Any]:
        """A site; what is not known of it is left out."""
        lines = (*site.address, "", "")
        known = {
            "AddressLine1": lines[0],
            "AddressLine2": lines[1],
            "City": site.city,
            "Country": site.country,
            "Description": without_addresses(site.description),
            "Latitude": site.latitude,
            "LongName": site.long_name,
            "Longitude": site.longitude,
            "State": site.state,
            "Zipcode": site.zipcode,
        }
        head = {"ID": number_of(site), "Name": site.name, "IsCCStar": site.name in self.campus_sites}
        return head | {key: value for key, value in known.items() if value not in (None, "")}

    def above(self, group: ResourceGroup) -> tuple[object, ...]:
        """All that ``group`` is made of."""
        registry, site = self._registry, self._registry.sites[group.site]
        return (
            group,
            site,
            registry.facilities[site.facility],
            registry.support_centers.get(group.support_center or ""),
            group.name in self.campus_groups,
            site.name in self.campus_sites,
            site.facility in self.campus_facilities,
        )

    def group(self, group: ResourceGroup) -> dict[str, Any]:
        """A resource group without its resources."""
        site = self._registry.sites[group.site]
        center = self._registry.support_centers.get(group.support_center or "")
        return {
            "GridType": PRODUCTION if group.production else TESTBED,
            "GroupID": number_of(group),
            "GroupName": group.name,
            "Disable": group.disabled,
            "Facility": self.facility(self._registry.facilities[site.facility]),
            "Site": self.site(site),
            "SupportCenter": {"ID": number_of(center), "Name": center.name} if center else None,
            "GroupDescription": without_addresses(group.description) or None,
            "IsCCStar": group.name in self.campus_groups,
            "Production": group.production,
        }

    def service(self, service: Service) -> dict[str, Any]:
        """A service of a resource."""
        kind = self._registry.service_kinds.get(service.kind)
        return {
            "ID": number_of(kind) if kind else None,
            "Name": service.kind,
            "Description": without_addresses(service.description) or None,
            "Details": without_subjects(service.details) or None,
        }

    def resource(self, resource: Resource, persons: Persons) -> dict[str, Any]:
        """A resource with all its services."""
        return {
            "ID": number_of(resource),
            "Name": resource.name,
            "Active": resource.active,
            "Disable": resource.disabled,
            "Services": {"Service": [self.service(service) for service in resource.services]},
            "Tags": {"Tag": list(resource.tags)} if resource.tags else None,
            "Description": without_addresses(resource.description) or "(No resource description)",
            "FQDN": resource.fqdn,
            "FQDNAliases": {"FQDNAlias": list(resource.aliases)} if resource.aliases else None,
            "VOOwnership": _ownership(resource),
            "WLCGInformation": _wlcg(resource),
            "ContactLists": _contact_lists(resource, persons),
            "IsCCStar": _CAMPUS_PROGRAM in resource.tags,
        }


def has_wlcg(resource: Resource) -> bool:
    """Whether the resource tells what it pledges to the WLCG."""
    return isinstance(resource.carried.get("WLCGInformation"), dict)


def _ownership(resource: Resource) -> dict[str, Any] | str:
    shares = resource.ownership
    if not shares:
        return _NOT_AVAILABLE
    chart = urlencode(
        {
            "chco": "00cc00",
            "cht": "p3",
            "chd": "t:" + ",".join(str(share) for share in shares.values()),
            "chs": "280x65",
            "chl": "|".join(f"{share}({vo}%)" for vo, share in shares.items()),
        }
    )
    rest = 100 - sum(shares.values())
    owners = [*shares.items(), *([("(Other)", rest)] if rest > 0 else [])]
    return {
        "Ownership": [{"Percent": share, "VO": vo} for vo, share in owners],
        "ChartURL": f"http://chart.apis.google.com/chart?{chart}",
    }


def _wlcg(resource: Resource) -> dict[str, Any] | str:
    said = resource.carried.get("WLCGInformation")
    if not isinstance(said, dict):
        return _NOT_AVAILABLE
    keys = [key for key in _WLCG_KEYS if key in said or key != "HEPScore23Percentage"]
    shown: dict[str, Any] = without_subjects(said)
    return dict.fromkeys(keys) | {"InteropBDII": False, "TapeCapacity": 0} | shown


def _contact_lists(resource: Resource, persons: Persons) -> dict[str, Any] | None:
    by_role: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for role in resource.contacts:
        by_role[role.role].append(shown(role.contact, persons) | {"ContactRank": role.rank})
    lists = [{"ContactType": role, "Contacts": {"Contact": contacts}} for role, contacts in by_role.items()]
    return {"ContactList": lists} if lists else None
