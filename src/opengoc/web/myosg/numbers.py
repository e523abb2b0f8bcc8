"""The number of an entry, as OSG Topology gives one to entries whose file does not."""

from __future__ import annotations

from hashlib import md5
from typing import Protocol


class _Numbered(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def number(self) -> int | None: ...


def number_of(entry: _Numbered) -> int:
    """The ID of the file, else one made from the name, 1 to 2³¹-1: the one that Topology's clients know."""
    if entry.number is not None:
        return entry.number
    digest = md5(entry.name.encode(), usedforsecurity=False).hexdigest()
    return 1 + int(digest, 16) % (2**31 - 1)
