"""Which running jobs are not what they were when they were first seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opengoc.factory.model import Payload, PayloadState


class FirstSeen:
    """The attributes of every job when it was first seen, as far as this process goes back.

    A job that runs since before has not changed for all that is known, and is judged as it is.
    """

    def __init__(self) -> None:
        #: By id: a hash of the first attributes, the attributes that were hashed last, and their hash.
        self._seen: dict[str, tuple[int, Mapping[str, Any], int]] = {}

    def changed(self, payloads: Iterable[Payload]) -> frozenset[str]:
        """Take note of the jobs that are there; the running ones that have changed."""
        seen: dict[str, tuple[int, Mapping[str, Any], int]] = {}
        found = []
        for payload in payloads:
            known = self._seen.get(payload.id)
            # Of an idle one only the first attributes count, and the same object needs no second look.
            if known is None or (
                payload.state is PayloadState.RUNNING and known[1] is not payload.attributes
            ):
                now = hash(tuple((name, repr(value)) for name, value in sorted(payload.attributes.items())))
                known = (now if known is None else known[0]), payload.attributes, now
            seen[payload.id] = known
            if payload.state is PayloadState.RUNNING and known[0] != known[2]:
                found.append(payload.id)
        self._seen = seen
        return frozenset(found)
