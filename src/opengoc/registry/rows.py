"""Values of the registry as the facts they are stored as.

A stored value refers to its parent by id, so that renaming a site changes one fact; names are put back when
the registry is loaded. Persons are referred to by their id in the vault. A downtime keeps the name that its
resource had, beside the id: it outlives the resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from opengoc.registry.tree import CONTACT, KINDS, Value

#: Kind → (field that names the parent, kind of the parent).
PARENTS: Mapping[str, tuple[str, str]] = {
    "site": ("facility", "facility"),
    "group": ("site", "site"),
    "resource": ("group", "group"),
}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(KINDS[kind])


def encode(kind: str, value: Value, parent_ids: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The value as JSON values; ``parent_ids`` is kind → name → id of what stands or is being stored."""
    row: dict[str, Any] = _adapter(kind).dump_python(value, mode="json")
    del row["id"]
    persons = parent_ids.get(CONTACT, {})
    for role in row.get("contacts", ()):
        role["contact"] = persons.get(role["contact"], role["contact"])
    if row.get("investigator"):
        row["investigator"] = persons.get(row["investigator"], row["investigator"])
    if kind in PARENTS:
        field, parent = PARENTS[kind]
        row[field] = parent_ids[parent][row[field]]
    if kind == "resource":
        # Follows from the group.
        del row["site"]
        # Who owns what is told in order, and a table of a fact has none.
        row["ownership"] = [list(share) for share in row["ownership"].items()]
    elif kind == "vo":
        # Follow from the reporting groups.
        del row["fqans"]
    elif kind == "downtime" and row["resource_id"] is None:
        row["resource_id"] = parent_ids["resource"].get(row["resource"])
    return row


def decode(kind: str, key: str, row: Mapping[str, Any]) -> Any:
    """The value that a fact holds, names in place. Raises pydantic's ValidationError for a foreign row."""
    if "ownership" in row:
        row = {**row, "ownership": dict(row["ownership"])}
    return _adapter(kind).validate_python({**row, "id": key})
