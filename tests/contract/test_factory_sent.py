"""When pilots were submitted of late, out of the ledger, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opengoc.factory.model import SUBMISSION
from opengoc.factory.ramp import LOOK_BACK, Ramp
from opengoc.factory.sent import sent_of_late
from opengoc.store import ledger
from opengoc.store.database import Database

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


def submit(database: Database, key: str, *, at: datetime, arrives: bool | None = True) -> None:
    """A pilot of A; None: whether it arrived is not known yet."""
    with database.begin() as conn:
        ledger.owe(conn, kind=SUBMISSION, key=key, payload={"entry": "A"}, due_at=at)
        (effect,) = ledger.claim(conn, SUBMISSION, now=at, limit=1, lease_seconds=3600)
        if arrives:
            ledger.settle(conn, effect, now=at)
        elif arrives is not None:
            ledger.abandon(conn, effect, error="refused")


def test_what_was_sent_of_late_survives_the_factory(database: Database) -> None:
    second = timedelta(seconds=1)
    submit(database, "old", at=NOW - LOOK_BACK - second)
    submit(database, "sent", at=NOW - 3 * second)
    submit(database, "refused", at=NOW - 2 * second, arrives=False)
    submit(database, "under way", at=NOW - second, arrives=None)
    with database.read() as conn:
        sent = sent_of_late(conn, now=NOW)
    assert sent == {"A": (NOW - 3 * second, NOW - second)}
    assert Ramp(sent=sent).left(6, "A", now=NOW) == 0
    with database.read() as conn:
        assert sent_of_late(conn, now=NOW + LOOK_BACK) == {}
