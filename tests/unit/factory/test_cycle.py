"""What a cycle leaves behind, and when there is nothing left to do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.factory.world import NOW

from opengoc.base.errors import Permanent
from opengoc.factory.cycle import Cycle, History, Queue, Source, read_status, write_status
from opengoc.factory.loop import is_done
from opengoc.factory.model import EntryRow, Limit
from opengoc.store.lake import Lake

ROW = EntryRow(
    entry="A",
    vo="cms",
    matching_jobs=8,
    requested=4,
    allowed=2,
    limit=Limit.MAX_IDLE,
    detail="2 waiting pilots",
    idle=0,
    running=1,
    held=0,
    free_slots=0,
)
CYCLE = Cycle(
    at=NOW,
    seconds=0.25,
    digest="d" * 64,
    frozen="",
    sources=(Source(name="jobs of pool", taken_at=NOW, complete=True, error="", count=8),),
    rows=(ROW, replace(ROW, vo="ligo", matching_jobs=0)),
    submitted={("A", "cms"): 2},
    removed=0,
    collected=1,
    idle_jobs=8,
    running_jobs=2,
    unmatched_jobs=0,
    pilots=1,
    failures=("factory: submit failed",),
    queues=(Queue(vo="cms", idle=8, running=2), Queue(vo="ligo", idle=0, running=0)),
)
IDLE = replace(CYCLE, idle_jobs=0, running_jobs=0, pilots=0, submitted={})


def test_the_status_reads_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    write_status(tmp_path, CYCLE)
    found = read_status(tmp_path)
    assert found is not None
    assert replace(found, submitted={k: v for k, v in found.submitted.items() if v}) == CYCLE
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_the_history_keeps_changes_and_a_sign_of_life(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    history = History(lake)
    assert history.write(CYCLE) == 4
    assert history.write(replace(CYCLE, at=NOW + timedelta(seconds=30))) == 0
    changed = (replace(ROW, running=3), CYCLE.rows[1])
    assert history.write(replace(CYCLE, at=NOW + timedelta(seconds=60), rows=changed)) == 1
    assert history.write(replace(CYCLE, at=NOW + timedelta(minutes=11), rows=changed)) == 4
    kept = lake.query(
        'select vo, running, submitted, "limit" from factory_cycles order by cycle_at, vo',
        [],
        tables=["factory_cycles"],
    ).to_pylist()
    assert [(row["vo"], row["running"], row["submitted"]) for row in kept] == [
        ("cms", 1, 2),
        ("ligo", 1, 0),
        ("cms", 3, 2),
        ("cms", 3, 2),
        ("ligo", 1, 0),
    ]
    assert {row["limit"] for row in kept} == {"max_idle"}


def test_it_is_done_when_no_job_can_run_and_no_pilot_is_left() -> None:
    assert is_done(IDLE)
    lost = Source(name="slots", taken_at=NOW, complete=False, error="no answer", count=0)
    for busy in (
        replace(IDLE, idle_jobs=1),
        replace(IDLE, running_jobs=1),
        replace(IDLE, pilots=1),
        replace(IDLE, submitted={("A", "cms"): 1}),
        replace(IDLE, frozen="no answer"),
        replace(IDLE, sources=(lost,)),
    ):
        assert not is_done(busy)


def test_jobs_that_match_no_entry_end_it_with_an_error() -> None:
    with pytest.raises(Permanent, match="3 idle jobs match no enabled entry"):
        is_done(replace(IDLE, idle_jobs=3, unmatched_jobs=3))
    assert not is_done(replace(IDLE, idle_jobs=4, unmatched_jobs=3))


def samples(lake: Lake) -> list[tuple[str, int, int, bool]]:
    rows = lake.query(
        "select vo, idle, running, complete from queue_samples order by cycle_at, vo",
        [],
        tables=["queue_samples"],
    ).to_pylist()
    return [(row["vo"], row["idle"], row["running"], row["complete"]) for row in rows]


def test_the_queues_of_the_vos_are_kept_when_they_change(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    history = History(lake)
    only_queues = replace(CYCLE, rows=(), queues=(Queue(vo="cms", idle=8, running=2),))
    assert history.write(only_queues) == 1
    assert history.write(replace(only_queues, at=NOW + timedelta(seconds=5))) == 0
    # The last job ended, and no entry serves the VO any more.
    assert history.write(replace(only_queues, at=NOW + timedelta(seconds=10), queues=())) == 1
    assert history.write(replace(only_queues, at=NOW + timedelta(seconds=15), queues=())) == 0
    assert samples(lake) == [("cms", 8, 2, True), ("cms", 0, 0, True)]


def test_a_vo_is_not_said_to_have_no_job_while_a_queue_is_silent(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    history = History(lake)
    history.write(replace(CYCLE, rows=()))
    silent = replace(CYCLE, at=NOW + timedelta(seconds=5), rows=(), queues=(), queues_complete=False)
    assert history.write(silent) == 0
    assert samples(lake) == [("cms", 8, 2, True), ("ligo", 0, 0, True)]


def test_the_status_of_a_release_that_kept_no_queues_is_read(tmp_path: Path) -> None:
    write_status(tmp_path, CYCLE)
    content = json.loads((tmp_path / "status.json").read_text())
    del content["queues"], content["queues_complete"]
    (tmp_path / "status.json").write_text(json.dumps(content))
    found = read_status(tmp_path)
    assert found is not None
    assert found.queues == ()
