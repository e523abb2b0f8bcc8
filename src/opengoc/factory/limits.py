"""Limits over all entries: ``[limits]`` of the policy file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opengoc.factory.faults import Document, Fault

TABLE = "limits"
_KEYS = ("max_pilots", "max_idle", "max_per_cycle", "max_per_minute")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits over all entries of the factory; None: none."""

    #: Pilots submitted and not yet gone.
    max_pilots: int | None = None
    #: Of these: not yet running, held ones among them.
    max_idle: int | None = None
    #: Pilots submitted in one cycle, and in a minute.
    max_per_cycle: int | None = None
    max_per_minute: int | None = None


def read_limits(text: str, file: str) -> tuple[Limits, tuple[Fault, ...]]:
    """``[limits]`` of a policy file, and every fault. Raises InvalidInput where it is no TOML."""
    document = Document(text, file)
    table: Any = document.content.get(TABLE, {})
    if not isinstance(table, dict):
        return Limits(), (Fault(line=document.line(TABLE), subject=TABLE, rule="must be a table [limits]"),)
    faults = []
    for key, value in table.items():
        rule = ""
        if key not in _KEYS:
            rule = f"is none of {', '.join(_KEYS)}"
        elif not isinstance(value, int) or isinstance(value, bool) or value < 0:
            rule = f"must be a number of pilots, not {value!r}"
        if rule:
            faults.append(Fault(line=document.line(TABLE, key), subject=f"{TABLE}.{key}", rule=rule))
    return (Limits() if faults else Limits(**table)), tuple(faults)
