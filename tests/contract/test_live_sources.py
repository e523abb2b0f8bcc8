"""Batch systems that are asked: what overlaps is stored once, a question that fails is no empty answer.

The programs stand in for Slurm's ``sacct`` where it would need its accounting database: they take its very
arguments, and print what the real one prints.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opengoc.accounting.adapters.sacct_command import SacctCommand
from opengoc.accounting.ingest import Collected, Counts, Stores
from opengoc.accounting.live import collect_live
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.accounting.state import State
from opengoc.accounting.table import TABLE
from opengoc.accounting.usage import Question, usage
from opengoc.base.interval import Interval
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.lake import Lake

NOW = datetime(2017, 1, 5, 12, tzinfo=UTC)
#: Answers as sacct does: the jobs of a file that ended within the window it is given.
SACCT = """
import os, sys
options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
assert os.environ["TZ"] == "UTC", os.environ.get("TZ")
assert "RS" in options["state"].split(","), options["state"]
assert "--allusers" in sys.argv and "--parsable2" in sys.argv and "--duplicates" in sys.argv
print(options["format"].replace(",", "|"))
for line in open(sys.argv[0] + ".jobs"):
    ended = line.split("|")[9]
    if options["starttime"] <= ended <= options["endtime"]:
        print(line, end="")
"""


def job(number: int, ended: datetime, *, name: str = "name") -> str:
    """A job of an hour on two processors, in the columns that are asked for."""
    start, end = (f"{each:%Y-%m-%dT%H:%M:%S}" for each in (ended - timedelta(hours=1), ended))
    values = [number, number, "phillips", "focaccia", "cms", "chaff", "noror", start, start, end, "01:00:00"]
    values += ["0:0", "COMPLETED", 1, 2, "cpn-f11-31", "00:30:00", "00:20:00", "00:10:00", "", name]
    return "|".join(str(each) for each in values) + "\n"


@dataclass
class Cluster:
    """A cluster's ``sacct``, and an installation that runs it."""

    program: Path
    stores: Stores
    feed: SacctCommand
    now: datetime = NOW
    jobs: list[str] = field(default_factory=list)
    time_zone: str = "UTC"

    def ended(self, number: int, hours_ago: float, **more: str) -> None:
        self.jobs.append(job(number, self.now - timedelta(hours=hours_ago), **more))
        self.program.with_name(self.program.name + ".jobs").write_text("".join(self.jobs))

    def says(self, program: str) -> None:
        self.program.write_text(f"#!{sys.executable}\n{program}")
        self.program.chmod(0o755)

    def collect(self) -> Collected:
        source = Source(
            name="slurm",
            format="sacct",
            path=Path(),
            kind=Kind.BATCH,
            site="SITE-A",
            time_zone=self.time_zone,
        )
        return collect_live(source, self.feed, self.stores, who="test", clock=lambda: self.now)

    def asked_since(self) -> datetime:
        """From when on the next question asks."""
        with self.stores.database.read() as conn:
            return self.feed.since(ledger.cursor(conn, "accounting:slurm"), self.now)

    def sums(self) -> tuple[int, float]:
        window = Interval(self.now - timedelta(days=60), self.now + timedelta(days=1))
        question = Question(window=window, by=(), kind=Kind.BATCH, as_of=self.now)
        rows = usage(self.stores.lake, question).rows
        return (rows[0].jobs, rows[0].core_seconds) if rows else (0, 0.0)


@pytest.fixture
def cluster(tmp_path: Path, database: Database) -> Cluster:
    stores = Stores(database=database, lake=Lake(tmp_path / "lake"), raw=RawStore(tmp_path / "raw"))
    program = tmp_path / "sacct"
    feed = SacctCommand(command=(str(program),), timeout_seconds=10.0, first=timedelta(days=3))
    made = Cluster(program=program, stores=stores, feed=feed)
    made.says(SACCT)
    made.jobs = []
    made.program.with_name("sacct.jobs").write_text("")
    return made


def test_what_ended_is_stored_once_though_questions_overlap(cluster: Cluster) -> None:
    cluster.ended(1, 70)
    cluster.ended(2, 30)
    cluster.ended(3, 1, name="a|b")
    assert cluster.collect().counts == Counts(stored=3)
    cluster.now += timedelta(minutes=5)
    assert cluster.collect().counts == Counts(duplicate=1)
    cluster.now += timedelta(minutes=5)
    # It ended before the last question, and came into the database after it.
    cluster.ended(4, 2)
    collected = cluster.collect()
    assert collected.counts == Counts(stored=1, duplicate=1)
    assert (collected.state.state, collected.state.read_through) == (State.OK, cluster.now)
    assert cluster.sums() == (4, 4 * 7200.0)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (
            "import sys; sys.exit('sacct: error: Connection refused')",
            "ended with 1: sacct: error: Connection",
        ),
        ("", "printed no header of columns: it said no word"),
        ("import time; time.sleep(60)", "gave no answer within 0.5 s and was ended"),
        ("import sys; sys.stdout.buffer.write(bytes(range(256)))", "printed no header"),
    ],
    ids=["refused", "nothing", "hangs", "noise"],
)
def test_a_question_that_fails_leaves_the_source_unread_and_is_asked_again(
    cluster: Cluster, program: str, reason: str
) -> None:
    cluster.ended(1, 1)
    cluster.collect()
    read_through = cluster.now
    cluster.now += timedelta(hours=10)
    cluster.ended(2, 8)
    cluster.says(program)
    cluster.feed = SacctCommand(command=cluster.feed.command, timeout_seconds=0.5, first=cluster.feed.first)
    failed = cluster.collect()
    assert (failed.state.state, failed.counts) == (State.MISSING, Counts())
    assert reason in failed.state.reason
    assert failed.state.read_through == read_through
    cluster.says(SACCT)
    cluster.feed = SacctCommand(command=cluster.feed.command, first=cluster.feed.first)
    assert cluster.collect().counts == Counts(stored=1, duplicate=1)


def test_a_command_that_is_not_there_is_said(cluster: Cluster) -> None:
    cluster.program.unlink()
    reason = cluster.collect().state.reason
    assert reason == f"{cluster.program} cannot be run: No such file or directory"


def test_a_clock_that_was_set_back_opens_no_hole(cluster: Cluster) -> None:
    cluster.ended(1, 1)
    cluster.collect()
    cluster.now -= timedelta(days=2)
    assert cluster.collect().counts == Counts()
    cluster.now += timedelta(days=2, hours=1)
    cluster.ended(2, 0.5)
    assert cluster.collect().counts == Counts(stored=1, duplicate=1)


def test_ends_that_come_after_a_long_outage_are_found_though_it_was_asked_too_early(cluster: Cluster) -> None:
    """slurmdbd is back and answers; slurmctld tells it some seconds later what ended meanwhile."""
    cluster.collect()
    cluster.now += timedelta(hours=20)
    assert cluster.collect().counts == Counts()
    cluster.now += timedelta(minutes=5)
    cluster.ended(1, 15)
    assert cluster.collect().counts == Counts(stored=1)
    # It is asked over again for as long as questions overlap, and then no more.
    for _ in range(2):
        cluster.now += timedelta(hours=2)
        assert cluster.collect().counts == Counts(duplicate=1)
    cluster.now += timedelta(hours=2)
    assert cluster.collect().counts == Counts()
    assert cluster.asked_since() == cluster.now - timedelta(hours=6)


def test_questions_that_are_always_far_apart_do_not_reach_back_ever_farther(cluster: Cluster) -> None:
    for _ in range(12):
        cluster.collect()
        cluster.now += timedelta(hours=4)
    assert cluster.asked_since() > cluster.now - timedelta(hours=20)


def test_times_are_utc_whatever_zone_the_source_has_for_its_logs(cluster: Cluster) -> None:
    cluster.ended(1, 1)
    cluster.time_zone = "Europe/Berlin"
    cluster.collect()
    (row,) = cluster.stores.lake.query(f"SELECT ended_at FROM {TABLE}", tables=[TABLE]).to_pylist()
    assert row["ended_at"] == cluster.now - timedelta(hours=1)


def test_a_run_that_is_killed_after_the_rows_are_in_stores_them_once(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.ended(1, 60)
    cluster.ended(2, 1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("opengoc.accounting.live.ledger.move_cursor", killed)
        with pytest.raises(KeyboardInterrupt):
            cluster.collect()
    assert cluster.collect().counts == Counts(stored=1, duplicate=1)
    assert cluster.sums() == (2, 2 * 7200.0)
