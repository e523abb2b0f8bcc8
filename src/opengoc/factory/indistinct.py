"""Job values that a clause cannot tell apart, whatever the entry: one of them answers for all.

A comparison with an entry's values sees only between which of them a number or a text lies, and which it
equals; a list of the entry's sees only whether a text is one of its items.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from opengoc.factory.bits import Numbers, number_codes
from opengoc.factory.stringlist import items
from opengoc.factory.tree import Binary, Call, Node, references
from opengoc.factory.values import BOOL, INT, KINDS, OTHER, REAL, STRING, Column, fold

_ORDER: Final = frozenset({"<", "<=", ">", ">="})
_EQUALITY: Final = frozenset({"==", "!="})
_IDENTITY: Final = frozenset({"=?=", "=!="})


def classes(node: Node, job_part: Node, jobs: Column, entries: Column) -> tuple[Numbers, Numbers] | None:
    """Places of one value of each class, and for each value its class; None where the clause sees them all.

    ``jobs`` are the values of ``job_part``, ``entries`` those of the part that names the entry.
    """
    if isinstance(node, Binary) and job_part in (node.left, node.right):
        other = node.right if node.left == job_part else node.left
        if _is_of_entry(other) and node.operator in _ORDER | _EQUALITY | _IDENTITY:
            return _grouped(jobs, _places_of_numbers(jobs, entries), _classes_of_texts(node, jobs, entries))
    if isinstance(node, Call) and node.function in ("stringlistmember", "stringlistimember"):
        item, texts, *more = node.arguments
        if item == job_part and _is_of_entry(texts) and not more:
            return _grouped(jobs, [], _classes_of_items(node.function, jobs, entries))
    return None


def _is_of_entry(node: Node) -> bool:
    """Whether it names the entry and nothing else."""
    return {each.side for each in references(node)} == {"entry"}


def _grouped(jobs: Column, numbers: list[tuple[Numbers, int]], texts: Numbers) -> tuple[Numbers, Numbers]:
    """Places and classes by kind, places among numbers and class of text together."""
    code, size = jobs.kind.astype(np.int64), KINDS
    for part, part_size in (*numbers, (texts, int(texts.max(initial=0)) + 1)):
        # Numbered anew each time: the product of all sizes might not fit.
        found, code = number_codes(code * part_size + part, size * part_size)
        size = len(found)
    first = np.zeros(size, np.int64)
    first[code[::-1]] = np.arange(len(code))[::-1]
    return first, code


def _places_of_numbers(jobs: Column, entries: Column) -> list[tuple[Numbers, int]]:
    """Places of numbers among the entries': integers exactly, and every number as a real."""
    is_whole = (entries.kind == INT) | (entries.kind == BOOL)
    integers = np.unique(entries.integer[is_whole])
    reals = np.unique(entries.real[is_whole | (entries.kind == REAL)])
    reals = reals[~np.isnan(reals)]
    by_integer = np.where((jobs.kind == INT) | (jobs.kind == BOOL), _place(integers, jobs.integer), 0)
    # NaN lies nowhere.
    by_real = np.where(np.isnan(jobs.real), 2 * len(reals) + 1, _place(reals, jobs.real))
    return [(by_integer, 2 * len(integers) + 1), (by_real, 2 * len(reals) + 2)]


def _place(ordered: Any, values: Any) -> Numbers:
    """Even: between two, odd: equal to one."""
    place: Numbers = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return place


def _classes_of_texts(node: Binary, jobs: Column, entries: Column) -> Numbers:
    found = np.zeros(len(jobs.kind), np.int64)
    is_text, is_other = jobs.kind == STRING, jobs.kind == OTHER
    # Lists may be equal to themselves alone.
    found[is_other] = np.arange(int(is_other.sum()))
    if jobs.objects is None or not is_text.any():
        return found
    texts: list[str] = jobs.objects[is_text].tolist()
    known: list[str] = [] if entries.objects is None else entries.objects[entries.kind == STRING].tolist()
    if node.operator in _IDENTITY:
        found[is_text] = _number_known(texts, known)
    elif node.operator in _EQUALITY:
        found[is_text] = _number_known(map(fold, texts), map(fold, known))
    else:
        ordered = sorted(map(fold, known))
        folded = map(fold, texts)
        found[is_text] = [bisect_left(ordered, each) + bisect_right(ordered, each) for each in folded]
    return found


def _classes_of_items(function: str, jobs: Column, entries: Column) -> Numbers:
    found = np.zeros(len(jobs.kind), np.int64)
    is_text = jobs.kind == STRING
    found[~is_text] = np.arange(int((~is_text).sum()))
    if jobs.objects is None or not is_text.any():
        return found
    lists: list[str] = [] if entries.objects is None else entries.objects[entries.kind == STRING].tolist()
    known = [item for text in dict.fromkeys(lists) for item in items(text)]
    texts: list[str] = jobs.objects[is_text].tolist()
    if function == "stringlistmember":
        found[is_text] = _number_known(texts, known)
    else:
        found[is_text] = _number_known(map(fold, texts), map(fold, known))
    return found


def _number_known(keys: Iterable[Any], known: Iterable[Any]) -> list[int]:
    """For each key its number among those known, from 1; 0 for any other."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(known), 1)}
    return [numbers.get(key, 0) for key in keys]
