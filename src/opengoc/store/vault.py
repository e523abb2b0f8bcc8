"""Personal data, apart from the facts: one row a person, under a random id that everything else refers to.

Facts are never changed, so no name may stand in one. Whoever refers to a person keeps the id; the row can be
read (which is written down), corrected, and erased. Of an erased person the row keeps a digest of what a
source calls them, so that the same source does not bring them back.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import canonical_json
from opengoc.base.instant import utc_now
from opengoc.store.schema import from_micros, to_micros, vault, vault_accesses


class Act(StrEnum):
    """What was done with a person's row."""

    READ = "read"
    WRITE = "write"
    ERASE = "erase"


@dataclass(frozen=True, kw_only=True)
class Person:
    """One row that was not erased."""

    #: Random: says nothing about the person.
    id: str
    #: What the source calls the person.
    reference: str
    #: JSON values; kept out of ``repr`` so that no log and no traceback names a person.
    value: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Access:
    """One line of the access log."""

    at: datetime
    who: str
    act: Act
    #: Id of the person.
    person: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Written:
    """What ``put`` did, counted, and where each reference leads."""

    ids: Mapping[str, str]
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    #: References of erased persons: they stay erased.
    refused: int = 0


def put(conn: Connection, persons: Mapping[str, Mapping[str, Any]], *, who: str, why: str) -> Written:
    """Make the rows say what a source says; ``persons`` is its reference → JSON values.

    A value of None or empty says nothing, and takes nothing back. A reference that is the id of a row means
    that row. Erased persons stay erased.
    """
    known = {row.reference: row for row in conn.execute(select(vault))}
    by_id = {row.id: row for row in known.values()}
    ids: dict[str, str] = {}
    new, changed, refused = [], [], 0
    erased = [row for row in by_id.values() if row.value is None]
    for reference, said in persons.items():
        row = by_id.get(reference) or known.get(reference)
        if row is None:
            row = next((each for each in erased if each.reference == _digest(reference, each.id)), None)
        if row is None:
            ids[reference] = f"person-{secrets.token_hex(8)}"
            new.append((ids[reference], reference, {key: value for key, value in said.items() if value}))
            continue
        ids[reference] = row.id
        if row.value is None:
            refused += 1
            continue
        kept = json.loads(row.value)
        merged = kept | {key: value for key, value in said.items() if value}
        if merged != kept:
            changed.append((row.id, merged))
    now = to_micros(utc_now())
    if new:
        rows = [{"id": key, "reference": ref, "value": canonical_json(value)} for key, ref, value in new]
        conn.execute(insert(vault), [row | {"written_at": now} for row in rows])
    for key, value in changed:
        conn.execute(
            update(vault).where(vault.c.id == key).values(value=canonical_json(value), written_at=now)
        )
    _note(conn, Act.WRITE, [key for key, *_ in [*new, *changed]], who=who, why=why)
    unchanged = len(persons) - len(new) - len(changed) - refused
    return Written(ids=ids, added=len(new), changed=len(changed), unchanged=unchanged, refused=refused)


def read(conn: Connection, ids: Collection[str] | None, *, who: str, why: str) -> dict[str, Person]:
    """The persons of these ids (None: all), by id; erased and unknown ones are absent.

    Needs a write transaction: who read whom, and why, is written down with it.
    """
    wanted = None if ids is None else set(ids)
    found = {
        row.id: Person(id=row.id, reference=row.reference, value=json.loads(row.value))
        for row in conn.execute(select(vault).where(vault.c.value.is_not(None)).order_by(vault.c.id))
        if wanted is None or row.id in wanted
    }
    _note(conn, Act.READ, found, who=who, why=why)
    return found


def find(conn: Connection, matches: Callable[[Mapping[str, Any]], bool], *, who: str, why: str) -> list[str]:
    """The ids of persons whose values match; of them alone the reading is written down, as of ``read``."""
    rows = conn.execute(select(vault.c.id, vault.c.value).where(vault.c.value.is_not(None)))
    found = sorted(row.id for row in rows if matches(json.loads(row.value)))
    _note(conn, Act.READ, found, who=who, why=why)
    return found


def erase(conn: Connection, person: str, *, who: str, why: str) -> None:
    """Forget a person: one row loses all it says. Erasing twice is erasing once. Raises InvalidInput."""
    row = conn.execute(select(vault).where(vault.c.id == person)).one_or_none()
    if row is None:
        raise InvalidInput("contact", person, "is the id of no person")
    if row.value is None:
        return
    emptied = {"value": None, "reference": _digest(row.reference, person), "written_at": to_micros(utc_now())}
    conn.execute(update(vault).where(vault.c.id == person).values(emptied))
    _note(conn, Act.ERASE, [person], who=who, why=why)


def drop(conn: Connection, references: Collection[str], *, who: str, why: str) -> int:
    """Forget the rows of references that their source no longer names, whole; gives how many."""
    gone = [
        row.id
        for row in conn.execute(select(vault).where(vault.c.value.is_not(None)))
        if row.reference in references
    ]
    for person in gone:
        conn.execute(delete(vault).where(vault.c.id == person))
    _note(conn, Act.ERASE, gone, who=who, why=why)
    return len(gone)


def references(conn: Connection) -> dict[str, str]:
    """Id → reference of every person that was not erased; says no name, so it is not logged."""
    rows = conn.execute(select(vault.c.id, vault.c.reference).where(vault.c.value.is_not(None)))
    return {row.id: row.reference for row in rows}


def accesses(conn: Connection, person: str | None = None, *, limit: int = 1000) -> list[Access]:
    """The access log, newest first; of one person if asked."""
    chosen = select(vault_accesses).order_by(vault_accesses.c.seq.desc()).limit(limit)
    if person is not None:
        chosen = chosen.where(vault_accesses.c.person == person)
    return [
        Access(at=from_micros(row.at), who=row.who, act=Act(row.act), person=row.person, why=row.why)
        for row in conn.execute(chosen)
    ]


def _digest(reference: str, person: str) -> str:
    # Keyed by the random id: equal references of two rows do not look equal, and lists of names do not help.
    return "erased:" + hashlib.blake2b(reference.encode(), key=person.encode(), digest_size=16).hexdigest()


def _note(conn: Connection, act: Act, persons: Collection[str], *, who: str, why: str) -> None:
    if not persons:
        return
    line = {"at": to_micros(utc_now()), "who": who, "act": act.value, "why": why}
    conn.execute(insert(vault_accesses), [line | {"person": person} for person in persons])
