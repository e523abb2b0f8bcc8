"""A/R from cells: what is new dirties exactly what it touches, and the answer is the one from scratch.

On SQLite and PostgreSQL; any order of arrival.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.availability_centre import DAY, MONDAY, NOW, Centre, a_resource, moment

from opengoc.base.interval import Interval
from opengoc.monitoring import batches, expectation, recomputation, store
from opengoc.monitoring.model import Status
from opengoc.monitoring.profile import ARGO_EGI, PROFILES, RSV_OSG, profile
from opengoc.monitoring.refresh import Availability, Dirtied
from opengoc.monitoring.table import TABLE, rows
from opengoc.store.database import Database, open_database

HOUR = 3600


@pytest.fixture
def centre(tmp_path: Path, database: Database) -> Centre:
    made = Centre(tmp_path, database)
    for day in range(4):
        for name in ("ce1", "ce2", "ce3"):
            made.hear(name, *((MONDAY + day * DAY + hour * HOUR, Status.OK) for hour in range(24)))
    return made


def looked(centre: Centre) -> Dirtied:
    return Availability(centre.lake, centre.database).look(now=NOW)


def test_cells_give_what_a_computation_from_scratch_gives(centre: Centre) -> None:
    centre.announce("dt", "ce3", MONDAY + 6 * HOUR, MONDAY + 30 * HOUR)
    for rules in PROFILES.values():
        assert centre.from_cells(rules) == centre.from_scratch(rules)


def test_what_was_computed_is_not_computed_again(centre: Centre) -> None:
    centre.from_cells(ARGO_EGI)
    again = Availability(centre.lake, centre.database).days(
        ARGO_EGI, start=MONDAY, end=MONDAY + 4 * DAY, now=NOW
    )
    assert len(again) == 8
    assert not any(cell.fresh for cell in again.values())


def test_what_was_kept_is_read_back_as_it_was_counted(centre: Centre) -> None:
    centre.announce("dt", "ce3", MONDAY + 6 * HOUR, MONDAY + 30 * HOUR)
    counted, kept = (
        Availability(centre.lake, centre.database).days(ARGO_EGI, start=MONDAY, end=MONDAY + 4 * DAY, now=NOW)
        for _ in range(2)
    )
    assert counted.keys() == kept.keys()
    for key, cell in kept.items():
        assert tuple(cell.counts) == tuple(counted[key].counts) == cell.counts[:]
        assert (cell.of_site, cell.inputs) == (counted[key].of_site, counted[key].inputs)
        assert cell.counts and len(cell.counts) == len(counted[key].counts)


def test_a_cancelled_downtime_dirties_the_days_of_its_site_that_it_covered_and_no_other(
    centre: Centre,
) -> None:
    centre.announce("dt", "ce3", MONDAY + 6 * HOUR, MONDAY + 30 * HOUR)
    before = centre.from_cells(ARGO_EGI)
    centre.announce("dt", "ce3", MONDAY + 6 * HOUR, MONDAY + 30 * HOUR, cancelled=True)
    dirtied = looked(centre)
    assert dirtied.cells == 2
    assert {touch.site for touch in dirtied.touches} == {"BETA"}
    after = centre.from_cells(ARGO_EGI)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {("BETA", MONDAY), ("BETA", MONDAY + DAY)}
    assert after == centre.from_scratch(ARGO_EGI)


def test_a_late_result_dirties_its_day_and_the_next(centre: Centre) -> None:
    centre.from_cells(ARGO_EGI)
    centre.hear("ce1", (MONDAY + DAY + 90, Status.CRITICAL))
    assert looked(centre).cells == 2
    assert centre.from_cells(ARGO_EGI) == centre.from_scratch(ARGO_EGI)


def test_a_batch_that_a_killed_process_left_between_telling_and_writing_is_not_missed(
    centre: Centre,
) -> None:
    with centre.database.begin() as conn:
        batches.tell(conn, "late", [("ce1", MONDAY)], arrived=False, now=NOW)
    # Somebody looks before the batch is in, and computes without it.
    centre.from_cells(ARGO_EGI)
    result = store.results(centre.lake, Interval(moment(MONDAY), moment(MONDAY + HOUR)))[0]
    late = [type(result)(**(vars(result) | {"status": Status.CRITICAL, "at": moment(MONDAY + 60)}))]
    # The process dies right after the lake has it: nobody says that it arrived.
    centre.lake.append(TABLE, rows(late, NOW - timedelta(days=1)), batch_id="late", partition_by=["day"])
    assert centre.from_cells(ARGO_EGI) == centre.from_scratch(ARGO_EGI)
    assert ("alpha", 0) not in centre.from_cells(ARGO_EGI)


def test_a_resource_that_vanishes_leaves_its_past_as_it_was(centre: Centre) -> None:
    before = centre.from_cells(RSV_OSG)
    centre.vanish("ce3", known=moment(MONDAY + 2 * DAY + 12 * HOUR))
    after = centre.from_cells(RSV_OSG)
    assert after == centre.from_scratch(RSV_OSG)
    for day in (MONDAY, MONDAY + DAY):
        assert after["BETA", day] == before["BETA", day]
    assert after["BETA", MONDAY + 3 * DAY] != before["BETA", MONDAY + 3 * DAY]


def test_a_new_check_leaves_the_past_as_it_was(centre: Centre) -> None:
    before = centre.from_cells(ARGO_EGI)
    with centre.database.begin() as conn:
        since = {("ce1", "CE", "new-check"): moment(MONDAY + 3 * DAY)}
        expectation.expect(conn, since, source=expectation.CHECKS, who="test")
    after = centre.from_cells(ARGO_EGI)
    assert after == centre.from_scratch(ARGO_EGI)
    assert {key for key in before if before[key] != after[key]} == {("ALPHA", MONDAY + 3 * DAY)}


def test_a_request_to_recompute_takes_time_out_of_the_count_and_can_be_withdrawn(centre: Centre) -> None:
    before = centre.from_cells(ARGO_EGI)
    day = Interval(moment(MONDAY), moment(MONDAY + DAY))
    with centre.database.begin() as conn:
        asked = recomputation.ask(
            conn, interval=day, status=Status.EXCLUDED, site="BETA", who="manager", why="network cut"
        )
    excluded = centre.from_cells(ARGO_EGI)
    assert excluded == centre.from_scratch(ARGO_EGI)
    assert ("site", ("BETA",), MONDAY, (("EXCLUDED", DAY),), (("EXCLUDED", DAY),)) in excluded["BETA", MONDAY]
    with centre.database.begin() as conn:
        recomputation.withdraw(conn, asked.id, who="manager", why="a mistake")
    assert centre.from_cells(ARGO_EGI) == before


def test_another_profile_has_cells_of_its_own(centre: Centre) -> None:
    assert centre.from_cells(ARGO_EGI) != centre.from_cells(RSV_OSG)
    assert centre.from_cells(RSV_OSG) == centre.from_scratch(RSV_OSG)


Event = Callable[[Centre], None]

seconds = st.integers(MONDAY - DAY, MONDAY + 5 * DAY)
names = st.sampled_from(["ce1", "ce2", "ce3", "new"])


def _hear(name: str, at: int, status: Status, metric: str) -> Event:
    return lambda centre: centre.hear(name, (at, status), metric=metric)


def _announce(id: str, name: str, start: int, length: int, notice: int, cancelled: bool) -> Event:
    return lambda centre: centre.announce(
        id, name, start, start + length, notice=timedelta(hours=notice), cancelled=cancelled
    )


def _hold(name: str, site: str, active: bool, known: int) -> Event:
    return lambda centre: centre.hold(a_resource(name, site, active=active), known=moment(known))


def _vanish(name: str, known: int) -> Event:
    return lambda centre: centre.vanish(name, known=moment(known))


def _ask(name: str, start: int, length: int, status: Status) -> Event:
    def ask(centre: Centre) -> None:
        with centre.database.begin() as conn:
            interval = Interval(moment(start), moment(start + length))
            recomputation.ask(conn, interval=interval, status=status, resource=name, who="t", why="t")

    return ask


def _compute(rules: str) -> Event:
    return lambda centre: void(centre.from_cells(profile(rules)))


def void(_: object) -> None:
    return None


results = st.builds(
    _hear,
    names,
    seconds,
    st.sampled_from([Status.OK, Status.CRITICAL, Status.UNKNOWN]),
    st.sampled_from("ab"),
)
downtimes = st.builds(
    _announce,
    st.sampled_from(["dt-1", "dt-2"]),
    names,
    seconds,
    st.integers(1, 2 * DAY),
    st.integers(-24, 72),
    st.booleans(),
)
changes = st.one_of(
    st.builds(_hold, names, st.sampled_from(["ALPHA", "BETA"]), st.booleans(), seconds),
    st.builds(_vanish, names, seconds),
    st.builds(_ask, names, seconds, st.integers(1, DAY), st.sampled_from([Status.EXCLUDED, Status.OK])),
)
computed = st.builds(_compute, st.sampled_from(sorted(PROFILES)))


@given(
    st.lists(st.one_of(results, downtimes, changes, computed), max_size=12), st.sampled_from(sorted(PROFILES))
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_came_in_between_cells_give_what_scratch_gives(events: list[Event], rules: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/goc.db")
        try:
            centre = Centre(Path(folder), database)
            for event in events:
                event(centre)
            assert centre.from_cells(profile(rules)) == centre.from_scratch(profile(rules))
        finally:
            database.dispose()


@given(st.lists(results, max_size=8), st.randoms(use_true_random=False), st.integers(0, 8))
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_the_order_in_which_results_arrive_makes_no_difference(
    events: list[Event], chance: Random, computed_after: int
) -> None:
    answers = []
    for order in (events, chance.sample(events, len(events))):
        with tempfile.TemporaryDirectory() as folder:
            database = open_database(f"sqlite:///{folder}/goc.db")
            try:
                centre = Centre(Path(folder), database)
                for number, event in enumerate(order):
                    if number == computed_after:
                        centre.from_cells(ARGO_EGI)
                    event(centre)
                answers.append(centre.from_cells(ARGO_EGI))
            finally:
                database.dispose()
    assert answers[0] == answers[1]
