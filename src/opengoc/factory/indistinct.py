"""Job values that a clause cannot tell apart, whatever the entry: one of them answers for all.

A comparison with an entry's values sees only between which of them a number or a text lies, and which it
equals; a list of the entry's sees only whether a text is one of its items.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from opengoc.factory.bits import Numbers, number_codes
from opengoc.factory.stringlist import items
from opengoc.factory.tree import Binary, Call, Node, references
from opengoc.factory.values import BOOL, INT, KINDS, OTHER, REAL, STRING, UNDEFINED, Column, fold

_ORDER: Final = frozenset({"<", "<=", ">", ">="})
_EQUALITY: Final = frozenset({"==", "!="})
_IDENTITY: Final = frozenset({"=?=", "=!="})


def seen_apart(node: Node, job_part: Node, entries: Column) -> Distinction | None:
    """What the clause tells apart of the values of ``job_part``; None where it sees them all.

    ``entries`` are the values of the part that names the entry.
    """
    if isinstance(node, Binary) and job_part in (node.left, node.right):
        other = node.right if node.left == job_part else node.left
        if _is_of_entry(other) and node.operator in _ORDER | _EQUALITY | _IDENTITY:
            return Comparison(node.operator, entries)
    if isinstance(node, Call) and node.function in ("stringlistmember", "stringlistimember"):
        item, texts, *more = node.arguments
        if item == job_part and _is_of_entry(texts) and not more:
            return Membership(node.function, entries)
    return None


def _is_of_entry(node: Node) -> bool:
    """Whether it names the entry and nothing else."""
    return {each.side for each in references(node)} == {"entry"}


class Comparison:
    """A comparison of jobs' values with these entries' values."""

    def __init__(self, sign: str, entries: Column) -> None:
        self._sign = sign
        is_whole = (entries.kind == INT) | (entries.kind == BOOL)
        reals = np.unique(entries.real[is_whole | (entries.kind == REAL)])
        self._integers = np.unique(entries.integer[is_whole])
        self._reals = reals[~np.isnan(reals)]
        texts = _texts(entries)
        self._numbers = _numbered(texts if sign in _IDENTITY else map(fold, texts))
        self._ordered = sorted(map(fold, texts)) if sign in _ORDER else []

    def classes(self, jobs: Column) -> tuple[Numbers, Numbers]:
        """Places of one value of each class, and for each value its class."""
        return _grouped(jobs, self._places_of_numbers(jobs), self._classes_of_texts(jobs))

    def _places_of_numbers(self, jobs: Column) -> list[tuple[Numbers, int]]:
        """Places of numbers among the entries': integers exactly, and every number as a real."""
        is_whole = (jobs.kind == INT) | (jobs.kind == BOOL)
        by_integer = np.where(is_whole, _place(self._integers, jobs.integer), 0)
        # NaN lies nowhere.
        nowhere = 2 * len(self._reals) + 1
        by_real = np.where(np.isnan(jobs.real), nowhere, _place(self._reals, jobs.real))
        return [(by_integer, 2 * len(self._integers) + 1), (by_real, nowhere + 1)]

    def _classes_of_texts(self, jobs: Column) -> Numbers:
        found = np.zeros(len(jobs.kind), np.int64)
        is_text, is_other = jobs.kind == STRING, jobs.kind == OTHER
        # Lists may be equal to themselves alone.
        found[is_other] = np.arange(int(is_other.sum()))
        texts = _texts(jobs)
        if self._sign in _ORDER:
            folded = map(fold, texts)
            found[is_text] = [
                bisect_left(self._ordered, each) + bisect_right(self._ordered, each) for each in folded
            ]
        else:
            keys = texts if self._sign in _IDENTITY else map(fold, texts)
            found[is_text] = [self._numbers.get(key, 0) for key in keys]
        return found


class Membership:
    """Whether jobs' values are items of these entries' string lists."""

    def __init__(self, function: str, entries: Column) -> None:
        self._ignores_case = function == "stringlistimember"
        known = [item for text in dict.fromkeys(_texts(entries)) for item in items(text)]
        self._numbers = _numbered(map(fold, known) if self._ignores_case else known)
        self._entries = entries

    def classes(self, jobs: Column) -> tuple[Numbers, Numbers]:
        """Places of one value of each class, and for each value its class."""
        found = np.zeros(len(jobs.kind), np.int64)
        is_text = jobs.kind == STRING
        found[~is_text] = np.arange(int((~is_text).sum()))
        found[is_text] = self._numbers_of(jobs)
        return _grouped(jobs, [], found)

    def known(self, jobs: Column) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether each value is in each entry's list, and of which values that is told so.

        Of texts and of what is undefined, which is in no list; of none where an entry has no list.
        """
        found = np.zeros((len(jobs.kind), len(self._entries.kind)), bool)
        if self._has_items is None:
            return found, np.zeros(len(jobs.kind), bool)
        is_text = jobs.kind == STRING
        found[is_text] = self._has_items[self._numbers_of(jobs)]
        return found, is_text | (jobs.kind == UNDEFINED)

    def _numbers_of(self, jobs: Column) -> list[int]:
        texts = _texts(jobs)
        return [self._numbers.get(key, 0) for key in (map(fold, texts) if self._ignores_case else texts)]

    @cached_property
    def _has_items(self) -> NDArray[np.bool_] | None:
        """By number of the item: whether it is in each entry's list; None where one of them is no text."""
        if not (self._entries.kind == STRING).all():
            return None
        found = np.zeros((len(self._numbers) + 1, len(self._entries.kind)), bool)
        for place, text in enumerate(_texts(self._entries)):
            keys = map(fold, items(text)) if self._ignores_case else items(text)
            found[[self._numbers[key] for key in keys], place] = True
        return found


Distinction: TypeAlias = Comparison | Membership


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


def _place(ordered: Any, values: Any) -> Numbers:
    """Even: between two, odd: equal to one."""
    place: Numbers = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return place


def _texts(values: Column) -> list[str]:
    """Those of the values that are texts."""
    found: list[str] = [] if values.objects is None else values.objects[values.kind == STRING].tolist()
    return found


def _numbered(keys: Iterable[Any]) -> dict[Any, int]:
    """The different keys, numbered from 1; 0 is for any other."""
    return {key: number for number, key in enumerate(dict.fromkeys(keys), 1)}
