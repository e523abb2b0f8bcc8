"""In which coding an answer travels (RFC 9110, section 12.5.3): zstd, gzip, or as it is."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class Coding(StrEnum):
    """What answers are coded with, the best first."""

    ZSTD = "zstd"
    GZIP = "gzip"
    IDENTITY = "identity"


#: Longer than any client's: such a header is not read.
_LONGEST = 300
_WEIGHT = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*")


@lru_cache(maxsize=256)
def negotiated(accept_encoding: str) -> Coding:
    """The coding that the client likes best; where it likes several as much, the best of ours.

    A client that takes none of them, not even the answer as it is, is answered as it is all the same.
    """
    if len(accept_encoding) > _LONGEST:
        return Coding.IDENTITY
    said = {
        name.strip().replace("x-gzip", "gzip"): _weight(rest)
        for name, _, rest in (part.partition(";") for part in accept_encoding.lower().split(","))
    }
    others = said.get("*", 0.0)
    weights = {coding: said.get(coding.value, others) for coding in (Coding.ZSTD, Coding.GZIP)}
    # Not said, it is taken, but after what was asked for.
    weights[Coding.IDENTITY] = said.get(Coding.IDENTITY.value, 0.0)
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] > 0 else Coding.IDENTITY


def _weight(parameters: str) -> float:
    """The q of a coding: 1 where none is said, 0 where it cannot be read."""
    if not parameters.strip():
        return 1.0
    found = _WEIGHT.fullmatch(parameters)
    return min(1.0, float(found[1])) if found else 0.0
