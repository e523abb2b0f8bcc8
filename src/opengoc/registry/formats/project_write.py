"""Write projects and mappings as files of a tree in the layout of OSG Topology."""

from __future__ import annotations

from typing import Any

from opengoc.registry.formats.persons_write import Persons, investigator
from opengoc.registry.project import Institution, Project
from opengoc.registry.snapshot import Registry


def project_files(registry: Registry, persons: Persons) -> dict[str, Any]:
    """Relative path → content of every file below projects/ and mappings/."""
    files: dict[str, Any] = {
        f"projects/{project.name}.yaml": _project(project, persons) for project in registry.projects.values()
    }
    if registry.campus_grids:
        files["projects/_CAMPUS_GRIDS.yaml"] = {
            grid.name: grid.number for grid in registry.campus_grids.values()
        }
    for vocabulary in registry.vocabularies.values():
        files[f"mappings/{vocabulary.name}.yaml"] = dict(vocabulary.terms)
    if registry.institutions:
        found = [_institution(each) for each in registry.institutions.values()]
        files["mappings/institution_ids.yaml"] = found
    return files


def _project(project: Project, persons: Persons) -> dict[str, Any]:
    content = {
        "ID": project.number,
        "Description": project.description,
        "Department": project.department,
        "Organization": project.organization,
        "FieldOfScience": project.field_of_science,
        "FieldOfScienceID": project.field_of_science_code,
        "InstitutionID": project.institution,
        "PIName": investigator(project.investigator, persons),
        "Sponsor": {project.sponsor.kind.value: {"Name": project.sponsor.name}} if project.sponsor else None,
    }
    return {key: value for key, value in content.items() if value not in (None, "")} | dict(project.carried)


def _institution(institution: Institution) -> dict[str, Any]:
    said = {"name": institution.name, "id": institution.address, "ror_id": institution.ror}
    return {key: value for key, value in said.items() if value}
