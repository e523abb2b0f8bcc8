"""Matches many jobs with many entries: counts per entry, and for each cluster of jobs the entries it may use.

Jobs are clustered on the attributes that the requirement names. Each clause of it is answered for the values
that clusters differ in (``factory/clauses.py``), the answers are combined cluster by cluster as bits over
entries (``factory/patterns.py``). A ``Matcher`` keeps what it worked out: the next cycle costs what changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count, islice, repeat
from operator import itemgetter
from typing import Any, Final

import numpy as np

from opengoc.condor.classads import UNDEFINED, Ad, Value
from opengoc.factory import patterns
from opengoc.factory.bits import Numbers, Rows, full, number_rows, pack, sums, unpack, words
from opengoc.factory.clauses import Clause, Coded, clause
from opengoc.factory.evaluate import key_of
from opengoc.factory.listing import Listing
from opengoc.factory.patterns import Answers
from opengoc.factory.tree import Binary, Call, Choice, Node, Reference, Unary, operands, references
from opengoc.factory.values import Column, column

#: Jobs read at once, clusters evaluated at once, words of bits combined at once.
_JOBS_AT_ONCE: Final = 1 << 12
_CLUSTERS_AT_ONCE: Final = 1 << 18
_WORDS_AT_ONCE: Final = 1 << 15
_BITS_AT_ONCE: Final = 1 << 21
#: What is forgotten only when more than so many clusters have no job.
_WORTH_FORGETTING: Final = 1 << 14

#: By declared type: the types of values that stand for themselves in a cluster's key. Of types that Python
#: takes for equal (1, 1.0 and true) that is one; others stand there with their type.
_PLAIN: Final[Mapping[str, frozenset[type]]] = {
    "bool": frozenset({bool, str, type(None)}),
    "int": frozenset({int, str, type(None)}),
    "float": frozenset({float, str, type(None)}),
    "string": frozenset({int, str, type(None)}),
}


@dataclass(frozen=True, kw_only=True)
class Matches:
    """How many jobs match."""

    jobs: int
    clusters: int
    #: Jobs that each entry may run, by name.
    entries: Mapping[str, int]
    #: Jobs that no entry may run.
    unmatched_jobs: int
    #: Pairs of job and entry for which the requirement is an error.
    errors: int

    @property
    def pairs(self) -> int:
        """Pairs of job and entry for which the requirement is true."""
        return sum(self.entries.values())


class Requirement:
    """A tree compiled for a set of entries."""

    def __init__(self, tree: Node, entries: Mapping[str, Ad]) -> None:
        self.entries = tuple(entries)
        self._tree = tree
        named = [each for each in references(tree) if each.side == "entry"]
        columns: dict[Node, Column] = {
            each: column([ad.get(each.name) for ad in entries.values()]) for each in named
        }
        self._clauses: dict[Node, Clause] = {
            node: clause(node, columns, len(entries)) for node in clauses_of(tree)
        }

    def answers(self, jobs: Mapping[Reference, Coded], clusters: int) -> Answers:
        """What the requirement says of each cluster and entry."""
        known = {node: each.answers(jobs, clusters) for node, each in self._clauses.items()}
        return _combined(self._tree, known)


def clauses_of(tree: Node) -> tuple[Node, ...]:
    """The parts that are conditions without one of their own, left to right, each once."""
    if isinstance(tree, Binary) and tree.operator in ("&&", "||", "?:"):
        below: tuple[Node, ...] = (tree.left, tree.right)
    elif isinstance(tree, Unary) and tree.operator == "!":
        below = (tree.operand,)
    elif isinstance(tree, Choice):
        below = (tree.test, tree.then, tree.otherwise)
    elif isinstance(tree, Call) and tree.function == "ifthenelse":
        below = tree.arguments
    else:
        return (tree,)
    return tuple(dict.fromkeys(found for each in below for found in clauses_of(each)))


def _combined(tree: Node, known: Mapping[Node, Answers]) -> Answers:
    match tree:
        case Binary(operator="&&"):
            return patterns.chain(patterns.both, [_combined(each, known) for each in operands(tree, "&&")])
        case Binary(operator="||"):
            return patterns.chain(patterns.either, [_combined(each, known) for each in operands(tree, "||")])
        case Binary(operator="?:"):
            return patterns.combine(
                patterns.fallback, _combined(tree.left, known), _combined(tree.right, known)
            )
        case Unary(operator="!"):
            return patterns.apply(patterns.negated, _combined(tree.operand, known))
        case Choice():
            parts = (tree.test, tree.then, tree.otherwise)
            return patterns.apply(patterns.branch, *(_combined(each, known) for each in parts))
        case Call(function="ifthenelse"):
            return patterns.apply(patterns.branch, *(_combined(each, known) for each in tree.arguments))
    return known[tree]


class Matcher:
    """Jobs and entries of one requirement, from cycle to cycle.

    Ads hold their attributes under the declared names. Not for several threads at once.
    """

    def __init__(self, tree: Node, entries: Mapping[str, Ad]) -> None:
        self._tree = tree
        self._named = tuple(each for each in references(tree) if each.side == "job")
        self._entries = {name: dict(ad) for name, ad in entries.items()}
        self._requirement = Requirement(tree, self._entries)
        #: Values of a cluster → its number.
        self._clusters: defaultdict[tuple[Any, ...], int] = defaultdict(count().__next__)
        #: Values that stand in a cluster's key under another one.
        self._originals: dict[Any, Value] = {}
        #: Cluster of each job that was given with an id.
        self._of_job: dict[Hashable, int] = {}
        #: The jobs of the last call of ``follow``.
        self._listing = Listing()
        #: Rows of bits as names.
        self._sets: dict[bytes, tuple[str, ...]] = {}
        #: Another one as soon as a cluster's number or its entries may mean something else.
        self.edition = 0
        #: By number of the cluster: jobs, entries for which the requirement is true, and is an error.
        self._weights: Numbers = np.zeros(0, np.int64)
        self._true: Rows = np.zeros((0, words(len(self._entries))), np.uint64)
        self._fault: Rows | None = None
        self._counts: Numbers = np.zeros(len(self._entries), np.int64)

    def match(self, jobs: Iterable[Ad]) -> Matches:
        """Match these jobs and no others; only clusters that were not seen before are evaluated."""
        self.cluster(jobs)
        return self.matches()

    def cluster(self, jobs: Iterable[Ad]) -> Numbers:
        """As ``match``; gives the number of each job's cluster, which stands until the next call."""
        self._of_job = {}
        self._forget_unused()
        numbers = self._numbers(jobs)
        self._weigh(np.bincount(numbers, minlength=len(self._clusters)).astype(np.int64))
        return numbers

    def follow(self, jobs: Iterable[Ad]) -> Numbers:
        """As ``cluster``, and an ad that is the same object as one of the last call is not read again.

        So a job that changed needs a new ad: one that is written into keeps the cluster that it had.
        """
        self._of_job = {}
        self._forget_unused()
        listing = self._listing.next(jobs, self._numbers)
        self._weigh(np.bincount(listing.numbers, minlength=len(self._clusters)).astype(np.int64))
        self._listing = listing
        return listing.numbers

    def update(self, *, added: Mapping[Hashable, Ad], removed: Iterable[Hashable] = ()) -> Matches:
        """Match the jobs of the calls before, without those removed and with those added, by id.

        A job that is added again counts with its new ad; one that is not there is removed already.
        """
        self._forget_unused()
        left = dict.fromkeys((*removed, *added))
        gone = [self._of_job.pop(each) for each in left if each in self._of_job]
        numbers = self._numbers(added.values())
        self._of_job.update(zip(added, numbers.tolist(), strict=True))
        weights = np.bincount(numbers, minlength=len(self._clusters)).astype(np.int64)
        weights[: len(self._weights)] += self._weights
        weights -= np.bincount(np.array(gone, np.int64), minlength=len(weights))
        self._weigh(weights)
        return self.matches()

    def change_entries(self, entries: Mapping[str, Ad]) -> Matches:
        """Match the same jobs with other entries; only those that are new or changed are evaluated."""
        places = {name: place for place, name in enumerate(self._entries)}
        # As keys: 1 and true are equal in Python.
        changed = {n: ad for n, ad in entries.items() if key_of(self._entries.get(n)) != key_of(dict(ad))}
        if not changed and list(entries) == list(self._entries):
            return self.matches()
        places.update((name, place) for place, name in enumerate(changed, len(places)))
        order = np.array([places[name] for name in entries], np.int64)
        fresh_true, fresh_fault = self._evaluated(Requirement(self._tree, changed), 0)
        sizes = (len(self._entries), len(changed))
        if self._fault is not None or fresh_fault is not None:
            faults = (_or_none(self._fault, self._true), _or_none(fresh_fault, fresh_true))
            self._fault = _spliced(*faults, sizes, order)
        self._true = _spliced(self._true, fresh_true, sizes, order)
        self._take_entries(entries)
        self._counts = sums(self._true, self._weights, len(entries))
        return self.matches()

    def _take_entries(self, entries: Mapping[str, Ad]) -> None:
        self.edition += 1
        self._sets = {}
        self._entries = {name: dict(ad) for name, ad in entries.items()}
        self._requirement = Requirement(self._tree, self._entries)

    def matches(self) -> Matches:
        """What stands."""
        is_matched = (self._true != 0).any(axis=1)
        errors = 0
        if self._fault is not None:
            errors = int(np.bitwise_count(self._fault).sum(axis=1, dtype=np.int64) @ self._weights)
        return Matches(
            jobs=int(self._weights.sum()),
            clusters=int((self._weights > 0).sum()),
            entries=dict(zip(self._entries, self._counts.tolist(), strict=True)),
            unmatched_jobs=int(self._weights[~is_matched].sum()),
            errors=errors,
        )

    def entries_of(self, cluster: int) -> tuple[str, ...]:
        """The entries that jobs of a cluster may use, in the order that they were given in.

        Of clusters that may use the same ones it is the same object.
        """
        row = self._true[cluster]
        found = self._sets.get(row.tobytes())
        if found is None:
            if len(self._sets) >= _WORTH_FORGETTING:
                self._sets = {}
            chosen = unpack(row[None], len(self._entries))[0]
            found = self._sets[row.tobytes()] = tuple(compress(self._entries, chosen.tolist()))
        return found

    def allows(self, clusters: Numbers, entries: Sequence[str]) -> list[bool]:
        """For each cluster whether its jobs may use the entry beside it; an unknown one they may not."""
        numbers = {name: number for number, name in enumerate(self._entries)}
        places = np.fromiter((numbers.get(name, -1) for name in entries), np.int64, len(entries))
        words_of_entries = self._true[clusters, places // 64]
        bits = words_of_entries >> (places % 64).astype(np.uint64) & np.uint64(1)
        found: list[bool] = ((places >= 0) & (bits > 0)).tolist()
        return found

    def groups(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Each set of entries that jobs may use, and how many jobs; sets without jobs are left out."""
        used = np.nonzero(self._weights)[0]
        first, numbers = number_rows(self._true[used])
        jobs = np.bincount(numbers, weights=self._weights[used], minlength=len(first))
        for place, number in zip(used[first].tolist(), jobs.tolist(), strict=True):
            yield self.entries_of(place), int(number)

    def _numbers(self, jobs: Iterable[Ad]) -> Numbers:
        rest = iter(jobs)
        found = [np.zeros(0, np.int64)]
        while part := list(islice(rest, _JOBS_AT_ONCE)):
            keys = self._keys(part)
            found.append(np.fromiter(map(self._clusters.__getitem__, keys), np.int64, len(part)))
        start = len(self._true)
        if len(self._clusters) > start:
            fresh_true, fresh_fault = self._evaluated(self._requirement, start)
            if self._fault is not None or fresh_fault is not None:
                faults = (_or_none(self._fault, self._true), _or_none(fresh_fault, fresh_true))
                self._fault = np.concatenate(faults)
            self._true = np.concatenate([self._true, fresh_true])
        return np.concatenate(found)

    def _keys(self, jobs: Sequence[Ad]) -> Iterable[tuple[Any, ...]]:
        """For each job the values that its cluster has."""
        if not self._named:
            return [()] * len(jobs)
        columns = []
        for reference in self._named:
            values = _values(jobs, reference.name)
            plain = _PLAIN[reference.type]
            # Real numbers: 0.0 and -0.0 are one key.
            if not plain.issuperset(map(type, values)) or (reference.type == "float" and 0.0 in values):
                values = [each if type(each) in plain and each != 0.0 else self._key(each) for each in values]
            columns.append(values)
        return zip(*columns, strict=True)

    def _key(self, value: Value) -> Any:
        if value is UNDEFINED:
            return None
        key = key_of(value)
        self._originals.setdefault(key, value)
        return key

    def _evaluated(self, requirement: Requirement, start: int) -> tuple[Rows, Rows | None]:
        """For clusters from a number on: the entries for which it is true, and is an error where one is."""
        entries = len(requirement.entries)
        within = full(entries)
        total = len(self._clusters) - start
        is_true = np.empty((total, words(entries)), np.uint64)
        is_fault: Rows | None = None
        keys = islice(self._clusters, start, None)
        for first in range(0, total, _CLUSTERS_AT_ONCE):
            batch = list(islice(keys, _CLUSTERS_AT_ONCE))
            answers = requirement.answers(self._coded(batch), len(batch))
            at_once = max(64, _WORDS_AT_ONCE // words(entries))
            for low in range(0, len(batch), at_once):
                high = min(low + at_once, len(batch))
                may_be_true, may_be_false = answers.rows(low, high)
                rows = slice(first + low, first + high)
                is_true[rows] = may_be_true & within
                if may_be_false is None:
                    continue
                both_ways = is_true[rows] & may_be_false
                if both_ways.any():
                    is_fault = np.zeros_like(is_true) if is_fault is None else is_fault
                    is_fault[rows] = both_ways
                    is_true[rows] &= ~may_be_false
        return is_true, is_fault

    def _coded(self, keys: Sequence[tuple[Any, ...]]) -> dict[Reference, Coded]:
        """The attributes of clusters, each different value once."""
        found = {}
        for place, reference in enumerate(self._named):
            numbers: defaultdict[Any, int] = defaultdict(count().__next__)
            parts = map(itemgetter(place), keys)
            codes = np.fromiter(map(numbers.__getitem__, parts), np.int64, len(keys))
            values: list[Any] = list(numbers)
            if tuple in map(type, values):
                values = [self._originals[each] if type(each) is tuple else each for each in values]
            found[reference] = Coded(codes=codes, values=column(values))
        return found

    def _weigh(self, weights: Numbers) -> None:
        """Count jobs by cluster: the difference from before where that is small, else anew."""
        before = np.zeros(len(weights), np.int64)
        before[: len(self._weights)] = self._weights
        changed = np.nonzero(weights != before)[0]
        if 2 * len(changed) > len(weights):
            used = np.nonzero(weights)[0]
            self._counts = sums(self._true[used], weights[used], len(self._entries))
        else:
            difference = weights[changed] - before[changed]
            self._counts = self._counts + sums(self._true[changed], difference, len(self._entries))
        self._weights = weights

    def _forget_unused(self) -> None:
        """Forget clusters without jobs, where they are many."""
        used = np.nonzero(self._weights)[0]
        if len(self._clusters) - len(used) <= max(_WORTH_FORGETTING, len(used)):
            return
        keys = list(self._clusters)
        kept = [keys[place] for place in used.tolist()]
        self._clusters = defaultdict(count(len(kept)).__next__, zip(kept, range(len(kept)), strict=True))
        originals = {part for key in kept for part in key if type(part) is tuple}
        self._originals = {part: self._originals[part] for part in originals}
        numbers = dict(zip(used.tolist(), range(len(used)), strict=True))
        self._of_job = {job: numbers[place] for job, place in self._of_job.items()}
        self._weights, self._true = self._weights[used], self._true[used]
        self._fault = None if self._fault is None else self._fault[used]
        self._listing.renumber(used)
        self.edition += 1


def _values(jobs: Sequence[Ad], name: str) -> list[Any]:
    """The attribute of each job, None where it has none."""
    try:
        return list(map(dict.get, jobs, repeat(name)))  # type: ignore[arg-type]
    except TypeError:
        # Not every ad is a dict.
        return [ad.get(name) for ad in jobs]


def _or_none(rows: Rows | None, like: Rows) -> Rows:
    return np.zeros_like(like) if rows is None else rows


def _spliced(old: Rows, new: Rows, sizes: tuple[int, int], order: Numbers) -> Rows:
    """Rows over old entries and over new ones as rows over the entries of ``order``, which counts on."""
    found = np.empty((len(old), words(len(order))), np.uint64)
    at_once = max(64, _BITS_AT_ONCE // max(1, sum(sizes)))
    for start in range(0, len(old), at_once):
        rows = slice(start, start + at_once)
        bits = np.concatenate([unpack(old[rows], sizes[0]), unpack(new[rows], sizes[1])], axis=1)
        found[rows] = pack(bits[:, order].astype(bool))
    return found
