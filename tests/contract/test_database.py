"""Opening a database, its two kinds of transactions, and what its faults become."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url, text

from opengoc.base.errors import Conflict, GocError, InvalidInput, Permanent, Temporary
from opengoc.store import ledger
from opengoc.store.database import Database, open_database
from opengoc.store.migrate import HEAD, MIGRATIONS
from opengoc.store.schema import metadata

# -- opening -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The url of a database in which nothing was ever made."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgresql")
    url = server.create_database()
    yield url
    server.drop_database(url)


def test_a_new_database_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "goc.db"
    for mode in (0o600, 0o640):
        open_database(f"sqlite:///{path}").dispose()
        assert path.stat().st_mode & 0o777 == mode
        # Whoever opens it to a group has said so.
        path.chmod(0o640)


def test_processes_that_open_an_empty_database_together_all_succeed(
    empty_url: str, start_python: Any
) -> None:
    program = """
import sys
from opengoc.store import ledger
from opengoc.store.database import open_database
print("ready", flush=True)
sys.stdin.readline()
database = open_database(sys.argv[1])
with database.begin() as conn:
    print(ledger.saw(conn, "start", "1", "aa").value)
"""
    processes = [start_python(program, empty_url) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert sorted(answer[0] for answer in answers) == ["new\n"] + ["replay\n"] * 3, answers


def test_threads_that_open_an_empty_database_together_all_succeed(empty_url: str, together: Any) -> None:
    opened = together(6, lambda _number: open_database(empty_url))
    assert [type(one) for one in opened] == [Database] * 6
    for database in opened:
        database.dispose()


def test_the_migrations_make_what_the_code_reads_and_writes(database: Database) -> None:
    with database.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_revision_named_in_the_code_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_database_of_a_newer_release_is_refused_and_left_alone(
    database: Database, database_url: str
) -> None:
    with database.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Permanent, match=r"at revision 9999, made by a newer release.*upgrade OpenGOC"):
        open_database(database_url)
    with database.read() as conn:
        assert conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_opening_a_current_database_waits_for_no_writer(database: Database, database_url: str) -> None:
    with database.begin() as conn:
        ledger.saw(conn, "a", "b", "c")
        open_database(database_url, lock_wait_seconds=0.2).dispose()


@pytest.mark.parametrize("url", ["mysql://localhost/goc", "sqlite://", "sqlite:///:memory:", "nonsense", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="must "):
        open_database(url)


def test_a_postgresql_url_needs_not_name_its_driver(database_url: str) -> None:
    plain = database_url.replace("postgresql+psycopg:", "postgresql:")
    opened = open_database(plain)
    with opened.read() as conn:
        assert ledger.cursor(conn, "feed") is None
    opened.dispose()


# -- two kinds of transactions -----------------------------------------------------------------------------


def test_a_read_block_cannot_write(database: Database) -> None:
    with pytest.raises(Permanent, match="write inside begin"), database.read() as conn:
        ledger.saw(conn, "a", "b", "c")
    with database.begin() as conn:
        assert ledger.saw(conn, "a", "b", "c") is ledger.Sighting.NEW


def test_a_read_block_sees_one_moment_while_others_write(database: Database) -> None:
    with database.read() as reading:
        assert ledger.cursor(reading, "feed") is None
        with database.begin() as writing:
            ledger.move_cursor(writing, "feed", 1, expect=None)
        assert ledger.cursor(reading, "feed") is None
    with database.read() as reading:
        assert ledger.cursor(reading, "feed") == 1


def test_nothing_is_seen_of_a_write_before_it_is_committed(database: Database) -> None:
    with database.begin() as writing:
        ledger.move_cursor(writing, "feed", 1, expect=None)
        with database.read() as reading:
            assert ledger.cursor(reading, "feed") is None


# -- faults ------------------------------------------------------------------------------------------------


def test_a_lock_held_too_long_is_temporary(database: Database, database_url: str) -> None:
    impatient = open_database(database_url, lock_wait_seconds=0.2)
    with database.begin() as conn:
        ledger.saw(conn, "a", "b", "c")
        with pytest.raises(Temporary, match="is locked by another process"), impatient.begin() as other:
            ledger.saw(other, "a", "b", "c")
    with impatient.begin() as other:
        assert ledger.saw(other, "a", "b", "c") is ledger.Sighting.REPLAY
    impatient.dispose()


def test_of_transactions_that_wait_for_each_other_one_ends(database: Database) -> None:
    """PostgreSQL ends one of the two; on SQLite the second waits to start, and finds the cursor moved."""
    outcomes: list[GocError | None] = []

    def move(first: str, second: str, arrived: threading.Event, other: threading.Event) -> None:
        try:
            with database.begin() as conn:
                ledger.move_cursor(conn, first, 1, expect=0)
                arrived.set()
                other.wait(timeout=1)
                ledger.move_cursor(conn, second, 1, expect=0)
        except GocError as error:
            outcomes.append(error)
        else:
            outcomes.append(None)

    with database.begin() as conn:
        ledger.move_cursor(conn, "a", 0, expect=None)
        ledger.move_cursor(conn, "b", 0, expect=None)
    one, two = threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=move, args=("a", "b", one, two)),
        threading.Thread(target=move, args=("b", "a", two, one)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    lost = [outcome for outcome in outcomes if outcome is not None]
    assert len(outcomes) == 2
    expected = Temporary if database.dialect == "postgresql" else Conflict
    assert [type(error) for error in lost] == [expected]
    with database.read() as conn:
        assert (ledger.cursor(conn, "a"), ledger.cursor(conn, "b")) == (1, 1)


def test_a_file_that_is_no_database_is_permanent(tmp_path: Path) -> None:
    (tmp_path / "goc.db").write_text("a letter to the production coordinator\n" * 50)
    with pytest.raises(Permanent, match="is not an SQLite database"):
        open_database(f"sqlite:///{tmp_path / 'goc.db'}")


def test_a_folder_that_is_not_there_is_permanent(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="cannot be opened: check its folder"):
        open_database(f"sqlite:///{tmp_path / 'absent' / 'goc.db'}")


def test_a_server_that_is_away_is_temporary_and_the_password_stays_secret(tmp_path: Path) -> None:
    with pytest.raises(Temporary, match="check that the server runs") as refused:
        open_database(f"postgresql://goc:secret@/goc?host={tmp_path}")
    assert "secret" not in str(refused.value)


def test_a_database_that_the_server_lacks_is_permanent(postgresql: Any) -> None:
    with pytest.raises(Permanent, match="does not exist: create it"):
        open_database(postgresql.url("absent"))


def test_a_connection_that_breaks_is_temporary_and_the_next_block_works(
    postgresql: Any, migrated_template: str
) -> None:
    url = postgresql.create_database(migrated_template)
    database = open_database(url)
    with pytest.raises(Temporary, match=r"is away|was shut down|does not answer"), database.begin() as conn:
        ledger.saw(conn, "a", "b", "c")
        postgresql.end_connections(make_url(url).database)
        ledger.saw(conn, "a", "d", "c")
    with database.begin() as conn:
        assert ledger.saw(conn, "a", "b", "c") is ledger.Sighting.NEW
    postgresql.end_connections(make_url(url).database)
    with database.begin() as conn:
        assert ledger.saw(conn, "a", "b", "c") is ledger.Sighting.REPLAY
    database.dispose()
    postgresql.drop_database(url)
