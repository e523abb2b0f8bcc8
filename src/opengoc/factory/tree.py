"""The typed tree of a requirement: what the array evaluation, START and the explanation are all made of.

A tree comes from ``factory/reader.py`` and is never changed. Rendering it as ClassAd text and reading that
text gives an equal tree; positions do not count for equality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from opengoc.condor.classads import Special, literal
from opengoc.factory.functions import FUNCTIONS

#: Value of a declared attribute.
Scalar: TypeAlias = bool | int | float | str

TypeName = Literal["bool", "int", "float", "string"]
Side = Literal["job", "entry"]


@dataclass(frozen=True)
class Position:
    """Where something stands in a text, from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


_NOWHERE: Final = Position(0, 0)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A literal: a value, ``undefined``, ``error`` or a list of these (a tuple)."""

    value: Scalar | Special | tuple[Scalar | Special, ...]
    at: Position = field(default=_NOWHERE, compare=False)

    def __eq__(self, other: object) -> bool:
        # 1, 1.0 and true are equal in Python, and differ in ClassAds.
        return isinstance(other, Constant) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True, kw_only=True)
class Reference:
    """``job.X`` or ``entry.X``, by its declared name."""

    side: Side
    name: str
    type: TypeName
    at: Position = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, kw_only=True)
class Unary:
    """``!``, ``-`` or ``+`` of an operand."""

    operator: str
    operand: Node
    at: Position = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, kw_only=True)
class Binary:
    """Two operands; ``is`` and ``isnt`` are kept as ``=?=`` and ``=!=``."""

    operator: str
    left: Node
    right: Node
    at: Position = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """``test ? then : otherwise``."""

    test: Node
    then: Node
    otherwise: Node
    at: Position = field(default=_NOWHERE, compare=False)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A function, its name in lower case."""

    function: str
    arguments: tuple[Node, ...]
    at: Position = field(default=_NOWHERE, compare=False)


Node: TypeAlias = Constant | Reference | Unary | Binary | Choice | Call

#: How tightly binary operators bind, as HTCondor reads them: ``?:`` before everything, signs included.
BINDING: Final = {
    "||": 2,
    "&&": 3,
    "==": 4,
    "!=": 4,
    "=?=": 4,
    "=!=": 4,
    "<": 5,
    "<=": 5,
    ">": 5,
    ">=": 5,
    "+": 6,
    "-": 6,
    "*": 7,
    "/": 7,
    "%": 7,
    "?:": 9,
}
_CHOICE: Final = 1
_SIGN: Final = 8
_ATOM: Final = 10


def children(node: Node) -> tuple[Node, ...]:
    """The operands of a node, left to right."""
    match node:
        case Unary():
            return (node.operand,)
        case Binary():
            return (node.left, node.right)
        case Choice():
            return (node.test, node.then, node.otherwise)
        case Call():
            return node.arguments
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


def references(node: Node) -> tuple[Reference, ...]:
    """The attributes it names, each once, in order of first appearance."""
    return tuple(dict.fromkeys(each for each in walk(node) if isinstance(each, Reference)))


def names(node: Node, side: Side) -> tuple[str, ...]:
    """The attributes of one side that it names, in order of name."""
    return tuple(sorted({each.name for each in references(node) if each.side == side}))


def operands(node: Node, operator: str) -> tuple[Node, ...]:
    """``a && b && c`` as its three parts; any other node as itself."""
    if isinstance(node, Binary) and node.operator == operator:
        return (*operands(node.left, operator), *operands(node.right, operator))
    return (node,)


def render(node: Node, reference: Callable[[Reference], str]) -> str:
    """ClassAd text on one line, with ``reference`` saying what stands for each attribute.

    Brackets stand where the text would be read as another tree without them.
    """
    return _render(node, reference, 0)


def as_written(reference: Reference) -> str:
    """A reference as requirements write it."""
    return f"{reference.side}.{reference.name}"


def constant(value: Scalar | Special | tuple[Scalar | Special, ...] | None) -> str:
    """A value as text that can stand anywhere in an expression; None is undefined."""
    text = literal(list(value) if isinstance(value, tuple) else value)
    return f"({text})" if text.startswith("-") else text


def _render(node: Node, reference: Callable[[Reference], str], least: int) -> str:
    text, binding = _bare(node, reference)
    return f"({text})" if binding < least else text


def _bare(node: Node, reference: Callable[[Reference], str]) -> tuple[str, int]:
    match node:
        case Constant():
            return constant(node.value), _ATOM
        case Reference():
            return reference(node), _ATOM
        case Unary():
            return f"{node.operator}{_render(node.operand, reference, _ATOM)}", _SIGN
        case Binary(operator="?:"):
            # Always in brackets: up to HTCondor 23 it binds looser than anything, since 25 tighter. Without
            # them a startd of the one reads another START than the factory of the other has rendered.
            left, right = (_render(each, reference, _ATOM) for each in (node.left, node.right))
            return f"({left} ?: {right})", _ATOM
        case Binary():
            binding = BINDING[node.operator]
            left = _render(node.left, reference, binding)
            right = _render(node.right, reference, binding + 1)
            return f"{left} {node.operator} {right}", binding
        case Choice():
            parts = [_render(each, reference, _CHOICE + 1) for each in children(node)]
            return f"{parts[0]} ? {parts[1]} : {parts[2]}", _CHOICE
        case Call():
            arguments = ", ".join(_render(each, reference, 0) for each in node.arguments)
            return f"{FUNCTIONS[node.function].name}({arguments})", _ATOM
