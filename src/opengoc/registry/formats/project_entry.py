"""Entries of projects/ and mappings/ of an OSG Topology tree: a table in, a value of the model out."""

from __future__ import annotations

from collections.abc import Callable

from opengoc.registry.formats.fields import Fields
from opengoc.registry.formats.people import People, named_person
from opengoc.registry.project import Institution, Project, Sponsor, SponsorKind, Vocabulary
from opengoc.registry.tree import UNSTORED

_CARRIED = frozenset({"ResourceAllocations"})


def project(name: str, people: People) -> Callable[[Fields], Project]:
    """One file of projects/."""

    def read(fields: Fields) -> Project:
        investigator = fields.text("PIName")
        return Project(
            id=UNSTORED,
            name=name,
            number=fields.whole_number("ID"),
            description=fields.text("Description") or "",
            department=fields.text("Department") or "",
            organization=fields.text("Organization") or "",
            field_of_science=fields.text("FieldOfScience") or "",
            field_of_science_code=fields.text("FieldOfScienceID") or "",
            institution=fields.text("InstitutionID") or "",
            investigator=named_person(investigator, fields.where("PIName"), people) if investigator else None,
            sponsor=_sponsor(fields.table("Sponsor")),
            carried=fields.carry(_CARRIED),
        )

    return read


def _sponsor(fields: Fields) -> Sponsor | None:
    found = None
    for kind in SponsorKind:
        if fields.has(kind.value):
            table = fields.table(kind.value)
            name = table.required_text("Name")
            # The sponsor's number stands in its own file too: read, and not kept twice.
            table.whole_number("ID")
            table.refuse_unknown()
            found = Sponsor(kind=kind, name=name) if name and found is None else found
    fields.refuse_unknown()
    return found


def institution(fields: Fields) -> Institution | None:
    """One item of institution_ids.yaml."""
    name, address, ror = fields.required_text("name"), fields.required_text("id"), fields.text("ror_id")
    if name is None or address is None:
        return None
    return Institution(id=UNSTORED, name=name, address=address, ror=ror or "")


def vocabulary(name: str) -> Callable[[Fields], Vocabulary]:
    """Any other file of mappings/: a text by a text."""

    def read(fields: Fields) -> Vocabulary:
        return Vocabulary(
            id=UNSTORED, name=name, terms={term: fields.text(term) or "" for term in fields.names()}
        )

    return read
