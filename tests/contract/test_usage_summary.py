"""The summary gives what the records give, whatever came since, and never less than was known."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opengoc.accounting import corrections, summary, table
from opengoc.accounting.corrections import Correction, Field
from opengoc.accounting.ingest import stow
from opengoc.accounting.model import MAX_BYTES, Kind, UsageRecord
from opengoc.accounting.reading import Reading
from opengoc.accounting.seen import Known
from opengoc.accounting.summary_table import SUMMARY, SUMMARY_TABLE
from opengoc.accounting.usage import Pilot, Question, UsageRow, answer, usage
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.store.database import Database, open_database
from opengoc.store.engine import DuckDb
from opengoc.store.lake import Lake

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
WEEK = Interval(MONDAY, MONDAY + timedelta(days=7))
RECORD = UsageRecord(
    instance="ce01", global_job_id="1", attempt=0, kind=Kind.BATCH, site="SITE-A", resource="CE-A", vo="cms",
    user="user1", project="old", queue="grid", submitted_at=None, started_at=None, ended_at=MONDAY,
    wall_seconds=3600.0, cpu_user_seconds=1800.0, cpu_system_seconds=None, processors=4, memory_mib=None,
    status="completed", exit_code=0, exit_signal=None, policy_digest=None, pilot_id=None, entry=None,
    sequence=1, benchmark="HS06", benchmark_value=10.5,
)  # fmt: skip
GRANT = replace(RECORD, kind=Kind.GRANT, vo="granted")
PILOTS = (Pilot(id="p1", vo="glow", entry="entry-1"),)
#: Every dimension that the summary tells apart.
BY = [("vo", "site", "day"), ("source", "entry"), ("country", "project"), ("queue", "status", "week"), ()]
RULES = [
    Correction(scope={"vo": "cms"}, field=Field.VO, value="CMS"),
    Correction(scope={"vo": "cms", "site": "SITE-B"}, field=Field.VO, value="cms-b"),
    Correction(scope={"source": "a"}, field=Field.PROCESSORS, value="2"),
    Correction(
        scope={"site": "SITE-A"}, field=Field.HS06, value="9.5", valid=Interval(MONDAY + timedelta(days=2))
    ),
]


@dataclass(kw_only=True)
class Installation:
    """A lake and a database, and what is done to them."""

    lake: Lake
    database: Database
    batches: int = 0
    rules: set[int] = field(default_factory=set)

    def store(self, source: str, *records: UsageRecord) -> None:
        self.batches += 1
        columns = table.read_columns(records, [(n, 1) for n in range(len(records))])
        reading = Reading(records=columns, faults=(), end=len(records))
        with Known(self.lake) as known:
            name, now = f"b{self.batches}", utc_now()
            stow(self.lake, known, reading, source=source, batch_id=name, known_from=now, sha256="0" * 64)

    def turn(self, number: int) -> None:
        """State a rule, or take it back."""
        rule = RULES[number]
        with self.database.begin() as conn:
            if number in self.rules:
                corrections.withdraw(conn, rule.key, who="officer", why="was wrong")
            else:
                corrections.add(conn, [rule], who="officer", why="as the VO wrote")
        self.rules ^= {number}

    def question(self, by: tuple[str, ...], *, as_of: datetime | None = None) -> Question:
        moment = as_of or utc_now()
        with self.database.read() as conn:
            rules = corrections.standing(conn, known_at=moment)
        return Question(
            window=WEEK, by=by, kind=None, as_of=moment, pilots=PILOTS, countries={"SITE-A": "Italy"},
            corrections=rules,
        )  # fmt: skip

    def records_say(self, question: Question) -> tuple[UsageRow, ...]:
        with DuckDb(self.lake, table.TABLE) as engine:
            return answer(engine, question)


@pytest.fixture
def here(tmp_path: Path, sqlite_database: Database) -> Installation:
    lake = Lake(tmp_path / "lake")
    table.declare(lake)
    return Installation(lake=lake, database=sqlite_database)


@st.composite
def batches(draw: st.DrawFn) -> tuple[str, list[UsageRecord]]:
    """Some records of a source; ids are few, so that most are told again, with another day, kind or VO."""
    one = st.builds(
        lambda number, day, **more: replace(
            RECORD, global_job_id=f"host#{number}.0#1", ended_at=MONDAY + timedelta(days=day, hours=1), **more
        ),
        number=st.integers(1, 6),
        day=st.integers(0, 3),
        vo=st.sampled_from(["cms", "atlas", None]),
        site=st.sampled_from(["SITE-A", "SITE-B", None]),
        kind=st.sampled_from([Kind.BATCH, Kind.PILOT, Kind.PAYLOAD]),
        pilot_id=st.sampled_from([None, "p1", "stray"]),
        entry=st.sampled_from([None, "own"]),
        cpu_user_seconds=st.sampled_from([None, 1.0, 99999.0]),
        sequence=st.integers(0, 3),
    )
    grant = st.builds(
        lambda number, day: replace(
            GRANT, global_job_id=str(number), ended_at=MONDAY + timedelta(days=day)
        ),
        number=st.integers(1, 6),
        day=st.integers(-2, 3),
    )  # fmt: skip
    records = draw(st.lists(st.one_of(one, one, one, grant), min_size=1, max_size=5))
    return draw(st.sampled_from(["a", "b"])), records


STEPS = st.lists(
    st.one_of(batches(), batches(), st.integers(0, len(RULES) - 1), st.sampled_from(["refresh", "compact"])),
    min_size=2,
    max_size=7,
)


@settings(max_examples=6)
@given(steps=STEPS)
def test_summary_and_records_say_the_same_after_anything(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        table.declare(lake)
        here = Installation(lake=lake, database=open_database(f"sqlite:///{folder}/goc.db"))
        here.store("a", RECORD)
        for step in steps:
            if step == "refresh":
                summary.refresh(lake, here.database)
            elif step == "compact":
                lake.compact(table.TABLE)
            elif isinstance(step, int):
                here.turn(step)
            else:
                here.store(step[0], *step[1])
        summary.refresh(lake, here.database)
        for by in BY:
            question = here.question(by)
            summed = usage(lake, question)
            assert summed.summary_version is not None
            assert summed.rows == here.records_say(question), by
        here.database.dispose()


def test_the_summary_is_asked_only_for_what_it_reaches(here: Installation) -> None:
    here.store("a", RECORD)
    before = utc_now()
    assert usage(here.lake, here.question(())).summary_version is None
    here.store("a", replace(RECORD, sequence=2, wall_seconds=7.0))
    summary.refresh(here.lake, here.database)
    assert usage(here.lake, here.question(())).summary_version is not None
    for question in (
        here.question(("user",)),
        here.question((), as_of=before),
        replace(here.question(()), window=Interval(MONDAY, MONDAY + timedelta(hours=12))),
    ):
        answered = usage(here.lake, question)
        assert answered.summary_version is None
        assert answered.rows == here.records_say(question)
    assert usage(here.lake, here.question((), as_of=before)).rows[0].wall_seconds == 3600.0
    here.turn(0)
    assert usage(here.lake, here.question(())).summary_version is None
    summary.refresh(here.lake, here.database)
    here.store("b", replace(RECORD, global_job_id="2"))
    assert usage(here.lake, here.question(())).summary_version is None


def test_only_partitions_that_changed_are_computed(here: Installation) -> None:
    days = [replace(RECORD, global_job_id=str(n), ended_at=MONDAY + timedelta(days=n)) for n in range(5)]
    here.store("a", *days)
    here.store("b", replace(RECORD, global_job_id="b", site="SITE-B", vo="atlas"))
    first = summary.refresh(here.lake, here.database)
    assert (first.rebuilt, first.partitions) == (True, 6)
    # A job that another source tells of again, later: its old day and source lose it.
    here.store("b", replace(days[1], ended_at=MONDAY + timedelta(days=6), sequence=2))
    assert summary.refresh(here.lake, here.database).partitions == 2
    here.turn(1)
    assert summary.refresh(here.lake, here.database).partitions == 0
    here.turn(3)
    assert summary.refresh(here.lake, here.database).partitions == 4
    here.lake.compact(table.TABLE)
    assert summary.refresh(here.lake, here.database).partitions == 0


def test_other_sources_of_a_day_stay_and_a_grant_that_comes_later_is_applied(here: Installation) -> None:
    job = replace(RECORD, global_job_id="host#4711.0#1", vo=None, ended_at=MONDAY + timedelta(days=5))
    here.store("a", RECORD, job)
    here.store("b", replace(RECORD, global_job_id="b"))
    summary.refresh(here.lake, here.database)
    here.store("c", replace(GRANT, global_job_id="4711"))
    # Its own day and source, and those of the job.
    assert summary.refresh(here.lake, here.database).partitions == 2
    here.store("a", replace(RECORD, global_job_id="2"))
    assert summary.refresh(here.lake, here.database).partitions == 1
    question = here.question(("vo", "source", "day"))
    answered = usage(here.lake, question)
    assert answered.summary_version is not None
    assert answered.rows == here.records_say(question)
    assert [(*row.dimensions.values(), row.jobs) for row in answered.rows] == [
        ("cms", "a", "2026-11-16", "batch", 2),
        ("cms", "b", "2026-11-16", "batch", 1),
        ("granted", "a", "2026-11-21", "batch", 1),
    ]


def test_a_database_that_was_put_back_makes_the_summary_anew(here: Installation, tmp_path: Path) -> None:
    here.store("a", RECORD)
    here.turn(0)
    summary.refresh(here.lake, here.database)
    older = open_database(f"sqlite:///{tmp_path / 'older.db'}")
    assert summary.refresh(here.lake, older).rebuilt
    question = replace(here.question(("vo",)), corrections=())
    assert usage(here.lake, question).rows == here.records_say(question)
    older.dispose()


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def killed_after(*, lines: int) -> Iterator[list[bool]]:
    """End the block after so many lines of the summary's and the lake's code; the list then holds True."""
    left, killed = lines, list[bool]()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(("accounting/summary.py", "store/lake.py")):
            return None
        if event == "line":
            left -= 1
            if left < 0 and not killed:
                killed.append(True)
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield killed
    except Killed:
        pass
    finally:
        sys.settrace(before)


def test_a_refresh_killed_at_any_line_leaves_no_wrong_sums(here: Installation) -> None:
    here.store("a", RECORD, replace(RECORD, global_job_id="2", ended_at=MONDAY + timedelta(days=1)))
    summary.refresh(here.lake, here.database)
    here.store("b", replace(RECORD, sequence=2, wall_seconds=7.0))
    here.turn(0)
    question = here.question(("vo", "source", "day"))
    true = here.records_say(question)
    kills = 0
    while True:
        with killed_after(lines=kills) as killed:
            summary.refresh(here.lake, here.database)
        assert usage(here.lake, question).rows == true, f"killed at line {kills}"
        if not killed:
            break
        # Every line would take minutes.
        kills += 31
    assert kills > 100
    assert usage(here.lake, question).summary_version is not None


def test_a_summary_of_an_earlier_release_with_columns_of_other_types_is_built_anew(
    here: Installation, tmp_path: Path
) -> None:
    moved = replace(RECORD, kind=Kind.TRANSFER, bytes=MAX_BYTES)
    here.store("a", *(replace(moved, global_job_id=str(n)) for n in range(16)))
    bytes_ = SUMMARY.get_field_index("bytes")
    earlier = SUMMARY.set(bytes_, pyarrow.field("bytes", pyarrow.int64())).empty_table()
    marks = {f"{name}/1": 1 for name in ("version", "known", "rules", "change")}
    old = Lake(tmp_path / "lake")
    old.replace(SUMMARY_TABLE, earlier, expect=None, partition=table.PARTITION, days=None, marks=marks)

    asked = here.question(("vo",))
    assert usage(here.lake, asked).rows == here.records_say(asked)
    assert summary.refresh(here.lake, here.database).rebuilt
    asked = here.question(("vo",))
    answered = usage(here.lake, asked)
    assert answered.summary_version is not None
    assert answered.rows == here.records_say(asked)
    assert [row.bytes for row in answered.rows] == [16 * MAX_BYTES]


def test_a_summary_that_was_removed_is_built_anew(here: Installation, tmp_path: Path) -> None:
    here.store("a", RECORD)
    assert summary.refresh(here.lake, here.database).rebuilt
    shutil.rmtree(tmp_path / "lake" / SUMMARY_TABLE)
    asked = here.question(("vo",))
    assert (usage(here.lake, asked).summary_version, usage(here.lake, asked).rows[0].jobs) == (None, 1)
    assert summary.refresh(here.lake, here.database).rebuilt
    assert usage(here.lake, here.question(("vo",))).summary_version is not None
