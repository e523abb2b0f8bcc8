"""How persons appear in the old answers: not at all, unless the asker may see them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from opengoc.registry.model import Contact

#: Id of the vault → person, for those who may see names.
Persons = Mapping[str, Contact]
NOBODY: Persons = MappingProxyType({})


def shown(contact: str, persons: Persons) -> dict[str, Any]:
    """Name and address of a person, where they may be seen; nothing otherwise."""
    known = persons.get(contact)
    if known is None:
        return {}
    found = {"Name": known.name, "Email": known.email, "DN": next(iter(known.subjects), None)}
    return {key: value for key, value in found.items() if value is not None}
