"""Whether two START expressions decide alike, as far as their trees show. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from opengoc.base.errors import InvalidInput
from opengoc.condor.classads import parse
from opengoc.factory.expression import Attribute
from opengoc.factory.reader import read
from opengoc.factory.tree import Node

#: What a pilot makes of the factory's text, and of a startd that takes nothing.
WHOLE = "GOC_Start && GOC_Accepting"
CLOSED = "false"

_STRING_OR_TARGET = re.compile(r'"(?:[^"\\]|\\.)*"|\bTARGET\s*\.', re.IGNORECASE)


@lru_cache(maxsize=8192)
def same_tree(left: str, right: str) -> bool:
    """Whether two texts are the same ClassAd expression; blanks do not count. False where one is none."""
    try:
        return left == right or parse(left) == parse(right)
    except InvalidInput:
        return False


def same_start(seen: str, rendered: str, job: Mapping[str, Attribute]) -> bool:
    """Whether a START that was seen is the one that was rendered: brackets that change nothing do not count.

    ``job`` are the declared attributes of jobs, by name in lower case.
    """
    if same_tree(seen, rendered):
        return True
    trees = [_tree(text, job) for text in (seen, rendered)]
    return trees[0] is not None and trees[0] == trees[1]


def _tree(text: str, job: Mapping[str, Attribute]) -> Node | None:
    written = _STRING_OR_TARGET.sub(lambda found: found[0] if found[0].startswith('"') else "job.", text)
    try:
        return read(written, job=job, entry={}, where="START")
    except InvalidInput:
        return None
