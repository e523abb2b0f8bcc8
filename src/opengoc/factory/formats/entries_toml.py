"""Writes entries as ``entries.toml``: reading the text gives equal entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opengoc.factory.formats.toml_text import toml_table

#: Tables below an entry, in the order that the reference has them.
_TABLES: Final = ("attributes", "submit", "pilot")


def entry_toml(table: Mapping[str, Any]) -> str:
    """One entry's text out of its values. A site is not in it: the registry says where a resource stands."""
    parts = [toml_table("[[entries]]", {key: table[key] for key in table if key not in _TABLES})]
    parts += [toml_table(f"[entries.{name}]", table[name]) for name in _TABLES if table.get(name)]
    return "".join(parts)
