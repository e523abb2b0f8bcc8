"""What is new, known, and restated, told by digests."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opengoc.accounting import table
from opengoc.accounting.ingest import stow
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.reading import Reading
from opengoc.accounting.seen import Known, Sorted, without_separator
from opengoc.store.lake import Lake

END = datetime(2026, 11, 17, 12, tzinfo=UTC)


def record(job: str = "4711", **changes: Any) -> UsageRecord:
    values: dict[str, Any] = {
        "instance": "ce01",
        "global_job_id": job,
        "attempt": 0,
        "kind": Kind.BATCH,
        "site": "SITE-A",
        "resource": None,
        "vo": "cms",
        "user": None,
        "project": None,
        "queue": None,
        "submitted_at": None,
        "started_at": END - timedelta(hours=1),
        "ended_at": END,
        "wall_seconds": 3600.0,
        "cpu_user_seconds": None,
        "cpu_system_seconds": None,
        "processors": 1,
        "memory_mib": None,
        "status": "completed",
        "exit_code": 0,
        "exit_signal": None,
        "policy_digest": None,
        "pilot_id": None,
        "entry": None,
        "sequence": 1,
    }
    return UsageRecord(**(values | changes))


def columns(*records: UsageRecord) -> pyarrow.Table:
    return table.read_columns(records, [(n, 1) for n in range(len(records))])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    table.declare(lake)
    return lake


def store(lake: Lake, known: Known, batch: str, *records: UsageRecord) -> Sorted:
    reading = Reading(records=columns(*records), faults=(), end=len(records))
    return stow(
        lake,
        known,
        reading,
        source="test",
        batch_id=batch,
        known_from=END + timedelta(days=1),
        sha256="0" * 64,
    )


def counts(found: Sorted) -> tuple[int, int, int]:
    return found.stored, found.restated, found.duplicate


def test_a_record_is_new_once(lake: Lake) -> None:
    with Known(lake) as known:
        assert counts(store(lake, known, "a", record("1"), record("2"))) == (2, 0, 0)
        assert counts(store(lake, known, "b", record("2"), record("3"), record("3"))) == (1, 0, 2)
    with Known(lake) as known:
        assert counts(store(lake, known, "c", record("1"), record("3"))) == (0, 0, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"vo": "atlas"},
        {"wall_seconds": 3600.5},
        {"exit_code": None},
        {"vo": None},
        {"sequence": 2},
        {"jobs": 2},
    ],
)
def test_other_content_is_the_next_version_of_the_record(lake: Lake, changes: dict[str, Any]) -> None:
    with Known(lake) as known:
        store(lake, known, "a", record())
        found = store(lake, known, "b", record(**changes), record(), record(**changes))
        assert counts(found) == (0, 1, 2)
        assert found.stamps["version"].to_pylist() == [2]


def test_the_attempt_and_the_instance_make_another_record(lake: Lake) -> None:
    with Known(lake) as known:
        assert counts(store(lake, known, "a", record(), record(attempt=1), record(instance="ce02"))) == (
            3,
            0,
            0,
        )


def test_rows_of_the_batch_itself_are_not_known_before_it(lake: Lake) -> None:
    with Known(lake) as known:
        store(lake, known, "a", record())
    with Known(lake, without="a") as known:
        again = store(lake, known, "a", record())
    assert counts(again) == (1, 0, 0)
    assert lake.query(f"SELECT count(*) AS n FROM {table.TABLE}", tables=[table.TABLE])["n"].to_pylist() == [
        1
    ]


def test_a_text_with_the_separator_of_digests_is_spelt_out() -> None:
    told = without_separator(columns(record(vo="a\x1fsite=b")))
    assert told["vo"].to_pylist() == ["a\\x1fsite=b"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(
            record,
            st.sampled_from("abc"),
            vo=st.sampled_from(["cms", None]),
            wall_seconds=st.sampled_from([1.0, 2.0]),
        ),
        max_size=12,
    ),
    st.lists(st.integers(0, 12), max_size=3),
)
def test_however_records_are_cut_into_batches_the_same_versions_are_stored(
    tmp_path_factory: pytest.TempPathFactory, records: list[UsageRecord], cuts: list[int]
) -> None:
    found = []
    for number, bounds in enumerate(([], sorted(cuts))):
        lake = Lake(tmp_path_factory.mktemp("lakes") / str(number))
        table.declare(lake)
        edges = [0, *bounds, len(records)]
        with Known(lake) as known:
            for at, (start, end) in enumerate(itertools.pairwise(edges)):
                store(lake, known, f"batch-{at}", *records[start:end])
        rows = lake.query(
            f"SELECT global_job_id, vo, wall_seconds, version FROM {table.TABLE} ORDER BY ALL",
            tables=[table.TABLE],
        )
        found.append(rows.to_pylist())
    assert found[0] == found[1]
    assert len(found[0]) == len(set(records))
