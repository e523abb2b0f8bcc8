"""Formats of one record a line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from opengoc.accounting.formats.piece import Piece, Tail
from opengoc.accounting.model import UsageRecord
from opengoc.base.errors import InvalidInput

#: Makes the record of a line; None for a line that holds none (a comment, a header). Raises InvalidInput.
Line = Callable[[bytes], UsageRecord | None]


def pieces(data: bytes, tail: Tail, record: Line) -> Iterator[Piece]:
    """One piece a line; a last line without an end waits for it."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1
        if not end:
            if tail is Tail.OPEN:
                return
            end = len(data)
        yield piece(data, start, end, record)
        start = end


def piece(data: bytes, start: int, end: int, record: Line) -> Piece:
    """The record of some bytes, or what is wrong with them."""
    line = data[start:end].strip()
    if not line:
        return Piece(start=start, end=end)
    try:
        return Piece(start=start, end=end, record=record(line))
    except InvalidInput as error:
        return Piece(start=start, end=end, fault=str(error))
