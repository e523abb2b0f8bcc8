"""Load the registry from its facts: a snapshot of what was known at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from opengoc.base.errors import Permanent
from opengoc.registry.model import VO
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


def load_registry(conn: Connection, *, known_at: datetime | None = None) -> Registry:
    """The registry as it was known at ``known_at``; None: as it is known now.

    Raises Permanent when a stored value does not fit this release.
    """
    stored = {kind: facts.standing(conn, kind, known_at=known_at) for kind in KINDS}
    return snapshot({kind: {fact.key: fact for fact in found} for kind, found in stored.items()}, known_at)


def snapshot(stored: Mapping[str, Mapping[str, Fact]], known_at: datetime | None) -> Registry:
    """The registry that facts by kind and key make. Raises Permanent as ``load_registry``."""
    names: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    values: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for key, fact in stored[kind].items():
            row = dict(fact.value or {})
            if kind in PARENTS:
                field, parent = PARENTS[kind]
                row[field] = names[parent][row[field]]
            if kind == "resource":
                row["site"] = values["group"][row["group"]].site
            elif kind == "downtime":
                # A resource that is gone leaves the name it had.
                row["resource"] = names["resource"].get(row["resource_id"], row["resource"])
            value = decoded(kind, key, row)
            names[kind][key] = name_of(value)
            values[kind][name_of(value)] = value
    groups = values["reporting-group"]
    for name, vo in values["vo"].items():
        values["vo"][name] = _with_fqans(vo, groups)
    found = {kind: MappingProxyType(entries) for kind, entries in values.items()}
    return Registry(known_at=known_at, **{FIELDS[kind]: entries for kind, entries in found.items()})


def decoded(kind: str, key: str, row: Mapping[str, Any]) -> Any:
    """The value of a row, names in place. Raises Permanent when it does not fit this release."""
    try:
        return decode(kind, key, row)
    except ValidationError as error:
        reason = f"{kind} {key} was stored in a form this release cannot read: {error}"
        raise Permanent(reason) from error


def _with_fqans(vo: VO, groups: Mapping[str, Any]) -> VO:
    fqans = [fqan for name in vo.reporting_groups if name in groups for fqan in groups[name].fqans]
    return replace(vo, fqans=tuple(dict.fromkeys(fqans)))
