"""Answers of one clause: evaluated once for each value that clusters differ in and entries differ in.

A clause is a part of a requirement without ``&&``, ``||`` or ``!`` on top. What it says of the job alone and
of the entry alone is worked out first; then every different pair, and of values that a comparison cannot tell
apart (two requests for memory between the same two entries' limits) only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from opengoc.factory import arrays
from opengoc.factory.bits import Numbers, Rows, number_pairs, pack, words
from opengoc.factory.evaluate import numbered, truth_of, values_of
from opengoc.factory.indistinct import Distinction, Membership, seen_apart
from opengoc.factory.patterns import Patterns, grouped
from opengoc.factory.stringlist import items
from opengoc.factory.tree import Call, Node, Reference, children, references
from opengoc.factory.values import STRING, Column, constant_column, distinct, fold

#: So many pairs are evaluated at once.
_PAIRS_AT_ONCE = 1 << 19

_LIST_FUNCTIONS = frozenset({"stringlistmember", "stringlistimember"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Coded:
    """One attribute of many clusters: its different values, and which one each cluster has."""

    codes: Numbers
    values: Column


@dataclass(frozen=True, kw_only=True, eq=False)
class Clause:
    """A clause and a set of entries."""

    node: Node
    entries: int
    #: Largest parts that name only the job, or only the entry.
    job_parts: tuple[Node, ...]
    entry_parts: tuple[Node, ...]
    #: Values of the entry parts, one for each different tuple of them; which tuple each entry has.
    tables: tuple[Column, ...]
    tuples: Numbers

    def answers(self, jobs: Mapping[Reference, Coded], clusters: int) -> Patterns:
        """What every entry says of every cluster."""
        codes, known = self._job_values(jobs, clusters)
        if self._is_list_of_job:
            return self._by_items(codes, known[self.job_parts[0]])
        chosen, numbers = self._representatives(known)
        matrix = self._told({node: values.take(chosen) for node, values in known.items()}, len(chosen))
        return self._expanded(matrix, numbers[codes])

    def _told(self, known: Mapping[Node, Column], count: int) -> NDArray[np.uint8]:
        """As ``_matrix``; whether something of a job is in an entry's list is looked up."""
        if not isinstance(self._seen_apart, Membership):
            return self._matrix(known, count)
        (part,) = self.job_parts
        holds, is_told = self._seen_apart.known(known[part])
        matrix = np.where(holds, arrays.TRUE, arrays.FALSE).astype(np.uint8)
        others = np.nonzero(~is_told)[0]
        if len(others):
            matrix[others] = self._matrix({part: known[part].take(others)}, len(others))
        return matrix

    def _job_values(
        self, jobs: Mapping[Reference, Coded], clusters: int
    ) -> tuple[Numbers, dict[Node, Column]]:
        """The different values of the job parts, and which of them each cluster has."""
        named = self._named
        if not named:
            return np.zeros(clusters, np.int64), {}
        codes = jobs[named[0]].codes
        places = [np.arange(len(jobs[named[0]].values.kind))]
        for reference in named[1:]:
            size = len(jobs[reference].values.kind)
            pairs, codes = number_pairs(codes, jobs[reference].codes, size)
            places = [*(each[pairs // size] for each in places), pairs % size]
        known: dict[Node, Column] = {
            reference: jobs[reference].values.take(place)
            for reference, place in zip(named, places, strict=True)
        }
        return codes, {part: values_of(part, known).spread(places[0].shape) for part in self.job_parts}

    @cached_property
    def _named(self) -> tuple[Reference, ...]:
        """The attributes of the job."""
        return tuple(dict.fromkeys(each for part in self.job_parts for each in references(part)))

    def _representatives(self, known: Mapping[Node, Column]) -> tuple[Numbers, Numbers]:
        """Places of job values that it can tell apart, and for each value which of them stands for it."""
        if not self.job_parts:
            return np.zeros(1, np.int64), np.zeros(1, np.int64)
        if self._seen_apart is not None:
            return self._seen_apart.classes(known[self.job_parts[0]])
        every = np.arange(len(known[self.job_parts[0]].kind))
        return every, every

    @cached_property
    def _seen_apart(self) -> Distinction | None:
        """What it tells apart of the jobs' values; None where it sees them all."""
        if len(self.job_parts) != 1 or len(self.entry_parts) != 1:
            return None
        return seen_apart(self.node, self.job_parts[0], self.tables[0])

    def _matrix(
        self, known: Mapping[Node, Column], count: int, tuples: Numbers | None = None
    ) -> NDArray[np.uint8]:
        """Truth codes: job values by entry tuples, by all of them or those given."""
        chosen = slice(None) if tuples is None else tuples
        tables = [table.take(chosen) for table in self.tables]
        width = len(tables[0].kind) if tables else 1
        across = {
            part: table.take((None, slice(None)))
            for part, table in zip(self.entry_parts, tables, strict=True)
        }
        at_once = max(1, _PAIRS_AT_ONCE // max(1, width))
        parts = []
        for start in range(0, count, at_once):
            rows = slice(start, start + at_once)
            down = {part: values.take(rows).take((slice(None), None)) for part, values in known.items()}
            found = truth_of(self.node, {**down, **across})
            parts.append(np.broadcast_to(found, (min(at_once, count - start), width)))
        return np.concatenate(parts)

    def _expanded(self, matrix: NDArray[np.uint8], codes: Numbers) -> Patterns:
        """Truth codes by entry tuples as patterns over entries."""
        is_certain = bool(((matrix == arrays.TRUE) | (matrix == arrays.FALSE)).all())
        # Equal rows once, before they become as long as there are entries.
        narrow = grouped(codes, (pack((matrix & 1).astype(bool)), pack((matrix & 2).astype(bool))))
        if len(narrow) < len(matrix):
            first = np.zeros(len(narrow), np.int64)
            first[narrow.codes] = codes
            matrix, codes = matrix[first], narrow.codes
        may_be_true = self._rows(matrix, arrays.TRUE)
        may_be_false = None if is_certain else self._rows(matrix, arrays.FALSE)
        return Patterns(codes=codes, planes=(may_be_true, may_be_false))

    def _rows(self, matrix: NDArray[np.uint8], bit: int) -> Rows:
        found = np.empty((len(matrix), words(self.entries)), np.uint64)
        at_once = max(1, _PAIRS_AT_ONCE // max(1, self.entries))
        for start in range(0, len(matrix), at_once):
            part = (matrix[start : start + at_once] & bit).astype(bool)
            found[start : start + at_once] = pack(part[:, self.tuples])
        return found

    @property
    def _is_list_of_job(self) -> bool:
        """Whether it asks if something of the entry is in a string list of the job."""
        node = self.node
        return (
            isinstance(node, Call)
            and node.function in _LIST_FUNCTIONS
            and len(node.arguments) == 2
            and node.arguments == (*self.entry_parts, *self.job_parts)
        )

    def _by_items(self, codes: Numbers, lists: Column) -> Patterns:
        """Each list of a job is parsed once: its answer is that of its items, added up."""
        is_text = lists.kind == STRING
        texts = lists.objects[is_text].tolist() if lists.objects is not None else []
        sets, numbers = self._item_sets(texts)
        may_be_true = np.zeros((len(sets), words(self.entries)), np.uint64)
        for size in {len(each) for each in sets}:
            rows = np.array([n for n, each in enumerate(sets) if len(each) == size], np.int64)
            chosen = np.array([each for each in sets if len(each) == size], np.int64)
            for place in range(size):
                may_be_true[rows] |= self._item_rows.take(chosen[:, place], axis=0)
        of_texts = self._beside_items(may_be_true)
        # What is no text holds no item: of the entry's items the kind alone counts.
        others = np.nonzero(~is_text)[0]
        if not len(others):
            return grouped(numbers[codes], of_texts)
        _, of_kind, kinds = np.unique(self.tables[0].kind, return_index=True, return_inverse=True)
        matrix = self._matrix({self.job_parts[0]: lists.take(others)}, len(others), of_kind)
        rest = self._expanded(matrix[:, kinds], np.arange(len(others)))
        places = np.zeros(len(is_text), np.int64)
        places[is_text] = numbers
        places[others] = rest.codes + len(sets)
        planes = tuple(np.concatenate([_plane(of_texts, side), _plane(rest.planes, side)]) for side in (0, 1))
        return grouped(places[codes], (planes[0], planes[1]))

    def _beside_items(self, may_be_true: Rows) -> tuple[Rows, Rows | None]:
        """The answers with those of entries whose item is no text: they do not depend on the list."""
        if self._non_texts is None:
            return may_be_true, None
        non_texts, fixed_true, fixed_false = self._non_texts
        return may_be_true | fixed_true, (~may_be_true & ~non_texts) | fixed_false

    @cached_property
    def _non_texts(self) -> tuple[Rows, Rows, Rows] | None:
        """Entries whose item is no text: which they are, and their answer to any list."""
        is_text = self.tables[0].kind == STRING
        if is_text.all():
            return None
        matrix = self._matrix({self.job_parts[0]: constant_column("x")}, 1)
        matrix[:, is_text] = arrays.MAYBE
        return (
            pack(~is_text[None, self.tuples]),
            self._rows(matrix, arrays.TRUE),
            self._rows(matrix, arrays.FALSE),
        )

    def _item_sets(self, texts: list[str]) -> tuple[list[list[int]], Numbers]:
        """Of string lists the items that any entry has, by number: each set once, and which a text has."""
        number_of = self._items.get
        parsed = map(items, texts)
        if self._ignores_case:
            sets, numbers = distinct(frozenset(number_of(fold(item)) for item in each) for each in parsed)
        else:
            sets, numbers = distinct(frozenset(map(number_of, each)) for each in parsed)
        return [[number for number in each if number is not None] for each in sets], numbers

    @property
    def _ignores_case(self) -> bool:
        return isinstance(self.node, Call) and self.node.function == "stringlistimember"

    @cached_property
    def _items(self) -> dict[str | bytes, int]:
        """The entries' items, numbered."""
        (table,) = self.tables
        texts = [] if table.objects is None else table.objects[table.kind == STRING].tolist()
        keys = [fold(text) if self._ignores_case else text for text in texts]
        return {key: number for number, key in enumerate(dict.fromkeys(keys))}

    @cached_property
    def _item_rows(self) -> Rows:
        """For each item the entries that have it."""
        (table,) = self.tables
        has_item = np.zeros((len(self._items), len(table.kind)), bool)
        for place in np.nonzero(table.kind == STRING)[0].tolist():
            text = table.value(place)
            assert isinstance(text, str)
            has_item[self._items[fold(text) if self._ignores_case else text], place] = True
        return pack(has_item[:, self.tuples])


def _plane(planes: tuple[Rows, Rows | None], side: int) -> Rows:
    plane = planes[side]
    return ~planes[0] if plane is None else plane


def clause(node: Node, entries: Mapping[Node, Column], count: int) -> Clause:
    """A clause with ``count`` entries, of which the columns are given by reference."""
    job_parts, entry_parts = _parts(node)
    columns = [values_of(part, entries).spread((count,)) for part in entry_parts]
    tuples = np.zeros(count, np.int64)
    first = np.zeros(0, np.int64)
    if columns:
        different, tuples = distinct(zip(*(numbered(each)[1].tolist() for each in columns), strict=True))
        first = np.zeros(len(different), np.int64)
        first[tuples[::-1]] = np.arange(count)[::-1]
    return Clause(
        node=node,
        entries=count,
        job_parts=job_parts,
        entry_parts=entry_parts,
        tables=tuple(each.take(first) for each in columns),
        tuples=tuples,
    )


def _parts(node: Node) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """The largest parts that name only the job, and those that name only the entry; each once."""
    sides = {reference.side for reference in references(node)}
    if sides == {"job"}:
        return (node,), ()
    if sides == {"entry"}:
        return (), (node,)
    found: tuple[dict[Node, None], dict[Node, None]] = ({}, {})
    for child in children(node):
        for kept, parts in zip(found, _parts(child), strict=True):
            kept.update(dict.fromkeys(parts))
    return tuple(found[0]), tuple(found[1])
