"""Bytes of no known format: kept, and told as one fault. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from opengoc.accounting.formats.piece import Piece, Tail, shown
from opengoc.accounting.source import Source


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """One fault over all."""
    if not data.strip():
        yield Piece(start=0, end=len(data))
        return
    blank = len(data) - len(data.lstrip())
    if blank:
        yield Piece(start=0, end=blank)
    first = data[blank:].split(b"\n", 1)[0]
    fault = f"no known format of usage records begins with {shown(first)}: name one with --format"
    yield Piece(start=blank, end=len(data), fault=fault)
