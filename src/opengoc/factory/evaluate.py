"""Evaluates a tree over columns: one value a reference or thousands, the semantics are those of ClassAds.

Functions with an array form are computed here; any other is asked of HTCondor, once per different arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from opengoc.condor.classads import UNDEFINED as UNDEFINED_VALUE
from opengoc.condor.classads import Expression, Special, Value, evaluate, parse
from opengoc.factory import arrays
from opengoc.factory.stringlist import contains
from opengoc.factory.tree import Binary, Call, Choice, Constant, Node, Unary
from opengoc.factory.values import (
    BOOL,
    ERROR,
    INT,
    REAL,
    STRING,
    UNDEFINED,
    Bytes,
    Column,
    Mask,
    column,
    constant_column,
    distinct,
)

#: What stands for a part of a tree: columns of shapes that go together.
Known = Mapping[Node, Column]

_LOGIC: Final = {"&&": arrays.both, "||": arrays.either}


def values_of(node: Node, known: Known) -> Column:
    """The values of a tree; ``known`` holds a column for each reference, or for a larger part of it."""
    found = known.get(node)
    if found is not None:
        return found
    match node:
        case Constant():
            return _constant(node)
        case Unary(operator="!"):
            return arrays.from_truth(arrays.negated(truth_of(node.operand, known)))
        case Unary():
            return arrays.signed(node.operator, values_of(node.operand, known))
        case Binary():
            return _binary(node, known)
        case Choice():
            parts = (node.test, node.then, node.otherwise)
            return arrays.branch(*(values_of(part, known) for part in parts))
        case Call():
            return _call(node.function, [values_of(each, known) for each in node.arguments])
    raise KeyError(node)


@lru_cache(maxsize=1024)
def _constant(node: Constant) -> Column:
    value = node.value
    return constant_column(list(value) if isinstance(value, tuple) else value)


def truth_of(node: Node, known: Known) -> Bytes:
    """What conditions take its values for, as truth codes."""
    return arrays.truth(values_of(node, known))


def _binary(node: Binary, known: Known) -> Column:
    left, right = values_of(node.left, known), values_of(node.right, known)
    sign = node.operator
    if sign in _LOGIC:
        return arrays.from_truth(_LOGIC[sign](arrays.truth(left), arrays.truth(right)))
    if sign == "?:":
        return arrays.fallback(left, right)
    if sign in ("=?=", "=!="):
        same = arrays.identical(left, right, of_others=_others_identical)
        return same if sign == "=?=" else arrays.from_truth(arrays.negated(arrays.truth(same)))
    if sign in ("+", "-", "*", "/", "%"):
        return arrays.calculated(sign, left, right)
    return arrays.compared(sign, left, right)


def _others_identical(left: Column, right: Column) -> Column:
    return _one_by_one(lambda *pair: _asked("A0 =?= A1", pair), [left, right])


def _call(function: str, arguments: Sequence[Column]) -> Column:
    if function == "ifthenelse":
        return arrays.branch(arguments[0], arguments[1], arguments[2])
    if function in _KIND_TESTS:
        holds = arguments[0].kind == _KIND_TESTS[function]
        return arrays.from_truth(np.where(holds, arrays.TRUE, arrays.FALSE).astype(np.uint8))
    if function in _NUMERIC:
        return _of_numbers(function, arguments[0])
    takes, of_texts = _OF_TEXTS.get(function, (-1, _asker(function)))
    return _one_by_one(of_texts if takes == len(arguments) else _asker(function), arguments)


_KIND_TESTS: Final = {
    "isundefined": UNDEFINED,
    "iserror": ERROR,
    "isboolean": BOOL,
    "isinteger": INT,
    "isreal": REAL,
    "isstring": STRING,
}


def _of_numbers(function: str, values: Column) -> Column:
    """Of numbers as arrays, of others as HTCondor says."""
    is_number = (values.kind >= BOOL) & (values.kind <= REAL)
    others = column([None])
    if not is_number.all():
        others = _one_by_one(_asker(function), [values], where=~is_number)
    return arrays.choose(is_number, _NUMERIC[function](values), others)


def _to_integer(rounded: Callable[[Any], Any]) -> Callable[[Column], Column]:
    def convert(values: Column) -> Column:
        whole = rounded(values.real)
        with np.errstate(invalid="ignore"):
            fits = np.abs(whole) < 2.0**63
        # What no integer can hold becomes the least, as x86 converts it.
        cut = np.where(fits, np.where(fits, whole, 0).astype(np.int64), -(2**63))
        integer = np.where(values.kind == REAL, cut, values.integer)
        return _numbers(INT, integer, integer.astype(np.float64))

    return convert


def _numbers(kind: int, integer: Any, real: Any) -> Column:
    return Column(kind=np.full(integer.shape, kind, np.uint8), integer=integer, real=real)


_NUMERIC: Final[dict[str, Callable[[Column], Column]]] = {
    "bool": lambda values: arrays.from_truth(arrays.truth(values)),
    "int": _to_integer(np.trunc),
    "floor": _to_integer(np.floor),
    "ceiling": _to_integer(np.ceil),
    "round": _to_integer(np.rint),
    "real": lambda values: _numbers(REAL, np.zeros_like(values.integer), values.real),
}


def _upper(text: str) -> str:
    return text.upper() if text.isascii() else text.encode().upper().decode()


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else text.encode().lower().decode()


def _of_text(function: str, python: Callable[[str], Value]) -> Callable[..., Value]:
    def of(value: Value) -> Value:
        return python(value) if isinstance(value, str) else _asked(f"{function}(A0)", (value,))

    return of


def _member(function: str, ignore_case: bool) -> Callable[..., Value]:
    def member(item: Value, items: Value) -> Value:
        if isinstance(item, str) and isinstance(items, str):
            return contains(items, item, ignore_case=ignore_case)
        if item is UNDEFINED_VALUE and isinstance(items, str):
            return False
        if items is UNDEFINED_VALUE and isinstance(item, str):
            return False
        return _asked(f"{function}(A0, A1)", (item, items))

    return member


#: Functions that are computed here for texts, and of how many arguments.
_OF_TEXTS: Final[dict[str, tuple[int, Callable[..., Value]]]] = {
    "stringlistimember": (2, _member("stringlistimember", True)),
    "stringlistmember": (2, _member("stringlistmember", False)),
    "size": (1, _of_text("size", lambda text: len(text.encode()))),
    "tolower": (1, _of_text("tolower", _lower)),
    "toupper": (1, _of_text("toupper", _upper)),
}


def _one_by_one(
    function: Callable[..., Value], arguments: Sequence[Column], *, where: Mask | None = None
) -> Column:
    """The function of each different tuple of arguments; undefined where ``where`` is not set."""
    shape = np.broadcast_shapes((1,), *(each.shape for each in arguments))
    mask = np.ones(shape, bool) if where is None else where
    # What each argument's different values are is found before they are spread.
    coded = [numbered(each) for each in arguments]
    tables = [values for values, _ in coded]
    codes = [np.broadcast_to(code, shape)[mask].tolist() for _, code in coded]
    pairs, inverse = distinct(zip(*codes, strict=True)) if codes else ([()], np.zeros(int(mask.sum()), int))
    results = [function(*(table[code] for table, code in zip(tables, pair, strict=True))) for pair in pairs]
    places = np.zeros(shape, np.int64)
    places[mask] = inverse + 1
    return column([None, *results]).take(places)


def numbered(values: Column) -> tuple[list[Value], Any]:
    """The different values, and which one each is."""
    flat = [values.value(*place) for place in np.ndindex(values.shape)]
    keys, codes = distinct(key_of(value) for value in flat)
    first = dict(zip(reversed(codes.tolist()), reversed(flat), strict=True))
    return [first[number] for number in range(len(keys))], codes.reshape(values.shape)


def key_of(value: Any) -> Any:
    """Equal for values that no expression tells apart, and for no others; hashable.

    1, 1.0 and true are equal in Python; 0.0 and -0.0 are written differently.
    """
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, float):
        return (float, value) if value and value == value else (float, repr(value))
    if isinstance(value, bool | int):
        return (type(value), value)
    if isinstance(value, list):
        return (list, *map(key_of, value))
    if isinstance(value, dict):
        return (dict, *((name, key_of(item)) for name, item in value.items()))
    return (type(value), value)


def _asker(function: str) -> Callable[..., Value]:
    def ask(*arguments: Value) -> Value:
        names = ", ".join(f"A{number}" for number in range(len(arguments)))
        return _asked(f"{function}({names})", arguments)

    return ask


def _asked(text: str, arguments: Sequence[Value]) -> Value:
    """What HTCondor's own evaluator says; asked again, it is remembered."""
    if all(isinstance(value, str | bool | int | Special) for value in arguments):
        # All of them are hashable.
        return _remembered(text, *arguments)  # type: ignore[arg-type]
    return _evaluated(text, arguments)


# typed: 1 and true are different arguments.
@lru_cache(maxsize=1 << 16, typed=True)
def _remembered(text: str, *arguments: Value) -> Value:
    return _evaluated(text, arguments)


def _evaluated(text: str, arguments: Sequence[Value]) -> Value:
    return evaluate(_parsed(text), my={f"A{number}": value for number, value in enumerate(arguments)})


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Expression:
    return parse(text)
