"""Probe results: kept once, answered as known at any time, newest first. On SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opengoc.base.interval import Interval
from opengoc.monitoring import store
from opengoc.monitoring.current import STATUS_FACT, current_statuses
from opengoc.monitoring.model import CurrentStatus, ProbeResult, RunOutcome, Status, Target
from opengoc.store.database import Database, open_database
from opengoc.store.facts import history
from opengoc.store.lake import Lake

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
DAY = Interval(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 17, tzinfo=UTC))
CE = Target("ITB-CE", "CE")
MINUTE = timedelta(minutes=1)


def result(minute: int, status: Status = Status.OK, *, metric: str = "ce-job", line: str = "") -> ProbeResult:
    return ProbeResult(
        metric=metric,
        resource=CE.resource,
        service=CE.service,
        status=status,
        at=NOON + minute * MINUTE,
        summary=line or f"{status} at minute {minute}",
        duration_seconds=1.5,
        agent="goc.example.org",
    )


class Kept:
    """An open lake and database, and a record function with increasing known times."""

    def __init__(self, lake: Lake, database: Database) -> None:
        self.lake, self.database = lake, database
        store.declare(lake)
        self._batches = 0

    def record(self, *results: ProbeResult, batch: str = "", known: int = 600) -> bool:
        self._batches += 1
        return store.record(
            self.lake,
            self.database,
            results,
            batch_id=batch or f"batch-{self._batches}",
            known_at=NOON + known * MINUTE,
            who="prober",
        )

    def current(self) -> CurrentStatus:
        (status,) = current_statuses(self.lake, self.database, now=NOON + 600 * MINUTE)
        return status


@pytest.fixture
def kept(tmp_path: Path, database: Database) -> Kept:
    return Kept(Lake(tmp_path / "lake"), database)


def test_what_is_recorded_is_read_back_whole(kept: Kept) -> None:
    told = ProbeResult(
        metric="ce-job",
        resource="ITB-CE",
        service="CE",
        status=Status.UNKNOWN,
        at=NOON,
        summary="no answer within 60 s",
        detail="line one\nline two",
        duration_seconds=60.25,
        agent="goc.example.org",
        outcome=RunOutcome.TIMEOUT,
    )
    assert kept.record(told)
    assert store.results(kept.lake, DAY) == [told]


def test_a_batch_goes_in_once(kept: Kept) -> None:
    assert kept.record(result(0), batch="run-1")
    assert not kept.record(result(0), batch="run-1")
    assert len(store.results(kept.lake, DAY)) == 1


def test_nothing_is_there_before_the_first_result(kept: Kept) -> None:
    assert store.results(kept.lake, DAY) == []
    assert store.samples(kept.lake, DAY) == {}
    assert current_statuses(kept.lake, kept.database, now=NOON) == []


def test_the_window_is_half_open(kept: Kept) -> None:
    kept.record(result(0), result(1), result(2))
    window = Interval(NOON, NOON + 2 * MINUTE)
    assert [r.at for r in store.results(kept.lake, window)] == [NOON, NOON + MINUTE]


def test_samples_are_the_results_as_seconds(kept: Kept) -> None:
    kept.record(result(0), result(1, Status.CRITICAL), result(0, metric="ping"))
    got = store.samples(kept.lake, DAY)
    first = int(NOON.timestamp())
    assert {metric: sorted(samples) for metric, samples in got[CE].items()} == {
        "ce-job": [(first, Status.OK), (first + 60, Status.CRITICAL)],
        "ping": [(first, Status.OK)],
    }


def test_a_late_result_is_not_known_before_it_came(kept: Kept) -> None:
    kept.record(result(0), known=1)
    kept.record(result(-30, Status.CRITICAL), known=90)
    early = store.results(kept.lake, DAY, as_of=NOON + 60 * MINUTE)
    assert [r.status for r in early] == [Status.OK]
    assert [r.status for r in store.results(kept.lake, DAY)] == [Status.CRITICAL, Status.OK]


def test_the_status_is_the_newest_result_with_the_time_since_when(kept: Kept) -> None:
    kept.record(result(0, Status.CRITICAL))
    kept.record(result(10))
    kept.record(result(20, line="ran in 4 s"))
    status = kept.current()
    assert (status.status, status.since, status.at, status.summary) == (
        Status.OK,
        NOON + 10 * MINUTE,
        NOON + 20 * MINUTE,
        "ran in 4 s",
    )


def test_an_older_result_never_replaces_a_newer_one(kept: Kept) -> None:
    kept.record(result(20))
    kept.record(result(5, Status.CRITICAL))
    status = kept.current()
    assert (status.status, status.at, status.since) == (
        Status.OK,
        NOON + 20 * MINUTE,
        NOON + 20 * MINUTE,
    )


def test_a_change_of_status_is_one_fact_and_no_change_is_none(kept: Kept) -> None:
    for minute, status in enumerate([Status.OK, Status.OK, Status.CRITICAL, Status.CRITICAL, Status.OK]):
        kept.record(result(minute, status))
    with kept.database.read() as conn:
        facts = history(conn, STATUS_FACT, '["ITB-CE","CE","ce-job"]')
    assert [(fact.value or {})["status"] for fact in facts] == ["OK", "CRITICAL", "OK"]
    assert [fact.valid.start for fact in facts] == [NOON, NOON + 2 * MINUTE, NOON + 4 * MINUTE]


def test_a_process_killed_between_lake_and_facts_leaves_nothing_wrong(kept: Kept, tmp_path: Path) -> None:
    kept.record(result(0))
    # As a killed process leaves it: the batch is in the lake, the facts know nothing of it.
    elsewhere = open_database(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    Kept(kept.lake, elsewhere).record(result(1, Status.CRITICAL), batch="killed")
    elsewhere.dispose()
    assert kept.current().status is Status.CRITICAL
    assert not kept.record(result(1, Status.CRITICAL), batch="killed")
    with kept.database.read() as conn:
        assert len(history(conn, STATUS_FACT, '["ITB-CE","CE","ce-job"]')) == 2


def test_a_status_older_than_the_lake_is_looked_through_is_still_told(kept: Kept) -> None:
    kept.record(result(0, Status.WARNING))
    later = NOON + timedelta(days=30)
    (status,) = current_statuses(kept.lake, kept.database, now=later)
    assert (status.status, status.at) == (Status.WARNING, NOON)


def test_two_writers_at_once_both_get_through(
    kept: Kept, together: Callable[[int, Callable[[int], object]], list[object]]
) -> None:
    ends = together(4, lambda n: kept.record(result(n, list(Status)[n % 3]), batch=f"writer-{n}", known=600))
    assert ends == [True] * 4
    assert kept.current().at == NOON + 3 * MINUTE


@given(
    order=st.permutations(
        [(0, Status.OK), (1, Status.CRITICAL), (2, Status.CRITICAL), (3, Status.OK), (3, Status.WARNING)]
    ),
    cut=st.integers(1, 4),
)
@settings(max_examples=8)
def test_the_order_of_arrival_makes_no_difference_to_the_status(
    tmp_path_factory: pytest.TempPathFactory, order: list[tuple[int, Status]], cut: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    kept = Kept(Lake(home / "lake"), open_database(f"sqlite:///{home / 'goc.db'}"))
    for part in (order[:cut], order[cut:]):
        kept.record(*(result(minute, status) for minute, status in part))
    status = kept.current()
    kept.database.dispose()
    assert (status.status, status.since) == (Status.WARNING, NOON + 3 * MINUTE)
