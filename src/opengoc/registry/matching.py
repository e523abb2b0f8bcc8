"""Which entry of a tree continues which stored value. Pure.

An entry continues the value with its number, when the number is used once in the tree and once in the store;
else the value with its name. So a rename is a change of one entry, not an end and a beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opengoc.registry.references import numbered
from opengoc.registry.tree import BY_ID, Entry, name_of


@dataclass(frozen=True, kw_only=True)
class Match:
    """Entries of one kind beside what is stored of that kind."""

    #: Key of a stored value → the entry that continues it.
    continued: Mapping[str, Entry]
    #: Entries that continue nothing.
    new: tuple[Entry, ...]
    #: Keys of stored values that no entry continues.
    vanished: tuple[str, ...]


def match(kind: str, entries: Mapping[str, Entry], stored: Mapping[str, Mapping[str, Any]]) -> Match:
    """Entries by name, stored values by key; all of one kind."""
    continued = _by_number(entries.values(), stored)
    taken = {name_of(entry.value) for entry in continued.values()}
    free = {
        key if kind in BY_ID else str(value["name"]): key
        for key, value in stored.items()
        if key not in continued
    }
    for name, entry in entries.items():
        if name in free and name not in taken:
            continued[free[name]] = entry
    taken = {name_of(entry.value) for entry in continued.values()}
    return Match(
        continued=continued,
        new=tuple(entry for name, entry in entries.items() if name not in taken),
        vanished=tuple(key for key in stored if key not in continued),
    )


def _by_number(entries: Iterable[Entry], stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Entry]:
    numbers = [(numbered(entry), entry) for entry in entries]
    in_tree = Counter(number for number, _ in numbers)
    in_store = Counter(value.get("number") for value in stored.values())
    keys = {value.get("number"): key for key, value in stored.items()}
    return {
        keys[number]: entry
        for number, entry in numbers
        if number is not None and in_tree[number] == 1 and in_store[number] == 1
    }
