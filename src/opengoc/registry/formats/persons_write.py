"""How a tree names persons: by name where they may be named, else by their id in the vault alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from opengoc.registry.formats.people import NAMED
from opengoc.registry.model import Contact

#: Id of the vault → (what the source calls the person, the person).
Persons = Mapping[str, tuple[str, Contact]]
NOBODY: Persons = MappingProxyType({})


def person(contact: str, persons: Persons) -> dict[str, Any]:
    """``ID``, and ``Name`` where the person may be named."""
    reference, known = persons.get(contact, (contact, None))
    return {"ID": reference} if known is None or known.name is None else {"ID": reference, "Name": known.name}


def oasis_manager(contact: str, persons: Persons) -> dict[str, Any]:
    """A manager of a VO's software: a person with subjects of certificates."""
    _, known = persons.get(contact, (contact, None))
    subjects = {"DNs": list(known.subjects)} if known is not None and known.subjects else {}
    return person(contact, persons) | subjects


def investigator(contact: str | None, persons: Persons) -> str | None:
    """``PIName``: a name, else the id of the vault."""
    if contact is None or contact not in persons:
        return contact
    reference, known = persons[contact]
    return known.name or reference.removeprefix(NAMED)
