"""What a source lacks: days and gaps, each with its reason, and what explains them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from opengoc.accounting import state as source_state
from opengoc.accounting.expected import Expectation
from opengoc.accounting.gaps import Completeness, DayState, Gap, Watched, What, day_states, gaps
from opengoc.accounting.model import EARLIEST, Kind
from opengoc.accounting.norm import norm
from opengoc.accounting.runs import Outcome, Run, told_by
from opengoc.accounting.sequences import Stream
from opengoc.accounting.state import SourceState, State
from opengoc.base.interval import Interval, day

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
WEEK = Interval(MONDAY, MONDAY + timedelta(days=7))
LATER = MONDAY + timedelta(days=30)
THIRD = date(2026, 11, 18)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def days_back(count: int, *, jobs: int, until: datetime = LATER) -> dict[date, int]:
    return {(until - n * DAY).date(): jobs for n in range(count)}


def watched(*, jobs: int = 30, third: int = 30, **changes: Any) -> Watched:
    """A source that was read far beyond the week, with thirty jobs a day, and some number on Wednesday."""
    state: dict[str, Any] = {"read_through": LATER, "since": MONDAY - 80 * DAY}
    own = {name: changes.pop(name) for name in ("read_through", "since", "gaps", "reason") if name in changes}
    known = changes.pop("state", State.OK)
    made = SourceState(source="test", kind="batch", site="SITE-A", state=known, **(state | own))
    return Watched(state=made, counts={**days_back(110, jobs=jobs), THIRD: third}, **changes)


def expected(start: datetime, end: datetime | None = None, **more: Any) -> tuple[Expectation, ...]:
    one = Expectation(source="test", records=Kind.BATCH, site="SITE-A", interval=Interval(start, end), **more)
    return (one,)


def run(start: datetime, end: datetime, outcome: Outcome, told_at: int, **more: Any) -> Run:
    at = LATER + told_at * HOUR
    return Run(source="test", interval=Interval(start, end), outcome=outcome, at=at, **more)


def days(of: Watched, *, as_of: datetime = LATER) -> dict[date, DayState]:
    return {each.day: each for each in day_states(of, WEEK, as_of=as_of)}


def found(of: Watched, *, as_of: datetime = LATER) -> list[Gap]:
    return gaps(of, WEEK, as_of=as_of)


def lacking(states: Iterable[DayState]) -> set[date]:
    return {each.day for each in states if each.state in (Completeness.PARTIAL, Completeness.MISSING)}


def test_a_day_far_below_the_sources_norm_is_partial_and_a_gap_with_its_numbers() -> None:
    source = watched(third=3)
    assert lacking(days(source).values()) == {THIRD}
    assert days(source)[THIRD].reason == "3 jobs ended where 30 are usual"
    (gap,) = found(source)
    assert (gap.what, gap.key) == (What.FEW, "test/few/2026-11-18")
    assert gap.evidence == {
        "jobs": 3,
        "usual": 30,
        "least": 10.8,
        "days": "8 Wednesdays",
        "site_down_hours": 0.0,
    }


def test_a_downtime_of_the_site_explains_a_poor_day_and_only_its_share_of_it() -> None:
    long = Interval(day(THIRD).start, day(THIRD).start + 20 * HOUR)
    source = watched(third=3, outages=(long,))
    assert days(source)[THIRD].state is Completeness.COMPLETE
    assert days(source)[THIRD].explained == "the site was down for 20.0 hours"
    assert [gap.explained for gap in found(source)] == ["the site was down for 20.0 hours"]
    short = Interval(day(THIRD).start, day(THIRD).start + 1 * HOUR)
    assert days(watched(third=3, outages=(short,)))[THIRD].state is Completeness.PARTIAL


@pytest.mark.parametrize(
    ("usual", "jobs", "is_few"),
    [(30, 10, True), (30, 11, False), (4, 0, False), (12, 0, False), (13, 0, True), (10_000, 5_001, False)],
)
def test_the_norm_is_the_median_of_the_same_weekdays_and_small_counts_make_none(
    usual: int, jobs: int, is_few: bool
) -> None:
    there = sorted(days_back(60, jobs=0, until=day(THIRD).start - DAY))
    # Other weekdays tell nothing of a Wednesday.
    counts = {each: usual if each.weekday() == THIRD.weekday() else 7 * usual for each in there}
    found = norm(THIRD, counts, there)
    assert found is not None
    assert found.jobs == usual
    assert (jobs < found.least()) is is_few


def test_a_young_source_is_held_against_the_days_before_and_a_very_young_one_against_none() -> None:
    there = [THIRD - timedelta(days=n) for n in (1, 2, 3)]
    assert norm(THIRD, dict.fromkeys(there, 100), there) is None
    there.append(THIRD - timedelta(days=4))
    found = norm(THIRD, dict.fromkeys(there, 100), there)
    assert found is not None
    assert (found.jobs, found.days) == (100, "4 days before")


def test_an_expected_source_that_is_silent_is_a_gap_and_one_that_is_not_expected_is_none() -> None:
    silent = watched(read_through=MONDAY + 40 * HOUR, expectations=expected(MONDAY - 80 * DAY))
    (gap,) = found(silent)
    assert (gap.what, gap.reason) == (What.SILENT, "silent since 2026-11-17 16:00 UTC")
    assert gap.window == Interval(MONDAY + 40 * HOUR, LATER)
    assert lacking(days(silent).values()) == {(MONDAY + n * DAY).date() for n in range(1, 7)}
    ended = replace(silent, expectations=expected(MONDAY - 80 * DAY, MONDAY + 40 * HOUR))
    assert found(ended) == []
    # Tuesday was expected in part.
    assert lacking(days(ended).values()) == {MONDAY.date() + DAY}
    assert days(ended)[THIRD].state is Completeness.NOT_EXPECTED


def test_silence_while_the_site_is_down_is_explained_and_its_days_lack_all_the_same() -> None:
    heard = MONDAY + 10 * HOUR
    down = Interval(heard, heard + 50 * HOUR)
    source = watched(read_through=heard, expectations=expected(MONDAY - 80 * DAY), outages=(down,))
    (gap,) = found(source, as_of=heard + 60 * HOUR)
    assert (gap.explained, gap.evidence["site_down_hours"]) == ("the site was down", 50.0)
    tuesday = days(source, as_of=heard + 60 * HOUR)[date(2026, 11, 17)]
    assert (tuesday.state, tuesday.explained) == (Completeness.PARTIAL, "the site was down for 24.0 hours")
    (gap,) = found(source, as_of=heard + 90 * HOUR)
    assert gap.explained == ""


def test_a_source_may_be_silent_for_as_long_as_it_is_told() -> None:
    heard = MONDAY + 10 * HOUR
    source = watched(read_through=heard, expectations=expected(MONDAY - DAY, silent_hours=72.0))
    assert found(source, as_of=heard + 72 * HOUR) == []
    assert [gap.what for gap in found(source, as_of=heard + 73 * HOUR)] == [What.SILENT]


def test_a_heartbeat_covers_all_time_before_it() -> None:
    beat = run(EARLIEST, LATER, Outcome.OK, 0)
    quiet = watched(
        read_through=MONDAY - 20 * DAY,
        since=MONDAY - 21 * DAY,
        expectations=expected(MONDAY - 80 * DAY),
        told=told_by([beat]),
        jobs=0,
        third=0,
    )
    assert lacking(days(quiet).values()) == set()
    assert found(quiet) == []


def test_a_run_that_timed_out_is_a_gap_until_a_later_one_covers_its_time() -> None:
    failed = run(MONDAY, MONDAY + DAY, Outcome.TIMEOUT, 0, backlog=7, message="restarted")
    part = run(MONDAY, MONDAY + 6 * HOUR, Outcome.OK, 1)
    source = watched(told=told_by([failed, part]))
    (gap,) = found(source)
    assert gap.window == Interval(MONDAY + 6 * HOUR, MONDAY + DAY)
    words = (
        "the run of 2026-11-16 00:00 to 2026-11-17 00:00 UTC timed out, 7 wait (restarted); to be recovered"
    )
    assert gap.reason == words
    assert days(source)[MONDAY.date()].reason == words
    whole = run(MONDAY, MONDAY + DAY, Outcome.OK, 2)
    assert found(watched(told=told_by([failed, part, whole]))) == []
    # A feeder that lives has not recovered what it lost.
    beat = run(EARLIEST, LATER + 5 * HOUR, Outcome.OK, 5)
    assert [gap.what for gap in found(watched(told=told_by([failed, beat])))] == [What.RUN]
    # The last word counts.
    assert len(found(watched(told=told_by([whole, replace(failed, at=LATER + 3 * HOUR)])))) == 1


def test_a_heartbeat_that_leaves_something_behind_covers_nothing_and_fails_nothing() -> None:
    told = told_by([run(EARLIEST, LATER, Outcome.OK, 0, backlog=3)])
    assert (told.covered, told.failed) == ((), ())


def test_a_batch_number_that_never_came_is_a_gap_and_one_that_comes_late_fills_it() -> None:
    def ended(n: int) -> Interval:
        return Interval(MONDAY + n * DAY, MONDAY + n * DAY + 20 * HOUR)

    stream = Stream(source="test", name="s").after(1, ended(0), LATER).after(4, ended(3), LATER)
    (gap,) = found(watched(holes=stream.holes))
    assert (gap.what, gap.reason) == (What.SEQUENCE, "batches 2 to 3 never came")
    assert lacking(days(watched(holes=stream.holes)).values()) == {
        (MONDAY + n * DAY).date() for n in range(3)
    }
    late = stream.after(2, ended(1), LATER)
    assert [(hole.first, hole.last) for hole in late.holes] == [(3, 3)]
    assert late.after(3, ended(2), LATER).holes == ()
    # A batch that comes again opens nothing.
    assert late.after(4, ended(3), LATER) == late


def test_numbers_that_go_back_are_a_gap_and_later_holes_are_seen_again() -> None:
    def ended(n: int) -> Interval:
        return Interval(MONDAY + n * DAY, MONDAY + n * DAY + 20 * HOUR)

    stream = Stream(source="test", name="s")
    for number in (1, 2, 3):
        stream = stream.after_new(number, ended(number - 1), LATER)
    assert stream.holes == ()
    # The spool of the time after batch 1: its numbers 2 and 3 are given out again.
    back = stream.after_new(2, ended(3), LATER)
    (gap,) = found(watched(holes=back.holes))
    assert (gap.what, gap.evidence["first"], gap.evidence["last"]) == (What.SEQUENCE, 2, 3)
    assert "older copy" in gap.reason
    assert back.after_new(3, ended(4), LATER).holes == back.holes
    assert [(hole.first, hole.last) for hole in back.after_new(5, ended(5), LATER).holes] == [(2, 3), (3, 4)]
    # That the time was given settles it.
    whole = run(MONDAY, MONDAY + 7 * DAY, Outcome.OK, 1)
    assert found(watched(holes=back.holes, told=told_by([whole]))) == []


def test_lost_bytes_are_a_gap_until_somebody_says_that_their_time_was_given() -> None:
    lost = source_state.Gap(start=MONDAY + 5 * HOUR, end=MONDAY + 6 * HOUR, reason="history shrank")
    source = watched(gaps=(lost,))
    assert lacking(days(source).values()) == {MONDAY.date()}
    assert [gap.what for gap in found(source)] == [What.LOST]
    # A heartbeat knows nothing of what was lost on the way.
    beat = run(EARLIEST, LATER, Outcome.OK, 0)
    assert len(found(replace(source, told=told_by([beat])))) == 1
    restored = run(MONDAY, MONDAY + DAY, Outcome.OK, 1)
    assert found(replace(source, told=told_by([restored]))) == []
    assert lacking(days(replace(source, told=told_by([restored]))).values()) == set()


def test_a_source_of_the_settings_that_was_never_read_is_missing_and_an_alarm_at_once() -> None:
    never = Watched(
        state=SourceState(source="other", kind="batch", site=None, state=State.NEVER, reason="never read")
    )
    assert {each.state for each in days(never).values()} == {Completeness.MISSING}
    assert [(gap.what, gap.reason) for gap in found(never)] == [(What.SILENT, "never read")]


def test_the_day_that_runs_is_complete_to_date_where_it_was_read_and_days_ahead_have_no_state() -> None:
    now = MONDAY + 2 * DAY + 5 * HOUR
    source = watched(read_through=now - HOUR, third=0)
    states = days(source, as_of=now)
    assert (len(states), states[THIRD].state) == (3, Completeness.TO_DATE)
    assert found(source, as_of=now) == []
    assert days(watched(read_through=now - 10 * HOUR), as_of=now)[THIRD].state is Completeness.PARTIAL
