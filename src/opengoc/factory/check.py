"""What is wrong with a requirement that can be read: types that do not go together, conditions that never
change.

Three-valued logic turns such a mistake into "no match" or "every match", and nobody sees it: it is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from opengoc.condor.classads import Special
from opengoc.factory.functions import ANY, BOOL, FUNCTIONS, LIST, NUMBER, STRING
from opengoc.factory.tree import (
    Binary,
    Call,
    Choice,
    Constant,
    Node,
    Position,
    Reference,
    Side,
    Unary,
    as_written,
    children,
    operands,
    references,
    render,
)

#: Kinds of values that a part may have; empty: nothing but undefined or error.
Kinds = frozenset[str]

_CONDITION: Final = BOOL | NUMBER
_OF_TYPE: Final = {"bool": BOOL, "int": NUMBER, "float": NUMBER, "string": STRING}
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "=?=", "=!="})


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One thing that is wrong with a requirement."""

    at: Position
    #: The part that is wrong, as ClassAd text.
    part: str
    #: The rule it breaks.
    rule: str

    def __str__(self) -> str:
        return f"{self.at}: {self.part}: {self.rule}"


def mistakes(tree: Node) -> tuple[Mistake, ...]:
    """Everything that is wrong with a requirement, in order of its text."""
    found = [*_mistyped(tree), *_constant(tree)]
    if not isinstance(tree, Constant) and not references(tree):
        found.append(_mistake(tree, "names no attribute: it is the same for every job and entry"))
    kinds = kinds_of(tree)
    if kinds and kinds.isdisjoint(_CONDITION):
        found.append(_mistake(tree, f"is no condition but a {_named(kinds)}"))
    return tuple(sorted(set(found), key=lambda each: (each.at.line, each.at.column, each.part)))


def dead_clauses(tree: Node, side: Side, supplied: Collection[str]) -> tuple[Mistake, ...]:
    """Parts that name an attribute without default that no ad of this side supplies: always undefined.

    ``supplied`` holds declared names.
    """
    rule = f"no {side} supplies it, and it has no default: it is always undefined"
    return tuple(
        _mistake(each, rule) for each in references(tree) if each.side == side and each.name not in supplied
    )


def kinds_of(node: Node) -> Kinds:
    """The kinds of values that it may have, beside undefined and error."""
    match node:
        case Constant(value=value):
            return _kinds_of_value(value)
        case Reference():
            return _OF_TYPE[node.type]
        case Unary(operator="!"):
            return BOOL
        case Unary():
            return NUMBER
        case Choice():
            return kinds_of(node.then) | kinds_of(node.otherwise)
        case Binary(operator="?:"):
            return kinds_of(node.left) | kinds_of(node.right)
        case Binary():
            return NUMBER if node.operator in "+-*/%" else BOOL
        case Call(function="ifthenelse"):
            return kinds_of(node.arguments[1]) | kinds_of(node.arguments[2])
        case Call():
            return FUNCTIONS[node.function].gives


def _kinds_of_value(value: object) -> Kinds:
    if isinstance(value, Special):
        return frozenset()
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int | float):
        return NUMBER
    return STRING if isinstance(value, str) else LIST


def _mistyped(node: Node) -> Iterator[Mistake]:
    for child in children(node):
        yield from _mistyped(child)
    for part, accepted in _demands(node):
        kinds = kinds_of(part)
        if kinds and kinds.isdisjoint(accepted):
            yield _mistake(part, f"is a {_named(kinds)}, where {_asker(node)} needs a {_named(accepted)}")
    if isinstance(node, Binary) and node.operator in _COMPARISONS:
        yield from _miscompared(node)


def _demands(node: Node) -> list[tuple[Node, Kinds]]:
    """The operands of a node, each with the kinds that it may have."""
    match node:
        case Unary(operator="!"):
            return [(node.operand, _CONDITION)]
        case Unary():
            return [(node.operand, NUMBER)]
        case Choice():
            return [(node.test, _CONDITION)]
        case Binary(operator="&&" | "||"):
            return [(node.left, _CONDITION), (node.right, _CONDITION)]
        case Binary(operator="+" | "-" | "*" | "/" | "%"):
            return [(node.left, NUMBER), (node.right, NUMBER)]
        case Call():
            function = FUNCTIONS[node.function]
            return [(each, function.argument(number)) for number, each in enumerate(node.arguments)]
    return []


def _miscompared(node: Binary) -> Iterator[Mistake]:
    left, right = kinds_of(node.left), kinds_of(node.right)
    if left and right and left.isdisjoint(right):
        rule = f"compares a {_named(left)} with a {_named(right)}"
        yield _mistake(node, rule)
    elif node.operator not in ("=?=", "=!=") and not (left and right):
        yield _mistake(node, "is never true nor false: undefined and error are found with =?= and =!=")
    if node.operator in ("<", "<=", ">", ">=") and BOOL in (left, right):
        yield _mistake(node, "orders a truth value")


def _constant(node: Node) -> Iterator[Mistake]:
    """Conditions inside the tree that are the same for every job and entry."""
    for child in children(node):
        yield from _constant(child)
    parts: tuple[Node, ...] = ()
    match node:
        case Binary(operator="&&" | "||"):
            parts = operands(node, node.operator)
        case Unary(operator="!"):
            parts = (node.operand,)
        case Choice():
            parts = (node.test,)
        case Call(function="ifthenelse"):
            parts = node.arguments[:1]
    for part in parts:
        if not references(part):
            yield _mistake(part, "is the same for every job and entry: a condition must not be constant")
    for number, part in enumerate(parts):
        if part in parts[:number]:
            yield _mistake(part, "stands twice")
    if isinstance(node, Binary) and node.operator in _COMPARISONS and node.left == node.right:
        yield _mistake(node, "compares a value with itself")


def _mistake(node: Node, rule: str) -> Mistake:
    return Mistake(at=node.at, part=render(node, as_written), rule=rule)


def _named(kinds: Kinds) -> str:
    return "value" if kinds == ANY else " or ".join(word for kind, word in _WORDS.items() if kind in kinds)


_WORDS: Final = {"bool": "truth value", "number": "number", "string": "string", "list": "list"}


def _asker(node: Node) -> str:
    if isinstance(node, Call):
        return f"{FUNCTIONS[node.function].name}()"
    return "?" if isinstance(node, Choice) else getattr(node, "operator", "it")
