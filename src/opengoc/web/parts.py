"""A long list shown in numbered parts, each with an address of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Part(Generic[T]):
    """One part of a list."""

    rows: Sequence[T]
    #: From 1.
    number: int
    parts: int
    #: Rows of the whole list.
    total: int
    #: The query that asks for the list, without the part's number.
    query: str

    def address(self, number: int) -> str:
        """The query of another part."""
        return f"?{self.query}&page={number}" if self.query else f"?page={number}"


def part_of(rows: Sequence[T], number: int, *, size: int, asked: Mapping[str, str]) -> Part[T]:
    """The ``number``-th part, the last one where there are fewer; ``asked``: the filters that led here."""
    parts = max(1, -(-len(rows) // size))
    number = min(number, parts)
    shown = rows[(number - 1) * size : number * size]
    query = urlencode({key: value for key, value in asked.items() if value})
    return Part(rows=shown, number=number, parts=parts, total=len(rows), query=query)
