"""What an import has to write: the tree compared with what stands. Pure.

An entry is the one that stands when both carry the same number, each alone in its tree, else when both carry the
same name. So a rename is one change, and swapping a number or a name is too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opengoc.registry.references import numbered
from opengoc.registry.tree import Entry, Tree, name_of
from opengoc.store.facts import Fact


@dataclass(frozen=True, kw_only=True)
class Match:
    """Entries of one kind beside the facts of that kind."""

    #: Key of a fact → the entry that continues it.
    continued: Mapping[str, Entry]
    #: Entries that no fact stands for.
    new: tuple[Entry, ...]
    #: Facts that no entry stands for.
    vanished: tuple[Fact, ...]


def match(tree: Tree, kind: str, standing: Iterable[Fact]) -> Match:
    """Which entry continues which fact."""
    facts = {fact.key: fact for fact in standing}
    entries = dict(tree.of(kind))
    if kind in ("contact", "downtime"):
        # These have no name of their own: the id in the tree is the key.
        continued = {key: entry for key, entry in entries.items() if key in facts}
    else:
        continued = _by_number(entries.values(), facts.values())
        taken = {name_of(entry.value) for entry in continued.values()}
        by_name = {(fact.value or {}).get("name"): key for key, fact in facts.items() if key not in continued}
        for name, entry in entries.items():
            if name not in taken and name in by_name:
                continued[by_name[name]] = entry
    matched = {name_of(entry.value) for entry in continued.values()}
    return Match(
        continued=continued,
        new=tuple(entry for name, entry in entries.items() if name not in matched),
        vanished=tuple(fact for key, fact in facts.items() if key not in continued),
    )


def _by_number(entries: Iterable[Entry], facts: Iterable[Fact]) -> dict[str, Entry]:
    entries = list(entries)
    facts = list(facts)
    in_tree = Counter(number for entry in entries if (number := numbered(entry)) is not None)
    in_store = Counter(number for fact in facts if (number := _stored_number(fact)) is not None)
    keys = {_stored_number(fact): fact.key for fact in facts}
    return {
        keys[number]: entry
        for entry in entries
        if (number := numbered(entry)) is not None and in_tree[number] == 1 and in_store[number] == 1
    }


def _stored_number(fact: Fact) -> int | None:
    number: Any = (fact.value or {}).get("number")
    return number if isinstance(number, int) else None
