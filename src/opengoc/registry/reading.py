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


def load_registry(conn: Connection, *, known_at: datetime | None = None) -> Registry:
    """The registry as it was known at ``known_at``; None: as it is known now.

    Raises Permanent when a stored value does not fit this release.
    """
    stored = {kind: facts.standing(conn, kind, known_at=known_at) for kind in KINDS}
    values = _decode(stored)
    return Registry(
        known_at=known_at,
        facilities=values["facility"],
        sites=values["site"],
        groups=values["group"],
        resources=values["resource"],
        vos=values["vo"],
        reporting_groups=values["reporting-group"],
        service_kinds=values["service-kind"],
        support_centers=values["support-center"],
        projects=values["project"],
        campus_grids=values["campus-grid"],
        institutions=values["institution"],
        vocabularies=values["vocabulary"],
        downtimes=values["downtime"],
        quarantined=values["quarantined-downtime"],
    )


def _decode(stored: Mapping[str, list[Fact]]) -> dict[str, Mapping[str, Any]]:
    names: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    values: dict[str, dict[str, Any]] = {}
    for kind, found in stored.items():
        values[kind] = {}
        for fact in found:
            row = dict(fact.value or {})
            if kind in PARENTS:
                field, parent = PARENTS[kind]
                row[field] = names[parent][row[field]]
            if kind == "resource":
                row["site"] = values["group"][row["group"]].site
            elif kind == "downtime":
                # A resource that is gone leaves the name it had.
                row["resource"] = names["resource"].get(row["resource_id"], row["resource"])
            try:
                value = decode(kind, fact.key, row)
            except ValidationError as error:
                raise Permanent(
                    f"{kind} {fact.key} was stored in a form this release cannot read: {error}"
                ) from error
            names[kind][fact.key] = name_of(value)
            values[kind][name_of(value)] = value
    groups = values["reporting-group"]
    for name, vo in values["vo"].items():
        values["vo"][name] = _with_fqans(vo, groups)
    return {kind: MappingProxyType(found) for kind, found in values.items()}


def _with_fqans(vo: VO, groups: Mapping[str, Any]) -> VO:
    fqans = [fqan for name in vo.reporting_groups if name in groups for fqan in groups[name].fqans]
    return replace(vo, fqans=tuple(dict.fromkeys(fqans)))
