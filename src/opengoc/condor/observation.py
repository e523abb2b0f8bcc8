"""What a query found, and whether it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import require_utc

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Observation(Generic[T]):
    """The answer of one query: what was seen, when, and whether it is all there is.

    A failed, partial or timed-out query has ``complete`` False and says why; its items are no evidence that
    anything is absent.
    """

    #: Which daemon was asked for what, e.g. ``jobs of pool-schedd``.
    source: str
    items: tuple[T, ...]
    #: When the answer was complete here, or the query was given up (UTC).
    taken_at: datetime
    complete: bool
    #: Why it is incomplete; empty exactly when it is complete.
    error: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "taken_at", require_utc(self.taken_at, "taken_at"))
        if self.complete == bool(self.error):
            raise InvalidInput(self.source, self.error, "complete has no error, incomplete has one")

    def age_seconds(self, now: datetime) -> float:
        """Seconds between the answer and ``now``."""
        return (now - self.taken_at).total_seconds()
