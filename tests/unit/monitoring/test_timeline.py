"""Timelines: exact seconds, whatever the order of arrival."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.errors import InvalidInput
from opengoc.monitoring.model import MEASURED, Status
from opengoc.monitoring.profile import (
    ARGO_EGI,
    RSV_OSG,
    CarriedDaily,
    FreshFor,
    Precedence,
)
from opengoc.monitoring.timeline import (
    Sample,
    Timeline,
    combine,
    constant,
    from_changes,
    in_order,
    lay_over,
    needed,
    reading_timeline,
    totals,
)

DAY = 86_400
START = 20_000 * DAY
OK, WARNING, CRITICAL = Status.OK, Status.WARNING, Status.CRITICAL
UNKNOWN, MISSING, DOWNTIME, EXCLUDED = Status.UNKNOWN, Status.MISSING, Status.DOWNTIME, Status.EXCLUDED
FRESH = FreshFor(seconds=100, ignore_unknown=True, absent=UNKNOWN)
DAILY = CarriedDaily(absent=MISSING)

states = st.sampled_from(sorted(MEASURED))
samples = st.lists(st.tuples(st.integers(START - 3 * DAY, START + 3 * DAY), states), max_size=30)
standings = st.sampled_from(
    [ARGO_EGI.standing, RSV_OSG.standing, FRESH, FreshFor(seconds=DAY, ignore_unknown=False, absent=MISSING)]
)
tables = st.sampled_from([ARGO_EGI.endpoint, ARGO_EGI.levels[0].table, RSV_OSG.endpoint])


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    changes = draw(
        st.lists(st.tuples(st.integers(START, START + 50), st.sampled_from(list(Status))), max_size=8)
    )
    return from_changes([(START, draw(st.sampled_from(list(Status)))), *sorted(changes)], START, START + 50)


def metric_timeline(
    results: list[Sample], standing: FreshFor | CarriedDaily, start: int, end: int
) -> Timeline:
    return reading_timeline([(at, at, status) for at, status in in_order(results)], standing, start, end)


def state_at(timeline: Timeline, second: int) -> Status:
    return [state for at, state in timeline.changes if at <= second][-1]


@given(samples, standings, st.randoms(use_true_random=False))
def test_order_and_repeats_of_results_make_no_difference(
    results: list[Sample], standing: FreshFor | CarriedDaily, random: st.Random
) -> None:
    shuffled = results + results[: len(results) // 2]
    random.shuffle(shuffled)
    straight = metric_timeline(sorted(results), standing, START, START + DAY)
    assert metric_timeline(shuffled, standing, START, START + DAY) == straight


@given(samples, standings, st.integers(START - DAY, START + DAY), st.integers(1, 2 * DAY))
def test_results_outside_what_is_needed_make_no_difference(
    results: list[Sample], standing: FreshFor | CarriedDaily, start: int, length: int
) -> None:
    first, last = needed(standing, start, start + length)
    within = [sample for sample in results if first <= sample[0] < last]
    assert metric_timeline(within, standing, start, start + length) == metric_timeline(
        results, standing, start, start + length
    )


@given(samples, standings, st.integers(1, DAY - 1))
def test_two_windows_side_by_side_add_up_to_the_whole(
    results: list[Sample], standing: FreshFor | CarriedDaily, cut: int
) -> None:
    whole = metric_timeline(results, standing, START, START + DAY).seconds()
    parts = [
        metric_timeline(results, standing, START, START + cut).seconds(),
        metric_timeline(results, standing, START + cut, START + DAY).seconds(),
    ]
    assert totals(parts) == whole
    assert sum(whole.values()) == DAY


@given(samples, standings)
def test_days_add_up_to_the_window(results: list[Sample], standing: FreshFor | CarriedDaily) -> None:
    timeline = metric_timeline(results, standing, START - 1000, START + 2 * DAY + 1000)
    days = timeline.seconds_by_day()
    assert [sum(day.values()) for day in days.values()] == [1000, DAY, DAY, 1000]
    assert totals(days.values()) == timeline.seconds()


@given(st.lists(timelines(), min_size=1, max_size=6), tables)
def test_a_node_stands_in_the_strongest_state_of_its_children_in_every_second(
    children: list[Timeline], table: Precedence
) -> None:
    node = combine(children, table)
    for second in range(START, START + 50):
        present = [state_at(child, second) for child in children]
        expected = next((state for state in table.order if state in present), EXCLUDED)
        assert state_at(node, second) is expected
    assert all(one[1] is not two[1] for one, two in zip(node.changes, node.changes[1:], strict=False))


@given(timelines(), st.lists(st.tuples(st.integers(START - 20, START + 70), st.integers(0, 40)), max_size=5))
def test_downtimes_lie_over_exactly_their_seconds(timeline: Timeline, spans: list[tuple[int, int]]) -> None:
    windows = [(start, start + length) for start, length in spans]
    overlaid = lay_over(timeline, windows)
    for second in range(START, START + 50):
        covered = any(start <= second < end for start, end in windows)
        assert state_at(overlaid, second) is (DOWNTIME if covered else state_at(timeline, second))


def test_a_result_stands_for_its_freshness_and_not_a_second_longer() -> None:
    timeline = metric_timeline([(START + 10, OK)], FRESH, START, START + 300)
    assert timeline.changes == ((START, UNKNOWN), (START + 10, OK), (START + 110, UNKNOWN))


def test_unknown_is_ignored_while_a_fresh_result_knows() -> None:
    results = [(START, CRITICAL), (START + 50, UNKNOWN), (START + 120, OK)]
    timeline = metric_timeline(results, FRESH, START, START + 200)
    assert timeline.changes == ((START, CRITICAL), (START + 100, UNKNOWN), (START + 120, OK))


def test_a_day_starts_in_the_last_state_of_the_day_before() -> None:
    results = [(START - 5, WARNING), (START + 100, OK)]
    assert metric_timeline(results, DAILY, START, START + DAY).changes == (
        (START, WARNING),
        (START + 100, OK),
    )


def test_a_day_without_results_is_missing_from_midnight_and_hands_nothing_on() -> None:
    results = [(START - 5, OK), (START + DAY + 100, OK)]
    timeline = metric_timeline(results, DAILY, START, START + 2 * DAY)
    assert timeline.changes == ((START, MISSING), (START + DAY + 100, OK))


def test_of_two_results_in_one_second_the_graver_stands() -> None:
    for results in ([(START, OK), (START, CRITICAL)], [(START, CRITICAL), (START, OK)]):
        assert metric_timeline(results, FRESH, START, START + 10) == constant(CRITICAL, START, START + 10)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must end after it starts"):
        constant(OK, START, START)


def test_a_truth_table_without_every_state_is_refused() -> None:
    with pytest.raises(InvalidInput, match="exactly once"):
        Precedence((OK, CRITICAL))
