"""What a source lacks of a window."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from opengoc.accounting.state import Gap, SourceState, State
from opengoc.base.interval import week

WEEK = week("2026-W46")
LATER = datetime(2026, 11, 20, tzinfo=UTC)


def state(**changes: Any) -> SourceState:
    values: dict[str, Any] = {
        "source": "site-a",
        "kind": "pilot",
        "site": "SITE-A",
        "state": State.OK,
        "read_through": LATER,
        "since": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return SourceState(**(values | changes))


def test_a_source_read_after_the_week_lacks_nothing() -> None:
    assert state().lacking(WEEK) == ""
    assert len(state().days(WEEK)) == 7


def test_a_source_that_fails_now_still_has_the_weeks_before() -> None:
    assert state(state=State.MISSING, reason="file gone").lacking(WEEK) == ""
    assert "file gone" in state(state=State.MISSING, reason="file gone").lacking(week("2026-W48"))


def test_a_source_never_read_lacks_everything() -> None:
    never = state(state=State.NEVER, reason="never read", read_through=None, since=None)
    assert "never read" in never.lacking(WEEK)
    assert never.days(WEEK) == frozenset()


def test_a_source_read_in_the_middle_of_the_week_lacks_the_rest() -> None:
    midweek = state(read_through=WEEK.start + timedelta(days=2, hours=1))
    assert "read up to 2026-11-11T01:00:00Z" in midweek.lacking(WEEK)
    assert midweek.days(WEEK) == {date(2026, 11, 9), date(2026, 11, 10)}


def test_a_source_that_began_in_the_week_lacks_its_beginning() -> None:
    young = state(since=WEEK.start + timedelta(days=1))
    assert "its records begin" in young.lacking(WEEK)
    assert date(2026, 11, 9) not in young.days(WEEK)


def test_a_gap_within_the_week_is_lacking_with_its_reason() -> None:
    gap = Gap(
        start=WEEK.start + timedelta(days=1), end=WEEK.start + timedelta(days=1, hours=1), reason="truncated"
    )
    assert "truncated" in state(gaps=(gap,)).lacking(WEEK)
    assert len(state(gaps=(gap,)).days(WEEK)) == 6
    assert state(gaps=(gap,)).lacking(week("2026-W45")) == ""
