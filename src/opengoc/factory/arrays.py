"""ClassAd operators over columns: what one value gives, many give at once.

What HTCondor does where the manual is silent was taken from its own evaluator and is compared with it by the
tests: integers wrap at 64 bits, a real result of +infinity is an error and one of -infinity is not, ``==`` of
texts is blind to the case of A to Z, ``=?=`` is not, and error is stronger than undefined.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opengoc.factory.values import (
    BOOL,
    ERROR,
    INT,
    KINDS,
    OTHER,
    REAL,
    STRING,
    UNDEFINED,
    Bytes,
    Column,
    Integers,
    Kinds,
    Mask,
    fold,
)

#: Truth codes: bit 0 is set for what may be true, bit 1 for what may be false; an error has both.
MAYBE: Final = 0
TRUE: Final = 1
FALSE: Final = 2
FAULT: Final = 3

_LEAST: Final = -(2**63)

_TRUTH_OF_KIND = np.full(KINDS, FAULT, np.uint8)
_TRUTH_OF_KIND[UNDEFINED] = MAYBE
_KIND_OF_TRUTH = np.array([UNDEFINED, BOOL, BOOL, ERROR], np.uint8)


def truth(values: Column) -> Bytes:
    """What conditions take values for: numbers are true unless 0; texts and lists are errors."""
    codes = _TRUTH_OF_KIND[values.kind]
    is_number = (values.kind >= BOOL) & (values.kind <= REAL)
    # Not NaN's negation: it counts as true.
    is_false = (values.integer == 0) & (values.real == 0)
    found: Bytes = np.where(is_number, np.where(is_false, FALSE, TRUE), codes).astype(np.uint8)
    return found


def from_truth(codes: Bytes) -> Column:
    """Truth codes as values."""
    integer = (codes == TRUE).astype(np.int64)
    return Column(kind=_KIND_OF_TRUTH[codes], integer=integer, real=integer.astype(np.float64))


def both(left: Bytes, right: Bytes) -> Bytes:
    """``left && right``: what stands left decides first, so that an error there is not hidden."""
    is_true, is_false = left & 1, left >> 1
    other_true, other_false = right & 1, right >> 1
    may_be_true = (is_true & is_false) | (other_true & ~is_false & (is_true | other_true & other_false))
    return _codes(may_be_true, is_false | other_false)


def either(left: Bytes, right: Bytes) -> Bytes:
    """``left || right``."""
    return negated(both(negated(left), negated(right)))


def negated(codes: Bytes) -> Bytes:
    """``!``: true and false change places."""
    return _codes(codes >> 1, codes & 1)


def _codes(may_be_true: NDArray[Any], may_be_false: NDArray[Any]) -> Bytes:
    found: Bytes = ((may_be_true & 1) | ((may_be_false & 1) << 1)).astype(np.uint8, copy=False)
    return found


def choose(mask: Mask, then: Column, otherwise: Column) -> Column:
    """Value by value: ``then`` where the mask is set."""
    objects = None
    if then.objects is not None or otherwise.objects is not None:
        nothing = np.array("", object)
        objects = np.where(
            mask,
            nothing if then.objects is None else then.objects,
            nothing if otherwise.objects is None else otherwise.objects,
        )
        objects = np.broadcast_to(objects, np.broadcast_shapes(mask.shape, then.shape, otherwise.shape))
    return Column(
        kind=np.where(mask, then.kind, otherwise.kind),
        integer=np.where(mask, then.integer, otherwise.integer),
        real=np.where(mask, then.real, otherwise.real),
        objects=objects,
    )


def branch(test: Column, then: Column, otherwise: Column) -> Column:
    """``test ? then : otherwise``: undefined and error of the test pass through."""
    codes = truth(test)
    chosen = choose(codes == TRUE, then, otherwise)
    return choose((codes == TRUE) | (codes == FALSE), chosen, from_truth(codes))


def fallback(first: Column, second: Column) -> Column:
    """``first ?: second``: the second where the first is undefined."""
    return choose(first.kind == UNDEFINED, second, first)


def signed(sign: str, values: Column) -> Column:
    """``-`` or ``+`` of values; truth values have no sign."""
    is_number = (values.kind == INT) | (values.kind == REAL)
    kind = np.where(is_number | (values.kind == UNDEFINED), values.kind, ERROR).astype(np.uint8)
    if sign == "+":
        return _numbers(kind, values.integer, values.real)
    with np.errstate(over="ignore"):
        return _numbers(kind, -values.integer, -values.real)


def _numbers(kind: Kinds, integer: Integers, real: NDArray[np.float64]) -> Column:
    """A column of numbers, 0 where there is none."""
    is_integer = kind == INT
    return Column(
        kind=kind,
        integer=np.where(is_integer, integer, 0),
        real=np.where(is_integer, integer, np.where(kind == REAL, real, 0.0)),
    )


def _pairs(number: int, text: int, other: int) -> NDArray[np.uint8]:
    """Kind of the operation by kinds of both operands."""
    table = np.full((KINDS, KINDS), other, np.uint8)
    table[BOOL : REAL + 1, BOOL : REAL + 1] = number
    table[REAL, BOOL : REAL + 1] = REAL
    table[BOOL : REAL + 1, REAL] = REAL
    table[STRING, STRING] = text
    table[UNDEFINED, :] = UNDEFINED
    table[:, UNDEFINED] = UNDEFINED
    table[ERROR, :] = ERROR
    table[:, ERROR] = ERROR
    return table


_ARITHMETIC = _pairs(INT, ERROR, ERROR)
_COMPARISON = _pairs(INT, STRING, ERROR)


def calculated(sign: str, left: Column, right: Column) -> Column:
    """``+ - * / %`` as HTCondor counts: integers stay integers, cut towards 0."""
    kind = _ARITHMETIC[left.kind, right.kind]
    with np.errstate(all="ignore"):
        real = _REAL[sign](left.real, right.real)
        if sign in "/%":
            divisor = np.where(right.integer == 0, 1, right.integer)
            integer = _divided(sign, left.integer, divisor)
            kind = np.where((kind == INT) & (right.integer == 0), ERROR, kind)
        else:
            integer = _INTEGER[sign](left.integer, right.integer)
        kind = np.where((kind == REAL) & (np.isposinf(real) | (sign == "%")), ERROR, kind)
    return _numbers(kind.astype(np.uint8), integer, real)


_INTEGER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
}
_REAL: Final[dict[str, Callable[[Any, Any], Any]]] = {
    **_INTEGER,
    "/": np.divide,
    # An error, whatever it gives.
    "%": np.add,
}


def _divided(sign: str, left: Integers, right: Integers) -> Integers:
    """Quotient or remainder of a division that cuts towards 0; the divisor is not 0."""
    quotient, remainder = np.divmod(left, np.where(right == -1, 1, right))
    # NumPy rounds down: one more where it went below 0.
    is_off = (remainder != 0) & ((left < 0) != (right < 0))
    by_minus_one = right == -1
    if sign == "%":
        return np.where(by_minus_one, 0, np.where(is_off, remainder - right, remainder))
    # HTCondor gives the largest integer where the least is divided by -1.
    negative = np.where(left == _LEAST, -(_LEAST + 1), -left)
    return np.where(by_minus_one, negative, quotient + is_off)


_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_fold = np.frompyfunc(fold, 1, 1)


def compared(sign: str, left: Column, right: Column) -> Column:
    """``== != < <= > >=``: numbers and truth values as numbers, texts without regard to case."""
    kind = _COMPARISON[left.kind, right.kind]
    compare = _COMPARE[sign]
    holds = np.where(kind == REAL, compare(left.real, right.real), compare(left.integer, right.integer))
    if left.objects is not None and right.objects is not None and (kind == STRING).any():
        texts, other_texts = np.broadcast_arrays(_folded(left), _folded(right))
        both_texts = kind == STRING
        holds[both_texts] = compare(texts[both_texts], other_texts[both_texts]).astype(bool)
    return _truth_values(kind, holds)


def _folded(values: Column) -> NDArray[np.object_]:
    """Texts for comparison; nothing for what is no text."""
    assert values.objects is not None
    found = np.full(values.shape, b"", object)
    is_text = values.kind == STRING
    found[is_text] = _fold(values.objects[is_text])
    return found


def identical(left: Column, right: Column, *, of_others: Callable[[Column, Column], Column]) -> Column:
    """``=?=``: of one kind and equal, case included. Never undefined; ``of_others`` says it of lists."""
    same_kind = left.kind == right.kind
    kind = np.where(same_kind, left.kind, UNDEFINED)
    holds = same_kind & ((kind != REAL) | (left.real == right.real))
    holds &= (kind != INT) & (kind != BOOL) | (left.integer == right.integer)
    if left.objects is not None and right.objects is not None:
        texts, other_texts = np.broadcast_arrays(left.objects, right.objects)
        both_texts = same_kind & (kind == STRING)
        holds[both_texts] = (texts[both_texts] == other_texts[both_texts]).astype(bool)
        both_others = same_kind & (kind == OTHER)
        if both_others.any():
            sides = (side.spread(kind.shape).take(both_others) for side in (left, right))
            asked = of_others(*sides)
            codes = np.where(holds, TRUE, FALSE).astype(np.uint8)
            codes[both_others] = truth(asked)
            return from_truth(codes)
    return _truth_values(np.full(kind.shape, BOOL, np.uint8), holds)


def _truth_values(kind: Kinds, holds: Mask) -> Column:
    """Truth values where ``kind`` is neither undefined nor error."""
    is_known = kind > ERROR
    integer = (holds & is_known).astype(np.int64)
    return Column(
        kind=np.where(is_known, BOOL, kind).astype(np.uint8), integer=integer, real=integer.astype(np.float64)
    )
