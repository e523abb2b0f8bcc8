"""Writes entries as ``entries.toml``: reading the text gives equal entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from opengoc.factory.entries import Entry
from opengoc.factory.formats.toml_text import toml_table

#: Tables below an entry, in the order that the reference has them.
_TABLES: Final = ("attributes", "submit", "pilot")


def entries_toml(entries: Iterable[Entry]) -> str:
    """The text. A site is not in it: the registry says where a resource stands."""
    return "\n".join(entry_toml(entry_table(entry)) for entry in entries)


def entry_table(entry: Entry) -> dict[str, Any]:
    """One ``[[entries]]`` table as values."""
    table: dict[str, Any] = {
        "name": entry.name,
        "resource": entry.resource,
        "grid_resource": entry.grid_resource,
        "cores": entry.cores,
        "memory_mib": entry.memory_mib,
        "disk_mib": entry.disk_mib,
        "walltime_seconds": entry.walltime_seconds,
        "vos": list(entry.vos),
        "max_pilots": entry.max_pilots,
        "max_idle": entry.max_idle,
        "enabled": entry.enabled,
    }
    if entry.reason:
        table["reason"] = entry.reason
    return table | {name: dict(getattr(entry, name)) for name in _TABLES}


def entry_toml(table: Mapping[str, Any]) -> str:
    """One entry's text out of its values."""
    parts = [toml_table("[[entries]]", {key: table[key] for key in table if key not in _TABLES})]
    parts += [toml_table(f"[entries.{name}]", table[name]) for name in _TABLES if table.get(name)]
    return "".join(parts)
