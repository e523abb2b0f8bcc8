"""Projects as the trees of /miscproject."""

from __future__ import annotations

from typing import Any

from opengoc.registry.project import Project, SponsorKind
from opengoc.registry.snapshot import Registry
from opengoc.web.myosg.numbers import number_of
from opengoc.web.myosg.persons import Persons
from opengoc.web.public import without_addresses


def project_tree(registry: Registry, project: Project, persons: Persons) -> dict[str, Any]:
    """A project; its investigator is named to those who may see names."""
    investigator = persons.get(project.investigator or "")
    return {
        "ID": number_of(project),
        "Name": project.name,
        "Description": without_addresses(project.description) or None,
        "PIName": investigator.name if investigator else None,
        "Organization": project.organization,
        "Department": project.department or None,
        "FieldOfScience": project.field_of_science,
        "Sponsor": _sponsor(registry, project),
        "ResourceAllocations": _allocations(project),
        "InstitutionID": project.institution,
        "FieldOfScienceID": project.field_of_science_code,
    }


def sponsor_number(registry: Registry, project: Project) -> int | None:
    """The number of who answers for a project; None where the registry does not hold them."""
    sponsor = project.sponsor
    if sponsor is None:
        return None
    of_vo = sponsor.kind is SponsorKind.VO
    found = registry.vo(sponsor.name) if of_vo else registry.campus_grids.get(sponsor.name)
    return number_of(found) if found else None


def _sponsor(registry: Registry, project: Project) -> dict[str, Any] | None:
    sponsor = project.sponsor
    if sponsor is None:
        return None
    return {sponsor.kind.value: {"ID": sponsor_number(registry, project), "Name": sponsor.name}}


def _allocations(project: Project) -> dict[str, Any] | None:
    given = project.carried.get("ResourceAllocations") or []
    allocations = [
        {
            "Type": each.get("Type"),
            "SubmitResources": {"SubmitResource": each.get("SubmitResources") or []},
            "ExecuteResourceGroups": {
                "ExecuteResourceGroup": [
                    {"GroupName": group.get("GroupName"), "LocalAllocationID": group.get("LocalAllocationID")}
                    for group in each.get("ExecuteResourceGroups") or []
                ]
            },
        }
        for each in given
    ]
    return {"ResourceAllocation": allocations} if allocations else None
