"""What a format makes of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import pyarrow

from opengoc.accounting.model import UsageRecord
from opengoc.accounting.source import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Bytes [start, end) of what was read: one record, one fault, or neither (blanks between records)."""

    start: int
    end: int
    record: UsageRecord | None = None
    #: Why no record could be made of these bytes; empty when one was, or when there is none in them.
    fault: str = ""


class Tail(Enum):
    """What follows the bytes that a format is given."""

    #: More may follow: an unfinished last record waits for it.
    OPEN = "open"
    #: Nothing will follow: an unfinished last record is a fault.
    ENDED = "ended"
    #: The bytes are one file with one record, written whole before it got its name.
    WHOLE = "whole"


class Format(Protocol):
    """Reads one format. Never raises for the bytes it is given: what it cannot read is a fault."""

    def __call__(self, data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:
        """The pieces of ``data``, in order, the first at 0, none left out.

        ``offset`` is the position of ``data`` in its file, for formats that name positions.
        """
        ...


def text(raw: bytes) -> str:
    r"""Bytes as text; bytes that are not UTF-8 stay readable and distinct as ``\xe9``."""
    return raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def shown(raw: bytes, length: int = 60) -> str:
    """The beginning of some bytes, for a message."""
    return repr(text(raw[:length])) + ("…" if len(raw) > length else "")


@dataclass(frozen=True, kw_only=True)
class Made:
    """Records that were read at once, and what was left out."""

    #: Columns of ``table.READ``.
    records: pyarrow.Table
    #: What was read piece by piece already, in order.
    pieces: tuple[Piece, ...] = ()
    #: Stretches [start, end) that are to be read piece by piece, in order. One that goes to the end of the
    #: bytes is followed by what follows them; every other one is whole.
    rest: tuple[tuple[int, int], ...]


class Bulk(Protocol):
    """Reads many records of one format at once, and gives exactly what ``Format`` gives for their bytes."""

    def __call__(self, data: bytes, *, source: Source, offset: int, tail: Tail) -> Made | None:
        """The records of ``data``; None where all of it is to be read piece by piece."""
        ...
