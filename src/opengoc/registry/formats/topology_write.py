"""Write a registry as a tree in the layout of OSG Topology; reading it back changes nothing.

Cancelled downtimes are left out, as the layout knows none; persons go to contacts.yaml only when asked for.
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
from opengoc.registry.model import VO, ContactRole, ReportingGroup, Resource, ResourceGroup, Service, Site
from opengoc.registry.snapshot import Registry

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DUMPER: type = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_tree(registry: Registry, root: Path, *, persons: bool = False) -> int:
    """Write the tree below ``root``, which must be empty or new; gives the number of files.

    ``persons``: write names and addresses of contacts too. Raises InvalidInput where there is something.
    """
    if root.exists() and any(root.iterdir()):
        raise InvalidInput(str(root), root.name, "must be an empty or new folder")
    files = tree_files(registry, persons=persons)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_yaml(content), encoding="utf-8")
    return len(files)


def tree_files(registry: Registry, *, persons: bool = False) -> dict[str, Any]:
    """Relative path → content of every file of the tree, as JSON values."""
    files: dict[str, Any] = {}
    if persons:
        files["contacts.yaml"] = {
            contact.id: _said(Name=contact.name, Email=contact.email)
            for contact in registry.contacts.values()
        }
    for vo in registry.vos.values():
        files[f"virtual-organizations/{vo.name}.yaml"] = _vo(vo)
    if registry.reporting_groups:
        groups = {group.name: _reporting_group(group) for group in registry.reporting_groups.values()}
        files["virtual-organizations/REPORTING_GROUPS.yaml"] = groups
    if registry.support_centers:
        files["topology/support-centers.yaml"] = {
            center.name: _said(
                ID=center.number,
                LongName=center.long_name,
                Description=center.description,
                Community=center.community,
                Contacts=_by_role(center.contacts),
            )
            for center in registry.support_centers.values()
        }
    if registry.service_kinds:
        kinds = {kind.name: kind.number for kind in registry.service_kinds.values()}
        files["topology/services.yaml"] = kinds
    files |= _topology(registry)
    return files


def _topology(registry: Registry) -> dict[str, Any]:
    files: dict[str, Any] = {}
    resources: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    downtimes: defaultdict[str, list[Any]] = defaultdict(list)
    for resource in registry.resources.values():
        resources[resource.group][resource.name] = _resource(resource)
    for downtime in registry.downtimes.values():
        # An ended downtime outlives its resource here, where a tree has no place for it; another resource
        # that took the name has no part in it.
        owner = registry.resources.get(downtime.resource)
        if not downtime.cancelled and owner is not None and owner.id == downtime.resource_id:
            downtimes[owner.group].append(_downtime(downtime))
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


def _resource(resource: Resource) -> dict[str, Any]:
    ranked: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for contact in resource.contacts:
        ranked[contact.role][contact.rank] = {"ID": contact.contact}
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


def _vo(vo: VO) -> dict[str, Any]:
    science = _said(PrimaryFields=list(vo.fields_of_science), SecondaryFields=list(vo.secondary_fields))
    content = _said(
        ID=vo.number,
        LongName=vo.long_name,
        Community=vo.community,
        FieldsOfScience=science,
        ReportingGroups=list(vo.reporting_groups),
        ParentVO={"Name": vo.parent} if vo.parent else None,
        Disable=vo.disabled or None,
        Contacts=_by_role(vo.contacts),
    )
    return {"Active": vo.active, **content, **vo.carried}


def _reporting_group(group: ReportingGroup) -> dict[str, Any]:
    return {
        "Contacts": [{"ID": contact.contact} for contact in group.contacts] or None,
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


def _by_role(contacts: Iterable[ContactRole]) -> dict[str, Any]:
    roles: defaultdict[str, list[Any]] = defaultdict(list)
    for contact in contacts:
        roles[contact.role].append({"ID": contact.contact})
    return dict(roles)


def _said(**content: Any) -> dict[str, Any]:
    """The keys that say something: what is absent reads back as the same nothing."""
    return {key: value for key, value in content.items() if value not in (None, "", [], {})}


def _yaml(content: Any) -> str:
    return yaml.dump(content, Dumper=_DUMPER, allow_unicode=True, sort_keys=False, width=100)
