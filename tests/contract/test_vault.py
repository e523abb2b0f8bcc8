"""Personal data apart from the facts, on every database."""

import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from opengoc.base.errors import InvalidInput
from opengoc.store import facts, vault
from opengoc.store.database import Database, open_database
from opengoc.store.migrate import MIGRATIONS
from opengoc.store.vault import Act, Written


def put(database: Database, **persons: dict[str, str]) -> Written:
    with database.begin() as conn:
        return vault.put(conn, persons, who="tester", why="a tree")


def read(database: Database, *ids: str) -> dict[str, vault.Person]:
    with database.begin() as conn:
        return vault.read(conn, ids or None, who="reader", why="ticket 17")


def test_an_id_says_nothing_about_the_person_and_stays(database: Database) -> None:
    first = put(database, admin={"name": "Site administrator"})
    assert first.added == 1
    assert re.fullmatch(r"person-[0-9a-f]{16}", first.ids["admin"])
    again = put(database, admin={"name": "Site administrator"})
    assert (again.ids, again.unchanged) == (first.ids, 1)


def test_what_is_not_said_takes_nothing_back(database: Database) -> None:
    person = put(database, c1={"name": "Site administrator", "email": "a@example.org"}).ids["c1"]
    assert put(database, c1={"name": ""}).unchanged == 1
    assert put(database, c1={"name": "Administrator of the site"}).changed == 1
    assert read(database)[person].value == {"name": "Administrator of the site", "email": "a@example.org"}


def test_an_id_of_the_vault_means_its_person(database: Database) -> None:
    person = put(database, c1={"name": "Site administrator"}).ids["c1"]
    assert put(database, **{person: {}}).ids == {person: person}


def test_every_reading_is_written_down(database: Database) -> None:
    ids = put(database, c1={"name": "One"}, c2={"name": "Two"}).ids
    read(database, ids["c1"])
    with database.read() as conn:
        log = vault.accesses(conn, ids["c1"])
        other = vault.accesses(conn, ids["c2"])
    assert [(line.who, line.act, line.why) for line in log] == [
        ("reader", Act.READ, "ticket 17"),
        ("tester", Act.WRITE, "a tree"),
    ]
    assert [line.act for line in other] == [Act.WRITE]


def test_an_erased_person_is_gone_and_stays_gone(database: Database) -> None:
    person = put(database, c1={"name": "Site administrator"}).ids["c1"]
    for _ in range(2):
        with database.begin() as conn:
            vault.erase(conn, person, who="operator", why="asked for it")
    assert read(database) == {}
    again = put(database, c1={"name": "Site administrator"})
    assert (again.ids["c1"], again.refused, again.added) == (person, 1, 0)
    assert read(database) == {}
    with database.read() as conn:
        assert vault.references(conn) == {}
        assert [line.act for line in vault.accesses(conn, person)] == [Act.ERASE, Act.WRITE]


def test_erasing_somebody_unknown_is_refused(database: Database) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput, match="no person"):
        vault.erase(conn, "person-none", who="operator", why="x")


def test_dropped_references_come_back_under_another_id(database: Database) -> None:
    person = put(database, c1={"name": "Site administrator"}).ids["c1"]
    with database.begin() as conn:
        assert vault.drop(conn, ["c1"], who="tester", why="vanished") == 1
    assert put(database, c1={"name": "Site administrator"}).ids["c1"] != person


def test_no_person_shows_in_a_repr(database: Database) -> None:
    put(database, c1={"name": "Site administrator"})
    assert "administrator" not in repr(read(database))


def test_persons_of_the_first_release_move_out_of_the_facts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        said = '{"email":null,"name":"Site administrator"}'
        columns = "seq, kind, key, version, valid_from, known_from, value, who, why, source"
        row = "1, 'contact', 'c1', 1, 0, 0, :said, 'x', '', ''"
        connection.execute(text(f"INSERT INTO facts ({columns}) VALUES ({row})"), {"said": said})
    engine.dispose()
    database = open_database(url)
    try:
        assert read(database, "c1")["c1"].value == {"name": "Site administrator"}
        with database.read() as conn:
            assert facts.history(conn, "contact", "c1") == []
        assert put(database, c1={"name": "Site administrator"}).ids == {"c1": "c1"}
    finally:
        database.dispose()
