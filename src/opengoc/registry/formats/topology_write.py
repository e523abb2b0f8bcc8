"""Write a registry as a tree in the layout of OSG Topology; reading it back changes nothing.

Cancelled downtimes are left out, as the layout knows none. Persons are named only when they are handed in;
else their ids of the vault stand where names stood.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant
from opengoc.registry.downtime import Downtime
from opengoc.registry.formats.persons_write import NOBODY, Persons, oasis_manager, person
from opengoc.registry.formats.project_write import project_files
from opengoc.registry.formats.topology_entry import OASIS_MANAGER
from opengoc.registry.model import VO, ContactRole, ReportingGroup, Resource, ResourceGroup, Service, Site
from opengoc.registry.snapshot import Registry

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DUMPER: type = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_tree(registry: Registry, root: Path, *, persons: Persons = NOBODY) -> int:
    """Write the tree below ``root``, which must be empty or new; gives the number of files.

    ``persons``: who is named, by id of the vault, with what the source calls each. Raises InvalidInput
    where there is something.
    """
    if root.exists() and any(root.iterdir()):
        raise InvalidInput(str(root), root.name, "must be an empty or new folder")
    files = tree_files(registry, persons=persons)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_yaml(content), encoding="utf-8")
    return len(files)


def tree_files(registry: Registry, *, persons: Persons = NOBODY) -> dict[str, Any]:
    """Relative path → content of every file of the tree, as JSON values."""
    files: dict[str, Any] = {}
    addresses = {
        reference: _said(Name=contact.name, Email=contact.email)
        for reference, contact in persons.values()
        if contact.email is not None
    }
    if addresses:
        files["contacts.yaml"] = addresses
    for vo in registry.vos.values():
        files[f"virtual-organizations/{vo.name}.yaml"] = _vo(vo, registry, persons)
    files |= project_files(registry, persons)
    if registry.reporting_groups:
        groups = {
            group.name: _reporting_group(group, persons) for group in registry.reporting_groups.values()
        }
        files["virtual-organizations/REPORTING_GROUPS.yaml"] = groups
    if registry.support_centers:
        files["topology/support-centers.yaml"] = {
            center.name: _said(
                ID=center.number,
                LongName=center.long_name,
                Description=center.description,
                Community=center.community,
                Contacts=_by_role(center.contacts, persons),
            )
            for center in registry.support_centers.values()
        }
    if registry.service_kinds:
        kinds = {kind.name: kind.number for kind in registry.service_kinds.values()}
        files["topology/services.yaml"] = kinds
    files |= _topology(registry, persons)
    return files


def _topology(registry: Registry, persons: Persons) -> dict[str, Any]:
    files: dict[str, Any] = {}
    resources: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    downtimes: defaultdict[str, list[Any]] = defaultdict(list)
    for resource in registry.resources.values():
        resources[resource.group][resource.name] = _resource(resource, persons)
    for downtime in registry.downtimes.values():
        # An ended downtime outlives its resource here, where a tree has no place for it; another resource
        # that took the name has no part in it.
        owner = registry.resources.get(downtime.resource)
        if not downtime.cancelled and owner is not None and owner.id == downtime.resource_id:
            downtimes[owner.group].append(_downtime(downtime))
    for apart in registry.quarantined.values():
        downtimes[apart.group].append(dict(apart.entry))
    for facility in registry.facilities.values():
        content = _said(ID=facility.number, InstitutionID=facility.institution)
        files[f"topology/{facility.name}/FACILITY.yaml"] = content
    for site in registry.sites.values():
        files[f"topology/{site.facility}/{site.name}/SITE.yaml"] = _site(site)
    for group in registry.groups.values():
        folder = f"topology/{registry.site(group.site).facility}/{group.site}"
        files[f"{folder}/{group.name}.yaml"] = _group(group, resources[group.name])
        if group.name in downtimes:
            files[f"{folder}/{group.name}_downtime.yaml"] = downtimes[group.name]
    return files


def _site(site: Site) -> dict[str, Any]:
    lines = {f"AddressLine{number}": line for number, line in enumerate(site.address, start=1)}
    return _said(
        ID=site.number,
        LongName=site.long_name,
        Description=site.description,
        **lines,
        City=site.city,
        State=site.state,
        Country=site.country,
        Zipcode=site.zipcode,
        Latitude=site.latitude,
        Longitude=site.longitude,
    )


def _group(group: ResourceGroup, resources: Mapping[str, Any]) -> dict[str, Any]:
    content = _said(
        GroupID=group.number,
        SupportCenter=group.support_center,
        GroupDescription=group.description,
        Disable=group.disabled or None,
    )
    return {"Production": group.production, **content, "Resources": dict(resources)}


def _resource(resource: Resource, persons: Persons) -> dict[str, Any]:
    ranked: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for contact in resource.contacts:
        ranked[contact.role][contact.rank] = person(contact.contact, persons)
    content = _said(
        ID=resource.number,
        Description=resource.description,
        Disable=resource.disabled or None,
        FQDNAliases=list(resource.aliases),
        AllowedVOs=list(resource.allowed_vos),
        VOOwnership=dict(resource.ownership),
        Tags=list(resource.tags),
        ContactLists=dict(ranked),
    )
    services = {service.kind: _service(service) for service in resource.services}
    return {
        "Active": resource.active,
        "FQDN": resource.fqdn,
        "Services": services,
        **content,
        **resource.carried,
    }


def _service(service: Service) -> dict[str, Any]:
    return _said(Description=service.description, Details=dict(service.details))


def _vo(vo: VO, registry: Registry, persons: Persons) -> dict[str, Any]:
    science = _said(PrimaryFields=list(vo.fields_of_science), SecondaryFields=list(vo.secondary_fields))
    parent = registry.vo(vo.parent or "")
    content = _said(
        ID=vo.number,
        LongName=vo.long_name,
        Community=vo.community,
        FieldsOfScience=science,
        ReportingGroups=list(vo.reporting_groups),
        ParentVO=_said(Name=vo.parent, ID=parent.number if parent else None),
        Disable=vo.disabled or None,
        Contacts=_by_role((role for role in vo.contacts if role.role != OASIS_MANAGER), persons),
    )
    carried = dict(vo.carried)
    if managers := [role for role in vo.contacts if role.role == OASIS_MANAGER]:
        listed = [oasis_manager(role.contact, persons) for role in managers]
        carried["OASIS"] = {"Managers": listed, **carried.get("OASIS", {})}
    return {"Active": vo.active, **content, **carried}


def _reporting_group(group: ReportingGroup, persons: Persons) -> dict[str, Any]:
    return {
        "Contacts": [person(role.contact, persons) for role in group.contacts] or None,
        "FQANs": [{"GroupName": fqan.group, "Role": fqan.role} for fqan in group.fqans] or None,
    }


def _downtime(downtime: Downtime) -> dict[str, Any]:
    end = downtime.interval.end
    return _said(
        ID=int(downtime.id)
        if downtime.id.isdigit() and str(int(downtime.id)) == downtime.id
        else downtime.id,
        Class=downtime.claimed_class.value if downtime.claimed_class else None,
        Severity=downtime.severity.value,
        StartTime=_time(downtime.interval.start),
        EndTime=_time(end) if end else None,
        CreatedTime=_time(downtime.declared_at) if downtime.declared_at else None,
        ResourceName=downtime.resource,
        Services=list(downtime.services),
        Description=downtime.description,
    )


def _time(moment: datetime) -> str:
    """Topology's way of writing where it can say it: to the minute, month by its English name."""
    if moment.second or moment.microsecond:
        return format_instant(moment)
    return f"{_MONTHS[moment.month - 1]} {moment.day:02d}, {moment.year:04d} {moment:%H:%M} +0000"


def _by_role(contacts: Iterable[ContactRole], persons: Persons) -> dict[str, Any]:
    roles: defaultdict[str, list[Any]] = defaultdict(list)
    for contact in contacts:
        roles[contact.role].append(person(contact.contact, persons))
    return dict(roles)


def _said(**content: Any) -> dict[str, Any]:
    """The keys that say something: what is absent reads back as the same nothing."""
    return {key: value for key, value in content.items() if value not in (None, "", [], {})}


def _yaml(content: Any) -> str:
    return yaml.dump(content, Dumper=_DUMPER, allow_unicode=True, sort_keys=False, width=100)
