"""Which running jobs are not what they were when they were first seen."""

from __future__ import annotations

from collections.abc import Iterable

from opengoc.factory.model import Payload, PayloadState


class FirstSeen:
    """The attributes of every job when it was first seen, as far as this process goes back.

    A job that runs since before has not changed for all that is known, and is judged as it is.
    """

    def __init__(self) -> None:
        self._first: dict[str, int] = {}

    def changed(self, payloads: Iterable[Payload]) -> frozenset[str]:
        """Take note of the jobs that are there; the running ones that have changed."""
        first: dict[str, int] = {}
        found = []
        for payload in payloads:
            if payload.state is PayloadState.IDLE and payload.id in self._first:
                first[payload.id] = self._first[payload.id]
                continue
            now = hash(tuple((name, repr(value)) for name, value in sorted(payload.attributes.items())))
            first[payload.id] = self._first.get(payload.id, now)
            if payload.state is PayloadState.RUNNING and first[payload.id] != now:
                found.append(payload.id)
        self._first = first
        return frozenset(found)
