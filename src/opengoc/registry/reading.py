"""Load the registry from its facts: a snapshot of what was known at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from opengoc.base.errors import Permanent
from opengoc.registry.kept import Kept, Pieces
from opengoc.registry.model import VO, ReportingGroup
from opengoc.registry.rows import PARENTS, decode
from opengoc.registry.snapshot import Registry
from opengoc.registry.tree import KINDS, name_of
from opengoc.store import facts
from opengoc.store.facts import Fact

#: Kind → field of the snapshot.
FIELDS: Mapping[str, str] = {
    "facility": "facilities",
    "site": "sites",
    "group": "groups",
    "resource": "resources",
    "vo": "vos",
    "reporting-group": "reporting_groups",
    "service-kind": "service_kinds",
    "support-center": "support_centers",
    "project": "projects",
    "campus-grid": "campus_grids",
    "institution": "institutions",
    "vocabulary": "vocabularies",
    "downtime": "downtimes",
    "quarantined-downtime": "quarantined",
}

#: Facts by kind and key.
Stored = Mapping[str, Mapping[str, Fact]]

#: Kind → kind that its rows refer to by id.
_ABOVE: Mapping[str, str] = {kind: parent for kind, (_, parent) in PARENTS.items()} | {"downtime": "resource"}
#: Kind → kind from whose values it takes more.
_BESIDE: Mapping[str, str] = {"resource": "group", "vo": "reporting-group"}


def load_registry(conn: Connection, *, known_at: datetime | None = None) -> Registry:
    """The registry as it was known at ``known_at``; None: as it is known now.

    Raises Permanent when a stored value does not fit this release.
    """
    return snapshot(read_facts(conn, known_at), known_at, Kept())


def read_facts(conn: Connection, known_at: datetime | None) -> Stored:
    """The facts that stood at ``known_at`` (None: stand now), by kind and key."""
    return {
        kind: {fact.key: fact for fact in facts.standing(conn, kind, known_at=known_at)} for kind in KINDS
    }


def snapshot(stored: Stored, known_at: datetime | None, kept: Kept) -> Registry:
    """The registry that facts make; what ``kept`` holds of the same facts is not decoded again.

    Raises Permanent as ``load_registry``.
    """
    values: dict[str, Mapping[str, Any]] = {}
    names: dict[str, Mapping[str, str]] = {}
    for kind in KINDS:
        above, beside = names.get(_ABOVE.get(kind, ""), {}), values.get(_BESIDE.get(kind, ""), {})
        made_of = stored[kind], above, beside
        values[kind] = kept.part(kind, made_of, partial(_values, *made_of))
        names[kind] = kept.part(f"names of {kind}", (values[kind],), partial(_names_by_id, values[kind]))
    return Registry(known_at=known_at, **{FIELDS[kind]: entries for kind, entries in values.items()})


def _values(
    stored: Mapping[str, Fact], above: Mapping[str, str], beside: Mapping[str, Any], pieces: Pieces
) -> Mapping[str, Any]:
    """Values by name; ``above``: names by id of what they refer to, ``beside``: what else they take from."""
    found = (_value(fact, above, beside, pieces) for fact in stored.values())
    return MappingProxyType({name_of(value): value for value in found})


def _names_by_id(values: Mapping[str, Any], _: Pieces) -> Mapping[str, str]:
    return {value.id: name for name, value in values.items()}


def _value(fact: Fact, above: Mapping[str, str], beside: Mapping[str, Any], pieces: Pieces) -> Any:
    row = fact.value or {}
    if fact.kind == "downtime":
        # A resource that is gone leaves the name it had.
        said = {"resource": above.get(row["resource_id"], row["resource"])}
    elif fact.kind in PARENTS:
        field, _ = PARENTS[fact.kind]
        said = {field: above[row[field]]}
        if fact.kind == "resource":
            said["site"] = beside[said["group"]].site
    else:
        said = {}
    value = pieces.of(
        fact.key, (fact.seq, *said.values()), lambda: decoded(fact.kind, fact.key, {**row, **said})
    )
    if fact.kind != "vo":
        return value
    reporting = tuple(beside[name] for name in value.reporting_groups if name in beside)
    return pieces.of((fact.key, "FQANs"), (value, reporting), lambda: _with_fqans(value, reporting))


def decoded(kind: str, key: str, row: Mapping[str, Any]) -> Any:
    """The value of a row, names in place. Raises Permanent when it does not fit this release."""
    try:
        return decode(kind, key, row)
    except ValidationError as error:
        reason = f"{kind} {key} was stored in a form this release cannot read: {error}"
        raise Permanent(reason) from error


def _with_fqans(vo: VO, reporting: Iterable[ReportingGroup]) -> VO:
    fqans = [fqan for group in reporting for fqan in group.fqans]
    return replace(vo, fqans=tuple(dict.fromkeys(fqans)))
