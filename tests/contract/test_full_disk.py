"""A full disk: a clear Temporary, nothing damaged, and on it goes when space is freed; on a real one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
import pytest
from deltalake import DeltaTable

from opengoc.base.errors import Temporary
from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.database import Database, open_database
from opengoc.store.hold import hold
from opengoc.store.lake import Lake

ALWAYS = Interval(datetime(2026, 11, 16, tzinfo=UTC))
DISK_MIB = 4
#: Kept aside, to be given back when the disk is full.
BALLAST_BYTES = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few MiB with a ballast file on it; never skipped."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "goc-small-disk", tmp_path],
        capture_output=True,
        text=True,
        timeout=30,
    )
    if mounted.returncode != 0:
        pytest.fail(
            f"{mounted.stderr.strip()}: run as root, or `unshare --map-root-user --mount python -m pytest`",
            pytrace=False,
        )
    (tmp_path / "ballast").write_bytes(bytes(BALLAST_BYTES))
    yield tmp_path
    # Lazily: a thread of a library may still have a file open.
    subprocess.run(["umount", "--lazy", tmp_path], check=True, timeout=30)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "filler").open("ab", buffering=0) as filler:
        for size in (65_536, 4096, 1):
            try:
                while filler.write(bytes(size)):
                    pass
            except OSError:
                continue


def free(disk: Path) -> None:
    """Give the ballast back."""
    (disk / "ballast").unlink()


def state(database: Database, number: int) -> None:
    """A fact of some KiB in a transaction of its own."""
    with database.begin() as conn:
        facts.assert_fact(
            conn, kind="vo", key=f"{number:06}", value={"text": "x" * 4000}, valid=ALWAYS, who="test"
        )


def batch(number: int) -> pyarrow.Table:
    """Rows that do not compress."""
    blobs = [os.urandom(4000) for _ in range(10)]
    return pyarrow.table({"number": [number] * 10, "blob": blobs})


def test_facts_on_a_full_disk_are_temporary_and_go_on_when_space_is_freed(small_disk: Path) -> None:
    url = f"sqlite:///{small_disk / 'goc.db'}"
    database = open_database(url)
    kept = 0
    with pytest.raises(Temporary, match=r"no space left on its disk: free some|there and not full"):
        for kept in range(10_000):
            state(database, kept)
    assert kept > 10
    assert keys(database) == [f"{number:06}" for number in range(kept)]
    free(small_disk)
    state(database, kept)
    database.dispose()
    reopened = open_database(url)
    assert keys(reopened) == [f"{number:06}" for number in range(kept + 1)]
    with reopened.read() as conn:
        assert conn.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    reopened.dispose()


def keys(database: Database) -> list[str]:
    """What stands."""
    with database.read() as conn:
        return [fact.key for fact in facts.standing(conn, "vo")]


def test_a_database_that_cannot_be_made_on_a_full_disk_is_temporary_and_made_later(small_disk: Path) -> None:
    url = f"sqlite:///{small_disk / 'goc.db'}"
    fill(small_disk)
    with pytest.raises(Temporary, match=r"no space left|there and not full"):
        open_database(url)
    free(small_disk)
    database = open_database(url)
    state(database, 1)
    assert keys(database) == ["000001"]
    database.dispose()


def test_batches_on_a_full_disk_are_temporary_and_go_in_once_when_space_is_freed(small_disk: Path) -> None:
    lake = Lake(small_disk / "lake")
    sent = 0
    with pytest.raises(Temporary, match="no space left on its disk: free some"):
        for sent in range(1000):
            lake.append("usage", batch(sent), batch_id=str(sent))
    assert sent > 10
    assert rows_by_batch(lake) == dict.fromkeys(range(sent), 10)
    free(small_disk)
    for number in range(sent + 1):
        lake.append("usage", batch(number), batch_id=str(number))
    assert rows_by_batch(lake) == dict.fromkeys(range(sent + 1), 10)
    assert DeltaTable(small_disk / "lake" / "usage").to_pyarrow_table().num_rows == 10 * (sent + 1)


def rows_by_batch(lake: Lake) -> dict[int, int]:
    """How many rows of each batch are in."""
    answer = lake.query("SELECT number, count(*) AS n FROM usage GROUP BY number", tables=["usage"])
    return {row["number"]: row["n"] for row in answer.to_pylist()}


def test_a_table_that_cannot_be_made_on_a_full_disk_is_temporary_and_made_later(small_disk: Path) -> None:
    lake = Lake(small_disk / "lake")
    fill(small_disk)
    with pytest.raises(Temporary, match="no space left"):
        lake.append("usage", batch(1), batch_id="1")
    assert lake.tables() == []
    free(small_disk)
    assert lake.append("usage", batch(1), batch_id="1") is True
    assert rows_by_batch(lake) == {1: 10}


def test_compaction_on_a_full_disk_is_temporary_and_loses_nothing(small_disk: Path) -> None:
    lake = Lake(small_disk / "lake")
    for number in range(20):
        lake.append("usage", batch(number), batch_id=str(number))
    fill(small_disk)
    with pytest.raises(Temporary, match="no space left"):
        lake.compact("usage")
    assert rows_by_batch(lake) == dict.fromkeys(range(20), 10)
    free(small_disk)
    assert lake.compact("usage") == 20
    assert rows_by_batch(lake) == dict.fromkeys(range(20), 10)


def test_a_home_on_a_full_disk_can_still_be_held_by_one(small_disk: Path) -> None:
    with hold(small_disk, "factory"):
        pass
    fill(small_disk)
    with (
        hold(small_disk, "factory"),
        pytest.raises(Temporary, match="is held by"),
        hold(small_disk, "factory"),
    ):
        pass
