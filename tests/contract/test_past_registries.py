"""The registry as it was known, kept by state of knowledge, on every database: what a fresh reading gives."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opengoc.base.interval import Interval
from opengoc.registry.past import PastRegistries
from opengoc.registry.rows import encode
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import cancel_downtime, import_tree, load_registry
from opengoc.store import facts
from opengoc.store.database import Database

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"
TICK = timedelta(microseconds=1)


def moment(database: Database) -> datetime:
    with database.begin() as conn:
        return facts.known_now(conn)


def fresh(database: Database, known_at: datetime) -> Registry:
    with database.read() as conn:
        return load_registry(conn, known_at=known_at)


def test_every_moment_gives_what_a_fresh_reading_gives(database: Database) -> None:
    past, moments = PastRegistries(database), [moment(database)]
    with database.begin() as conn:
        import_tree(conn, EXAMPLE, "test")
    moments.append(moment(database))
    with database.begin() as conn:
        cancel_downtime(conn, "9001", who="test", why="x")
    moments += [moment(database), datetime(2999, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    for _ in range(2):
        for at in (*moments, *reversed(moments), *(at - TICK for at in moments[:3])):
            assert past.at(at) == fresh(database, at)


def test_moments_between_which_nothing_was_learned_are_read_once(database: Database) -> None:
    with database.begin() as conn:
        import_tree(conn, EXAMPLE, "test")
    past, at = PastRegistries(database), moment(database)
    first = past.at(at)
    with database.begin() as conn:
        cancel_downtime(conn, "9001", who="test", why="x")
    later = past.at(at + TICK)
    assert (first.known_at, later.known_at) == (at, at + TICK)
    assert later.downtimes is first.downtimes


def test_history_that_is_imported_later_is_not_hidden_by_what_was_read_before(database: Database) -> None:
    with database.begin() as conn:
        import_tree(conn, EXAMPLE, "test")
    past, at = PastRegistries(database), moment(database)
    before = past.at(at)
    downtime = replace(before.downtimes["9001"], id="8000", description="from the archive")
    with database.begin() as conn:
        facts.assert_fact(
            conn,
            kind="downtime",
            key="8000",
            value=encode("downtime", downtime, {}),
            valid=Interval(at - timedelta(days=9), at),
            who="test",
            known_at=at - timedelta(days=8),
        )
    assert past.at(at).downtimes["8000"].description == "from the archive"
    assert past.at(at) == fresh(database, at)
