"""Half-open intervals: their laws, and the corners by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import parse_instant
from opengoc.base.interval import Interval, day, union, week, week_name

START = datetime(2026, 11, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)

#: Few distinct hours, so that ends meet often.
hours = st.integers(0, 24)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """Intervals within one day, on the hour; some open."""
    start = draw(hours)
    length = draw(st.none() | st.integers(1, 12))
    return at(start, None if length is None else start + length)


def at(start: int, end: int | None = None) -> Interval:
    """[start, end) in hours of the day."""
    return Interval(START + start * HOUR, None if end is None else START + end * HOUR)


def instants(some: list[Interval]) -> set[int]:
    """The half hours, far past every end, that lie in any of them."""
    return {n for n in range(100) if any(START + n * HOUR / 2 in interval for interval in some)}


# -- laws --------------------------------------------------------------------------------------------------


@given(st.lists(intervals(), max_size=8))
def test_a_union_has_the_same_instants(some: list[Interval]) -> None:
    assert instants(union(some)) == instants(some)


@given(st.lists(intervals(), max_size=8))
def test_a_union_is_in_order_disjoint_and_does_not_touch(some: list[Interval]) -> None:
    merged = union(some)
    for earlier, later in pairwise(merged):
        assert earlier.end is not None
        assert earlier.end < later.start


@given(st.lists(intervals(), max_size=8), st.randoms())
def test_a_union_does_not_depend_on_the_order(some: list[Interval], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert union(shuffled) == union(some) == union(union(some))


@given(intervals(), intervals())
def test_an_intersection_has_the_shared_instants_either_way_round(one: Interval, other: Interval) -> None:
    shared = one.intersection(other)
    assert instants([shared] if shared else []) == instants([one]) & instants([other])
    assert shared == other.intersection(one)
    assert one.overlaps(other) is (shared is not None)


@given(intervals(), intervals())
def test_without_leaves_what_the_other_does_not_have(one: Interval, other: Interval) -> None:
    left = one.without(other)
    assert instants(left) == instants([one]) - instants([other])
    assert all(not part.overlaps(other) for part in left)


@given(intervals(), intervals())
def test_cut_and_kept_parts_make_the_whole_again(one: Interval, other: Interval) -> None:
    shared = one.intersection(other)
    assert union([*one.without(other), *([shared] if shared else [])]) == [one]


@given(st.datetimes(datetime(2000, 1, 4), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_lies_in_the_week_of_its_name(moment: datetime) -> None:
    found = week(week_name(moment))
    assert moment in found
    assert found.seconds == 7 * 86_400
    assert (found.start.weekday(), found.start.hour) == (0, 0)


# -- corners -----------------------------------------------------------------------------------------------


def test_the_start_belongs_to_it_and_the_end_does_not() -> None:
    interval = at(1, 2)
    assert interval.start in interval
    assert START + 2 * HOUR not in interval
    assert START + 2 * HOUR - timedelta(microseconds=1) in interval
    assert interval.start - timedelta(microseconds=1) not in interval


def test_an_open_interval_goes_on_and_has_no_length() -> None:
    assert datetime(9999, 1, 1, tzinfo=UTC) in at(1)
    with pytest.raises(InvalidInput, match="is open"):
        _ = at(1).seconds


def test_intervals_that_touch_do_not_overlap_but_become_one() -> None:
    assert not at(1, 2).overlaps(at(2, 3))
    assert union([at(2, 3), at(1, 2)]) == [at(1, 3)]


def test_a_hole_cut_out_leaves_two_parts() -> None:
    assert at(1, 9).without(at(3, 4)) == [at(1, 3), at(4, 9)]
    assert at(1).without(at(3, 4)) == [at(1, 3), at(4)]
    assert at(1).without(at(3)) == [at(1, 3)]
    assert at(3, 4).without(at(1, 9)) == []


@pytest.mark.parametrize("end", [0, -1])
def test_an_interval_that_is_empty_or_backward_is_refused(end: int) -> None:
    with pytest.raises(InvalidInput, match="must end after it starts"):
        at(0, end)


def test_times_without_zone_are_refused() -> None:
    with pytest.raises(InvalidInput, match="needs a time zone"):
        Interval(datetime(2026, 11, 16))  # noqa: DTZ001 - refused for this
    with pytest.raises(InvalidInput, match="needs a time zone"):
        Interval(START, datetime(2026, 11, 17))  # noqa: DTZ001 - refused for this


def test_other_zones_become_utc() -> None:
    geneva = timezone(HOUR)
    interval = Interval(datetime(2026, 11, 16, 1, tzinfo=geneva), datetime(2026, 11, 16, 2, tzinfo=geneva))
    assert interval == at(0, 1)
    assert str(interval) == "2026-11-16T00:00:00Z/2026-11-16T01:00:00Z"
    assert str(at(0)) == "2026-11-16T00:00:00Z/.."


@pytest.mark.parametrize(
    ("name", "monday"),
    [("2026-W47", date(2026, 11, 16)), ("2026-W01", date(2025, 12, 29)), ("2026-W53", date(2026, 12, 28))],
)
def test_weeks_follow_iso_8601(name: str, monday: date) -> None:
    assert week(name).start == datetime.combine(monday, datetime.min.time(), UTC)
    assert week_name(week(name).start) == name


@pytest.mark.parametrize(
    "name", ["2025-W53", "2026-W00", "2026-47", "2026-W7", "", "W47", "0000-W01", "9999-W52"]
)
def test_weeks_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="must be an ISO week"):
        week(name)


@pytest.mark.parametrize("text", ["0001-01-01", "1899-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "9900-01-01"])
def test_times_at_the_ends_of_the_calendar_are_refused_where_they_are_read(text: str) -> None:
    # A week before or a month after would be no time any more.
    with pytest.raises(InvalidInput, match=r"--from.*beyond the calendar: must be of the years 1900 to 9899"):
        parse_instant(text, "--from")


def test_a_day_is_its_24_hours_utc() -> None:
    assert day(date(2026, 11, 16)) == at(0, 24)
