"""Foreign entries kept as facts, on each database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.unit.factory.foreign_file import entry_xml, write_file

from opengoc.factory.formats.glideinwms import read_files
from opengoc.factory.formats.kept import ENTRY, Imported, import_files, kept_entries
from opengoc.store import facts
from opengoc.store.database import Database

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


def _import(database: Database, *paths: Path) -> Imported:
    with database.begin() as connection:
        return import_files(connection, read_files(paths), who="operator", now=NOW)


def test_what_is_kept_is_what_was_read(database: Database, tmp_path: Path) -> None:
    path = write_file(
        tmp_path / "10.xml",
        entry_xml("A", caps={"cms:frontend": (7, 6, 5)}, submit={"+maxMemory": "2"}, comment="x"),
        entry_xml("B", enabled="False"),
        entry_xml("A", gridtype="arc"),
    )
    done = _import(database, path)
    assert (done.entries, done.enabled, done.unchanged) == (3, 2, 0)
    assert done.added == ("10.xml/A", "10.xml/A#2", "10.xml/B")
    with database.read() as connection:
        assert kept_entries(connection) == read_files([path])[0].entries


def test_importing_again_keeps_only_what_changed(database: Database, tmp_path: Path) -> None:
    path = write_file(tmp_path / "10.xml", entry_xml("A"), entry_xml("B"), entry_xml("C"))
    other = write_file(tmp_path / "20.xml", entry_xml("D"))
    _import(database, path, other)
    with database.read() as connection:
        head = facts.head(connection)
    again = _import(database, path, other)
    assert (again.added, again.changed, again.retracted, again.unchanged) == ((), (), (), 4)
    with database.read() as connection:
        assert facts.head(connection) == head
    write_file(path, "<!-- moved down -->", entry_xml("A"), entry_xml("B", enabled="False"), entry_xml("E"))
    changed = _import(database, path)
    assert changed.added == ("10.xml/E",)
    assert changed.changed == ("10.xml/B",)
    assert changed.retracted == ("10.xml/C",)
    assert changed.unchanged == 1
    with database.read() as connection:
        kept = kept_entries(connection)
        assert [fact.value is None for fact in facts.history(connection, ENTRY, "10.xml/C")] == [False, True]
    assert kept == tuple(entry for file in read_files([path, other]) for entry in file.entries)
