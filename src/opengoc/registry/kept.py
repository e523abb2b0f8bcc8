"""Something that is made anew whenever it changes, part by part: what is made of the same is used again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, cast

T = TypeVar("T")


def is_same(one: object, other: object) -> bool:
    """Whether two values say the same in every respect: unlike ``==``, 1 is not true and not 1.0.

    What is the same object is not looked into, so that comparing what changed little costs little.
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if is_dataclass(one):
        return all(is_same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    return one == other


class Pieces:
    """The pieces of one part, and those that it had before."""

    def __init__(self, before: Pieces | None = None) -> None:
        self._before = {} if before is None else before._made
        self._made: dict[Hashable, tuple[tuple[Any, ...], Any]] = {}

    def of(self, name: Hashable, made_of: tuple[Any, ...], make: Callable[[], T]) -> T:
        """The piece of this name: the one before where it was made of the same, else a new one."""
        old = self._before.get(name)
        piece = old[1] if old is not None and is_same(old[0], made_of) else make()
        self._made[name] = made_of, piece
        return cast(T, piece)

    def close(self) -> None:
        """Let go of the pieces that were not asked for again."""
        self._before = {}


@dataclass(frozen=True, kw_only=True)
class _Part:
    made_of: tuple[Any, ...]
    value: Any
    pieces: Pieces


class Kept:
    """Parts by name. One thread at a time; another may go on with a copy (``before``)."""

    def __init__(self, before: Kept | None = None) -> None:
        self._parts: dict[str, _Part] = {} if before is None else dict(before._parts)

    def part(self, name: str, made_of: tuple[Any, ...], make: Callable[[Pieces], T]) -> T:
        """The part of this name: the very object of last time where it comes out the same."""
        old = self._parts.get(name)
        if old is not None and is_same(old.made_of, made_of):
            return cast(T, old.value)
        pieces = Pieces(None if old is None else old.pieces)
        value = make(pieces)
        pieces.close()
        if old is not None and is_same(old.value, value):
            value = old.value
        self._parts[name] = _Part(made_of=made_of, value=value, pieces=pieces)
        return value
