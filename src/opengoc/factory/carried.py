"""Jobs' attributes from one observation to the next: the same object as long as they say the same."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any

#: Of equal values of equal types, and of no others, the bytes are the same; later versions refer back to
#: objects, so that bytes depend on how often something else uses them.
_FORM = 2


class Carried:
    """What jobs said when they were last seen. Whoever is given the same object again need not look at it."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[bytes, Mapping[str, Any]]] = {}
        self._now: dict[str, tuple[bytes, Mapping[str, Any]]] = {}

    def begin(self) -> None:
        """Begin an observation: jobs that were not seen in the one before are forgotten."""
        self._before, self._now = self._now, {}

    def carry(self, job: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The job's attributes: the object of the observation before, if that says the very same."""
        try:
            said = marshal.dumps(dict(attributes), _FORM)
        except ValueError:
            # A list of expressions, a time: values that are compared nowhere else either.
            return attributes
        known = self._before.get(job)
        if known is None or known[0] != said:
            known = said, attributes
        self._now[job] = known
        return known[1]
