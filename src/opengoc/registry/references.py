"""What the entries of a tree owe each other: names that exist, and names, numbers and hosts used once.

Pure: reads no file, only notes findings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from opengoc.registry.downtime import Downtime
from opengoc.registry.findings import Findings
from opengoc.registry.formats.services import BUILT_IN_SERVICES
from opengoc.registry.model import (
    ANY_VO,
    VO,
    Facility,
    Resource,
    ResourceGroup,
    ServiceKind,
    Site,
    SupportCenter,
)
from opengoc.registry.project import CampusGrid, Project, SponsorKind
from opengoc.registry.tree import Entry, Tree

_Numbered = (
    CampusGrid | Project | ServiceKind | Facility | Site | ResourceGroup | Resource | VO | SupportCenter
)


def check_references(tree: Tree, findings: Findings) -> None:
    """Note every reference of the tree that leads nowhere, and what two entries claim for themselves."""
    service_kinds = tree.of("service-kind") or BUILT_IN_SERVICES
    vos = {name.casefold(): name for name in tree.of("vo")}
    for entry in tree:
        for kind, name in _references(entry.value):
            if name in tree.of(kind):
                continue
            if kind == "vo" and name.casefold() in vos:
                rule = f"is written {vos[name.casefold()]} where that VO stands"
                findings.doubt(entry.where, name, rule, kind=entry.kind)
            else:
                findings.fault(entry.where, name, f"is no {kind} of the tree", kind=entry.kind)
        for service in _services(entry.value):
            if service not in service_kinds:
                findings.fault(entry.where, service, "is no known kind of service", kind=entry.kind)
    _doubt_optional(tree, findings)
    _doubt_numbers(tree, findings)
    _doubt_hosts(tree, findings)
    _doubt_downtimes(tree, findings)
    _refuse_vos_that_differ_by_case(tree, findings)


def _references(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Site):
        yield "facility", value.facility
    elif isinstance(value, ResourceGroup):
        yield "site", value.site
    elif isinstance(value, Resource):
        yield "group", value.group
        yield from (("vo", vo) for vo in {*value.allowed_vos, *value.ownership} - ANY_VO)
    elif isinstance(value, Downtime):
        yield "resource", value.resource
    elif isinstance(value, VO) and value.parent is not None:
        yield "vo", value.parent


def _services(value: object) -> Iterable[str]:
    if isinstance(value, Resource):
        return [service.kind for service in value.services]
    return value.services if isinstance(value, Downtime) else ()


def _doubt_optional(tree: Tree, findings: Findings) -> None:
    """Support centres, reporting groups, sponsors: a name is doubted only where their file is."""
    for entry in (*tree.of("vo").values(), *tree.of("group").values(), *tree.of("project").values()):
        names: tuple[str, ...] = ()
        kind = "support-center"
        if isinstance(entry.value, VO):
            names, kind = entry.value.reporting_groups, "reporting-group"
        elif isinstance(entry.value, ResourceGroup) and entry.value.support_center:
            names = (entry.value.support_center,)
        elif isinstance(entry.value, Project) and entry.value.sponsor is not None:
            names = (entry.value.sponsor.name,)
            kind = "vo" if entry.value.sponsor.kind is SponsorKind.VO else "campus-grid"
        for name in names:
            if tree.of(kind) and name not in tree.of(kind):
                findings.doubt(entry.where, name, f"is no {kind} of the tree", kind=entry.kind)


def _doubt_numbers(tree: Tree, findings: Findings) -> None:
    for kind in ("facility", "site", "group", "resource", "vo", "support-center", "project"):
        first: dict[int, Entry] = {}
        for entry in tree.of(kind).values():
            number = numbered(entry)
            if number is not None and first.setdefault(number, entry) is not entry:
                rule = f"is the ID of the {kind} at {first[number].where} too: this entry goes by name"
                findings.doubt(entry.where, number, rule, kind=kind)


def numbered(entry: Entry) -> int | None:
    """The ID that the tree gives an entry; None where it gives none."""
    value = entry.value
    return value.number if isinstance(value, _Numbered) else None


def _doubt_hosts(tree: Tree, findings: Findings) -> None:
    """The same kind of service on the same host, offered by two resources in use, is counted twice."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in tree.of("resource").values():
        if not isinstance(entry.value, Resource) or not entry.value.in_use:
            continue
        for service in entry.value.services:
            host = (entry.value.fqdn.lower(), service.kind)
            if first.setdefault(host, entry) is not entry:
                rule = f"offers {service.kind} for the resource at {first[host].where} already"
                findings.doubt(entry.where, entry.value.fqdn, rule, kind="resource")


def _doubt_downtimes(tree: Tree, findings: Findings) -> None:
    """A resource changes its services and keeps its old downtimes: no fault, but worth a look."""
    missing: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in tree.of("downtime").values():
        value = entry.value
        resource = tree.of("resource").get(value.resource) if isinstance(value, Downtime) else None
        if resource is None or not isinstance(resource.value, Resource) or not isinstance(value, Downtime):
            continue
        for service in value.services:
            if not resource.value.offers(service):
                missing[value.resource, service].append(entry)
    for (resource_name, service), entries in missing.items():
        rule = f"is no service of {resource_name}, says this and {len(entries) - 1} more of its downtimes"
        findings.doubt(entries[0].where, service, rule, kind="downtime")


def _refuse_vos_that_differ_by_case(tree: Tree, findings: Findings) -> None:
    first: dict[str, Entry] = {}
    for name, entry in tree.of("vo").items():
        if first.setdefault(name.casefold(), entry) is not entry:
            rule = f"differs from the VO at {first[name.casefold()].where} by case only: jobs cannot"
            findings.fault(entry.where, name, rule, kind="vo")
