"""Sessions of people, on every database."""

from datetime import UTC, datetime, timedelta

import pytest

from opengoc.store import sessions
from opengoc.store.database import Database
from opengoc.store.sessions import Opened

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def begin(database: Database, name: str, *, who: str = "operator", at: datetime = NOON) -> Opened:
    opened = Opened(
        id_digest=name,
        who=who,
        csrf="c",
        grounds={"grants": ["a"], "person": None},
        opened_at=at,
        expires_at=at + timedelta(hours=8),
    )
    with database.begin() as conn:
        sessions.begin(conn, opened)
    return opened


def names(database: Database, now: datetime = NOON) -> list[str]:
    with database.read() as conn:
        return [each.id_digest for each in sessions.standing(conn, now=now)]


def test_a_session_is_found_until_it_is_over_or_ended(database: Database) -> None:
    opened = begin(database, "a")
    with database.begin() as conn:
        assert sessions.find(conn, "a", now=opened.expires_at - timedelta(microseconds=1)) == opened
        assert sessions.find(conn, "a", now=opened.expires_at) is None
        sessions.end(conn, "a")
        sessions.end(conn, "a")
        assert sessions.find(conn, "a", now=NOON) is None


def test_all_of_somebody_end_at_once(database: Database) -> None:
    for name, who in (("a", "site"), ("b", "operator"), ("c", "site")):
        begin(database, name, who=who)
    with database.begin() as conn:
        assert sessions.end_all(conn, "site") == 2
    assert names(database) == ["b"]


def test_what_is_over_goes_and_the_oldest_where_there_are_too_many(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST", 3)
    begin(database, "over", at=NOON - timedelta(days=1))
    for minute in range(5):
        begin(database, str(minute), at=NOON + timedelta(minutes=minute))
    assert names(database, now=NOON - timedelta(days=1)) == ["4", "3", "2"]
