"""When pilots were submitted of late, by entry: read from the ledger when a factory starts, then kept."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from opengoc.base.interval import Interval
from opengoc.factory.model import SUBMISSION
from opengoc.factory.ramp import LOOK_BACK
from opengoc.store import ledger
from opengoc.store.ledger import EffectState


class Sent:
    """The submissions of one factory within the ramp's look back."""

    def __init__(self, conn: Connection, *, now: datetime) -> None:
        recent = Interval(now - LOOK_BACK)
        arrived = ledger.effects(conn, SUBMISSION, EffectState.SETTLED, settled=recent)
        # Whether these arrived is not known yet: better one too many than a site that is flooded.
        under_way = ledger.effects(conn, SUBMISSION, EffectState.CLAIMED)
        times = [(each.payload["entry"], each.settled_at or each.due_at) for each in (*arrived, *under_way)]
        self._times: dict[str, list[datetime]] = {}
        for entry, at in sorted(times):
            self._times.setdefault(entry, []).append(at)

    def see(self, entry: str, count: int, *, now: datetime) -> None:
        """Take note of pilots that arrived in the queue."""
        self._times.setdefault(entry, []).extend([now] * count)

    def by_entry(self, *, now: datetime) -> dict[str, tuple[datetime, ...]]:
        """The times of each entry, oldest first; those of long ago are let go."""
        oldest = now - LOOK_BACK
        kept = {entry: [at for at in times if at >= oldest] for entry, times in self._times.items()}
        self._times = {entry: times for entry, times in kept.items() if times}
        return {entry: tuple(times) for entry, times in self._times.items()}
