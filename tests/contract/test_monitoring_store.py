"""Probe results: kept once, answered as known at any time, newest first. On SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring import store
from opengoc.monitoring.current import STATUS_FACT, current_statuses
from opengoc.monitoring.model import MEASURED, CurrentStatus, ProbeResult, RunOutcome, Status, Target
from opengoc.monitoring.profile import CarriedDaily, FreshFor
from opengoc.monitoring.table import TABLE, rows
from opengoc.monitoring.timeline import GRAVITY, Reading, Sample, in_order
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


def one_by_one(samples: list[Sample], standing: FreshFor | CarriedDaily) -> list[Reading]:
    """What ``readings`` gives of one metric, put together in the plainest way."""
    found: list[Reading] = []
    for at, status in in_order(samples):
        first, last, before = found[-1] if found else (at, at, None)
        if isinstance(standing, FreshFor):
            apart = at - last >= standing.seconds or status is Status.UNKNOWN
        else:
            apart = at // SECONDS_PER_DAY != last // SECONDS_PER_DAY
        if status is before and not apart:
            found[-1] = (first, at, status)
        else:
            found.append((at, at, status))
    return found


@given(
    told=st.lists(
        st.tuples(
            st.sampled_from(["ITB-CE", "ITB-SE"]),
            st.sampled_from(["ce-job", "ping"]),
            # Within seconds of one another, as far apart as a result stands, and on both sides of midnight.
            st.sampled_from([0, 1, 2, 99, 100, 101, 199, 200, 201, 43_199, 43_200, 43_201, 129_600]),
            st.sampled_from(sorted(MEASURED)),
        ),
        max_size=40,
    ),
    standing=st.sampled_from(
        [
            CarriedDaily(absent=Status.MISSING),
            FreshFor(seconds=100, ignore_unknown=True, absent=Status.UNKNOWN),
            FreshFor(seconds=1, ignore_unknown=False, absent=Status.UNKNOWN),
        ]
    ),
)
@settings(max_examples=40, deadline=None)
def test_readings_are_the_samples_put_together(
    tmp_path_factory: pytest.TempPathFactory,
    told: list[tuple[str, str, int, Status]],
    standing: FreshFor | CarriedDaily,
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    store.declare(lake)
    results = [
        replace(
            result(0, status, metric=metric), resource=resource, at=NOON + timedelta(seconds=after, days=-1)
        )
        for resource, metric, after, status in told
    ]
    window = Interval(DAY.start - timedelta(days=1), DAY.end)
    # In two batches: of one second, the results may lie in either.
    for batch, some in enumerate((results[::2], results[1::2])):
        lake.append(TABLE, rows(some, NOON), batch_id=f"{batch}", partition_by=["day"])
    assert store.readings(lake, window, standing) == {
        target: {metric: one_by_one(samples, standing) for metric, samples in by_metric.items()}
        for target, by_metric in store.samples(lake, window).items()
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


@given(
    told=st.lists(
        st.tuples(st.sampled_from(["ce-job", "ping"]), st.integers(0, 6), st.sampled_from(sorted(MEASURED))),
        min_size=1,
        max_size=16,
    )
)
@settings(max_examples=30, deadline=None)
def test_since_when_is_the_first_answer_after_the_last_other_one(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, int, Status]]
) -> None:
    home = tmp_path_factory.mktemp("home")
    kept = Kept(Lake(home / "lake"), open_database(f"sqlite:///{home / 'goc.db'}"))
    kept.record(*(result(minute, status, metric=metric) for metric, minute, status in told))
    found = current_statuses(kept.lake, kept.database, now=NOON + 600 * MINUTE)
    assert [status.metric for status in found] == sorted({metric for metric, *_ in told})
    for status in found:
        answers = {(minute, said) for metric, minute, said in told if metric == status.metric}
        newest = max(answers, key=lambda answer: (answer[0], GRAVITY[answer[1]]))
        turned = max((m for m, said in answers if said is not newest[1] and m < newest[0]), default=-1)
        since = min(m for m, said in answers if said is newest[1] and m > turned)
        assert (status.at, status.status) == (NOON + newest[0] * MINUTE, newest[1])
        assert status.since == NOON + since * MINUTE
    kept.database.dispose()


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
