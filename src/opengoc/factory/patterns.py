"""Three-valued answers of many clusters at once: for each cluster, what every entry says of it.

An answer is two rows of bits: who may be true, who may be false. Neither is undefined, both is an error. Few
answers are shared by many clusters: they are kept once (``Patterns``) as long as that saves anything, and
combined cluster by cluster in small parts where it does not (``Combined``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from opengoc.factory.bits import Numbers, Rows, number_pairs, number_rows

#: May be true, may be false; None for the second: whoever is not true is false.
Planes: TypeAlias = tuple[Rows, Rows | None]
Operation: TypeAlias = Callable[..., Planes]

#: So few patterns are kept without asking whether it pays.
_FEW = 1024
#: Above, repeated patterns are looked for.
_WORTH_GROUPING = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Patterns:
    """Answers kept once, and which of them each cluster has."""

    codes: Numbers
    planes: Planes

    def __len__(self) -> int:
        return len(self.planes[0])

    def rows(self, start: int, stop: int) -> Planes:
        """The answers of some clusters."""
        return _taken(self.planes, self.codes[start:stop])


@dataclass(frozen=True, kw_only=True, eq=False)
class Combined:
    """Answers worked out when they are asked for."""

    operation: Operation
    parts: Sequence[Answers]

    def rows(self, start: int, stop: int) -> Planes:
        """The answers of some clusters."""
        return self.operation(*(part.rows(start, stop) for part in self.parts))


Answers: TypeAlias = Patterns | Combined


def combine(operation: Operation, left: Answers, right: Answers) -> Answers:
    """The operation of two answers: as patterns where few pairs of patterns occur."""
    if not isinstance(left, Patterns) or not isinstance(right, Patterns):
        return Combined(operation=operation, parts=(left, right))
    clusters = len(left.codes)
    if len(left) * len(right) > 8 * clusters + 65536:
        return Combined(operation=operation, parts=(left, right))
    pairs, codes = number_pairs(left.codes, right.codes, len(right))
    if len(pairs) > max(_FEW, clusters // 4):
        return Combined(operation=operation, parts=(left, right))
    planes = operation(_taken(left.planes, pairs // len(right)), _taken(right.planes, pairs % len(right)))
    return grouped(codes, planes)


def chain(operation: Operation, parts: Sequence[Answers]) -> Answers:
    """``a && b && c …``: neighbours are combined first where that leaves few patterns; the order stays."""
    kept: list[Answers] = [parts[0]]
    for part in parts[1:]:
        together = combine(operation, kept[-1], part)
        if isinstance(together, Patterns):
            kept[-1] = together
        else:
            kept.append(part)
    found = kept[0]
    for part in kept[1:]:
        found = Combined(operation=operation, parts=(found, part))
    return found


def apply(operation: Operation, *parts: Answers) -> Answers:
    """An operation of one answer or of three."""
    if len(parts) == 1 and isinstance(parts[0], Patterns):
        return Patterns(codes=parts[0].codes, planes=operation(parts[0].planes))
    return Combined(operation=operation, parts=parts)


def grouped(codes: Numbers, planes: Planes) -> Patterns:
    """Patterns, each different one kept once."""
    may_be_true, may_be_false = planes
    if len(may_be_true) <= _WORTH_GROUPING:
        return Patterns(codes=codes, planes=planes)
    whole = may_be_true if may_be_false is None else np.concatenate([may_be_true, may_be_false], axis=1)
    first, numbers = number_rows(whole)
    return Patterns(codes=numbers[codes], planes=_taken(planes, first))


def _taken(planes: Planes, places: Numbers) -> Planes:
    may_be_true, may_be_false = planes
    # take: much faster than an index where rows are short.
    return may_be_true.take(places, axis=0), None if may_be_false is None else may_be_false.take(
        places, axis=0
    )


def both(left: Planes, right: Planes) -> Planes:
    """``&&``: what stands left decides first."""
    left_true, left_false = left
    right_true, right_false = right
    if left_false is None:
        # Certain answers: a right side that is undefined or an error counts where the left is true.
        if right_false is None:
            return left_true & right_true, None
        return left_true & right_true, ~left_true | right_false
    right_false = ~right_true if right_false is None else right_false
    may_be_true = (left_true & left_false) | (right_true & ~left_false & (left_true | right_false))
    return may_be_true, left_false | right_false


def either(left: Planes, right: Planes) -> Planes:
    """``||``."""
    if left[1] is None and right[1] is None:
        return left[0] | right[0], None
    return negated(both(negated(left), negated(right)))


def negated(planes: Planes) -> Planes:
    """``!``: true and false change places."""
    may_be_true, may_be_false = planes
    return (~may_be_true, None) if may_be_false is None else (may_be_false, may_be_true)


def fallback(first: Planes, second: Planes) -> Planes:
    """``?:``: the second where the first is undefined."""
    if first[1] is None:
        return first
    unknown = ~(first[0] | first[1])
    return first[0] | (unknown & second[0]), first[1] | (unknown & _false(second))


def branch(test: Planes, then: Planes, otherwise: Planes) -> Planes:
    """``? :``: undefined and error of the test pass through."""
    test_true, test_false = test[0], _false(test)
    is_true, is_false, is_error = test_true & ~test_false, test_false & ~test_true, test_true & test_false
    return (
        is_error | (is_true & then[0]) | (is_false & otherwise[0]),
        is_error | (is_true & _false(then)) | (is_false & _false(otherwise)),
    )


def _false(planes: Planes) -> Rows:
    return ~planes[0] if planes[1] is None else planes[1]
