"""When pilots were submitted of late, by entry, out of the ledger: of every factory that shares it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from opengoc.base.interval import Interval
from opengoc.factory.model import SUBMISSION
from opengoc.factory.ramp import LOOK_BACK
from opengoc.store import ledger
from opengoc.store.ledger import EffectState


def sent_of_late(conn: Connection, *, now: datetime) -> dict[str, tuple[datetime, ...]]:
    """The times at which pilots of each entry were decided on, oldest first, within the ramp's look back.

    Whether those under way arrive is not known yet: better one too many than a site that is flooded.
    """
    times: dict[str, list[datetime]] = {}
    for state in (EffectState.SETTLED, EffectState.CLAIMED):
        for effect in ledger.effects(conn, SUBMISSION, state, due=Interval(now - LOOK_BACK)):
            times.setdefault(effect.payload["entry"], []).append(effect.due_at)
    return {entry: tuple(sorted(several)) for entry, several in times.items()}
