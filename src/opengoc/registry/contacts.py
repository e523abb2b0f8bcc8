"""Persons of the registry: taken from trees into the vault, and read from it by those who may."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from sqlalchemy import Connection

from opengoc.registry.formats.people import NAMED
from opengoc.registry.formats.persons_write import Persons
from opengoc.registry.model import Contact
from opengoc.registry.tree import CONTACT, Tree
from opengoc.store import vault
from opengoc.store.vault import Written


def take_contacts(conn: Connection, tree: Tree, *, who: str) -> Written:
    """Persons of the tree into the vault; gives the id of each."""
    said = {entry.value.id: entry.value for entry in tree.of(CONTACT).values()}
    own = vault.references(conn)
    # An export without names puts the vault's id where a name stood: it means that person, and says no name.
    unnamed = {ref: ref.removeprefix(NAMED) for ref in said if ref.removeprefix(NAMED) in own}
    persons = {unnamed.get(ref, ref): {} if ref in unnamed else _row(each) for ref, each in said.items()}
    written = vault.put(conn, persons, who=who, why="named in the tree")
    ids = {ref: written.ids[unnamed.get(ref, ref)] for ref in said}
    return Written(
        ids=ids,
        added=written.added,
        changed=written.changed,
        unchanged=written.unchanged,
        refused=written.refused,
    )


def drop_contacts(conn: Connection, kept: Collection[str], *, who: str) -> int:
    """Forget persons that the tree names no more (``kept``: ids that it does name); gives how many."""
    gone = [reference for person, reference in vault.references(conn).items() if person not in kept]
    return vault.drop(conn, gone, who=who, why="vanished from the tree")


def read_contacts(
    conn: Connection, ids: Iterable[str] | None = None, *, who: str, why: str
) -> dict[str, Contact]:
    """The persons of these ids (None: all), by id; erased and unknown ones are absent. The reading is logged.

    Needs a write transaction.
    """
    persons = vault.read(conn, None if ids is None else set(ids), who=who, why=why)
    return {key: _contact(key, person.value) for key, person in persons.items()}


def contact_called(
    conn: Connection, field: Literal["email", "subjects"], said: str, *, who: str, why: str
) -> str | None:
    """The id of the one person with this address (whatever its case) or subject; None for none or several.

    That they were found is logged. Needs a write transaction.
    """
    wanted = said.casefold() if field == "email" else said

    def is_called(value: Mapping[str, Any]) -> bool:
        kept = value.get(field)
        return (kept or "").casefold() == wanted if field == "email" else wanted in (kept or ())

    found = vault.find(conn, is_called, who=who, why=why)
    return found[0] if len(found) == 1 else None


def named_persons(conn: Connection, *, who: str, why: str) -> Persons:
    """Everyone, as an export with names takes them. The reading is logged; needs a write transaction."""
    called = vault.references(conn)
    found = read_contacts(conn, who=who, why=why)
    return {key: (called[key], contact) for key, contact in found.items()}


def _row(contact: Any) -> dict[str, Any]:
    return {"name": contact.name, "email": contact.email, "subjects": list(contact.subjects)}


def _contact(key: str, value: Mapping[str, Any]) -> Contact:
    return Contact(
        id=key,
        name=value.get("name"),
        email=value.get("email"),
        subjects=tuple(value.get("subjects") or ()),
    )
