"""How fast an entry may be filled: pilots a minute, by what was sent to it of late. Pure.

A bucket fills at the rate and gives one pilot for each token. Its level is worked out anew from the times of
the submissions, which the ledger keeps: a factory that is started again sends no faster.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

#: Submissions are looked back at for so long; before that the bucket is taken to have been full.
LOOK_BACK = timedelta(minutes=10)
#: What is left of a token by rounding is no token.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """What was sent within ``LOOK_BACK``, and how much may be sent at once after a rest."""

    #: When each pilot of an entry was submitted, oldest first.
    sent: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)
    #: The bucket holds what comes in so long, and one: at least the time between two cycles.
    burst_seconds: float = 10.0

    def left(self, per_minute: int, entry: str | None = None, *, now: datetime) -> int:
        """Pilots that may be sent now to one entry; None: to all of them together."""
        return self._level(per_minute, self._times(entry), now)

    def of_last_minute(self, entry: str | None = None, *, now: datetime) -> int:
        """Pilots that were sent in the last minute."""
        return sum(now - timedelta(minutes=1) < at <= now for at in self._times(entry))

    def _times(self, entry: str | None) -> Sequence[datetime]:
        if entry is not None:
            return self.sent.get(entry, ())
        return sorted(at for times in self.sent.values() for at in times)

    def _level(self, per_minute: int, times: Iterable[datetime], now: datetime) -> int:
        if not per_minute:
            return 0
        a_second = per_minute / 60
        size = 1 + a_second * self.burst_seconds
        level, last = size, now - LOOK_BACK
        for at in times:
            if last <= at <= now:
                level = min(size, level + a_second * (at - last).total_seconds())
                # A rate that was lowered is no debt.
                level, last = max(0.0, level - 1), at
        level = min(size, level + a_second * (now - last).total_seconds())
        return math.floor(level + _ROUNDING)
