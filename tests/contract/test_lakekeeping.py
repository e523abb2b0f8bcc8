"""Joining and removing the lake's files: one writer a table, whatever is killed, and no evidence lost."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from tests.contract.conftest import StartPython
from tests.unit.reports.example_week import week_rows, week_usage

from opengoc.base.errors import InvalidInput, Temporary
from opengoc.flows import lakekeeping
from opengoc.flows.lakekeeping import Place
from opengoc.reports import published
from opengoc.reports.inputs import ReportInputs
from opengoc.reports.weekly import build
from opengoc.store import ledger
from opengoc.store.database import Database, open_database
from opengoc.store.lake import Lake
from opengoc.store.writer import sole_writer

YEARS = timedelta(days=3 * 365)
_COMPACT = """
import sys
from pathlib import Path
from opengoc.flows.lakekeeping import Place, compact
from opengoc.store.database import open_database
from opengoc.store.lake import Lake
home = Path(sys.argv[1])
place = Place(home=home, database=open_database(sys.argv[2]), lake=Lake(home / "lake"))
print("ready", flush=True)
sys.stdin.readline()
compact(place, "numbers")
print("done", flush=True)
"""


def fill(lake: Lake, batches: int) -> None:
    for number in range(batches):
        lake.append(
            "numbers", pyarrow.table({"n": range(number * 1000, number * 1000 + 1000)}), batch_id=f"b{number}"
        )


def total(lake: Lake) -> int:
    (row,) = lake.query("SELECT sum(n)::BIGINT AS total FROM numbers", tables=["numbers"]).to_pylist()
    return int(row["total"])


def test_a_compaction_killed_at_any_time_loses_nothing_and_the_next_goes_on_at_once(
    tmp_path: Path, database_url: str, start_python: StartPython
) -> None:
    database = open_database(database_url)
    place = Place(home=tmp_path, database=database, lake=Lake(tmp_path / "lake"))
    fill(place.lake, 30)
    true, ended = total(place.lake), 0
    for milliseconds in (0, 5, 15, 40):
        process = start_python(_COMPACT, str(tmp_path), database_url)
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGKILL)
        ended += process.stdout.read() == "done\n"
        process.wait()
        assert total(place.lake) == true
    assert ended < 4
    lakekeeping.compact(place, "numbers")
    assert total(place.lake) == true
    assert lakekeeping.compact(place, "numbers") == 0
    # What the killed ones left in the folder goes with the next vacuum, however it came there.
    folder = tmp_path / "lake" / "numbers"
    long_ago = time.time() - YEARS.total_seconds()
    for file in folder.glob("*.parquet"):
        os.utime(file, (long_ago, long_ago))
    lakekeeping.vacuum(place, "numbers")
    assert total(place.lake) == true
    database.dispose()


def test_another_machine_waits_while_one_writes_and_the_same_home_waits_too(
    tmp_path: Path, database: Database
) -> None:
    with sole_writer(tmp_path / "here", database, "accounting"):
        for home in ("there", "here"):
            with (
                pytest.raises(Temporary, match="held by"),
                sole_writer(tmp_path / home, database, "accounting"),
            ):
                pytest.fail("two write at once")
        with sole_writer(tmp_path / "there", database, "lake-numbers"):
            pass
    with sole_writer(tmp_path / "there", database, "accounting"):
        pass


def test_the_lease_of_a_machine_that_died_runs_out(tmp_path: Path, database: Database) -> None:
    died = datetime.now(UTC) - timedelta(seconds=61)
    with database.begin() as conn:
        ledger.take_lease(conn, "writer:accounting", "elsewhere:/home", now=died, ttl_seconds=60)
    with sole_writer(tmp_path, database, "accounting"):
        pass


def test_files_that_no_version_needs_go_and_those_that_a_published_figure_names_stay(
    tmp_path: Path, sqlite_database: Database
) -> None:
    place = Place(home=tmp_path, database=sqlite_database, lake=Lake(tmp_path / "lake"))
    fill(place.lake, 3)
    evidence = place.lake.version("numbers")
    assert evidence is not None
    fill_more = pyarrow.table({"n": [7]})
    place.lake.append("numbers", fill_more, batch_id="later")
    assert lakekeeping.compact(place, "numbers") == 4
    assert lakekeeping.vacuum(place, "numbers") == 0
    assert place.lake.vacuum("numbers", older_than=timedelta(0), keep=[evidence], dry_run=True) == 1
    assert place.lake.vacuum("numbers", older_than=timedelta(0), keep=[evidence]) == 1
    then = place.lake.query("FROM numbers", tables=["numbers"], as_of_version={"numbers": evidence})
    assert len(then) == 3000
    with pytest.raises(InvalidInput, match="7 days"):
        lakekeeping.vacuum(place, "numbers", older_than=timedelta(days=6))


def test_the_days_that_are_replaced_are_replaced_whole_and_one_of_two_at_once_is_refused(
    tmp_path: Path,
) -> None:
    lake = Lake(tmp_path)
    monday, tuesday = date(2026, 11, 16), date(2026, 11, 17)
    rows = pyarrow.table({"day": [monday, monday, tuesday], "n": [1, 2, 3]})
    lake.replace("sums", rows, expect=None, partition="day", days=None, marks={"reached": 1})
    before = lake.version("sums")
    new = pyarrow.table({"day": [monday], "n": [9]})
    lake.replace("sums", new, expect=before, partition="day", days={monday}, marks={"reached": 2})
    with pytest.raises(Temporary, match="replaced by another"):
        lake.replace("sums", new, expect=before, partition="day", days={monday}, marks={"reached": 3})
    assert lake.query("SELECT n FROM sums ORDER BY n", tables=["sums"])["n"].to_pylist() == [3, 9]
    assert (lake.marks("sums", ["reached"]), lake.marks("sums", ["reached", "x"], version=before)) == (
        {"reached": 2},
        {"reached": 1},
    )
    at = lake.version("sums")
    lake.replace("sums", new, expect=at, partition="day", days=set(), marks={"reached": 4})
    assert lake.query("SELECT n FROM sums ORDER BY n", tables=["sums"])["n"].to_pylist() == [3, 9]
    assert lake.marks("sums", ["reached"]) == {"reached": 4}


def test_changes_are_told_from_the_log_and_compaction_is_none(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for name, day in (("a", date(2026, 11, 16)), ("b", date(2026, 11, 17)), ("c", date(2026, 11, 17))):
        lake.append("days", pyarrow.table({"day": [day], "n": [1]}), batch_id=name, partition_by=["day"])
    first = lake.changes("days", after=1, until=3)
    assert first is not None
    assert (first.batches, first.partitions) == ({"b", "c"}, {"2026-11-17"})
    assert lake.compact("days") == 2
    joined = lake.changes("days", after=3, until=4)
    assert joined is not None and not joined.partitions
    (tmp_path / "days" / "_delta_log" / f"{2:020}.json").unlink()
    assert lake.changes("days", after=1, until=4) is None


def test_a_published_figure_keeps_its_version_from_a_vacuum_after_years(
    tmp_path: Path, sqlite_database: Database
) -> None:
    place = Place(home=tmp_path, database=sqlite_database, lake=Lake(tmp_path / "lake"))
    fill(place.lake, 3)
    named = place.lake.version("numbers")
    place.lake.append("numbers", pyarrow.table({"n": [7]}), batch_id="later")
    lakekeeping.compact(place, "numbers")
    make_old(tmp_path / "lake" / "numbers")
    publish(sqlite_database, {"table": "numbers", "version": named})
    assert lakekeeping.vacuum(place, "numbers", dry_run=True) == 1
    assert lakekeeping.vacuum(place, "numbers") == 1
    then = place.lake.query("FROM numbers", tables=["numbers"], as_of_version={"numbers": named})
    assert len(then) == 3000


def make_old(folder: Path) -> None:
    """Files and what the log says of them, as if all had been years ago."""
    long_ago = time.time() - YEARS.total_seconds()
    for file in folder.glob("*.parquet"):
        os.utime(file, (long_ago, long_ago))
    for log in (folder / "_delta_log").glob("*.json"):
        log.write_text(
            re.sub(r'"deletionTimestamp":\d+', f'"deletionTimestamp":{long_ago * 1000:.0f}', log.read_text())
        )


def publish(database: Database, evidence: dict[str, Any]) -> None:
    """A report of one figure at least that rests on this evidence."""
    weeks = [
        replace(week_usage(name, week_rows(name, 1)), evidence=evidence) for name in ("2026-W46", "2026-W45")
    ]
    inputs = ReportInputs(vos=("cms",), usage=weeks[0], before=weeks[1])
    moment = datetime(2026, 11, 17, 9, tzinfo=UTC)
    with database.begin() as conn:
        published.publish(
            conn, build(inputs, "2026-W46", moment, moment), (), feed=7, who="production coordinator"
        )
