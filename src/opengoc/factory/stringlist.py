"""String lists: items in one text, separated by commas and blanks; each text is parsed once."""

from __future__ import annotations

import re
from functools import lru_cache

# HTCondor separates at , blank, tab, CR and LF, and cuts every kind of blank around an item.
_SEPARATOR = re.compile(r"[ ,\t\r\n]+")
_BLANKS = " \t\r\n\v\f"


def items(text: str) -> list[str]:
    """The items, in order, as HTCondor reads them: ``"A, B ,C"`` holds A, B and C."""
    if text.isascii() and text.isprintable():
        # Of what Python splits at, such a text holds blanks alone.
        return text.replace(",", " ").split()
    return [item for part in _SEPARATOR.split(text) if (item := part.strip(_BLANKS))]


def contains(text: str, item: str, *, ignore_case: bool) -> bool:
    """``stringListMember`` and ``stringListIMember`` of two texts."""
    members = _members(text, ignore_case)
    return (item.encode().lower() if ignore_case else item.encode()) in members


@lru_cache(maxsize=65536)
def _members(text: str, ignore_case: bool) -> frozenset[bytes]:
    return frozenset(item.encode().lower() if ignore_case else item.encode() for item in items(text))
