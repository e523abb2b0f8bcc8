"""Days of a source: complete, partial or missing, each with its reason."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.accounting.test_seen import record, store

from opengoc.accounting import table
from opengoc.accounting.gaps import Completeness, DayState, day_states
from opengoc.accounting.seen import Known
from opengoc.accounting.state import Gap, SourceState, State
from opengoc.base.interval import Interval, day
from opengoc.store.lake import Lake

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
WEEK = Interval(MONDAY, MONDAY + timedelta(days=7))
THIRD = date(2026, 11, 18)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Thirty jobs each day, but only three on Wednesday."""
    lake = Lake(tmp_path / "lake")
    table.declare(lake)
    made = [
        record(f"{n}-{job}", started_at=None, ended_at=MONDAY + timedelta(days=n, minutes=job))
        for n in range(7)
        for job in range(3 if n == 2 else 30)
    ]
    with Known(lake) as known:
        store(lake, known, "a", *made)
    return lake


def state(**changes: object) -> SourceState:
    values: dict[str, object] = {"read_through": WEEK.end, "since": MONDAY - timedelta(days=30)}
    return SourceState(source="test", kind="batch", site="SITE-A", state=State.OK, **(values | changes))  # type: ignore[arg-type]


def days(lake: Lake, of: SourceState, outages: list[Interval] | None = None) -> dict[date, DayState]:
    found = day_states(
        lake, [of], window=WEEK, as_of=MONDAY + timedelta(days=30), downtimes={"SITE-A": outages or []}
    )
    return {each.day: each for each in found}


def test_a_day_far_below_the_sources_norm_is_partial(lake: Lake) -> None:
    found = days(lake, state())
    assert {each.day for each in found.values() if each.state is not Completeness.COMPLETE} == {THIRD}
    assert found[THIRD].reason == "3 jobs ended where 30 are usual"


def test_a_downtime_of_the_site_explains_a_poor_day(lake: Lake) -> None:
    found = days(lake, state(), [Interval(day(THIRD).start, day(THIRD).start + timedelta(hours=20))])
    assert found[THIRD].state is Completeness.COMPLETE
    assert found[THIRD].reason == "3 jobs ended: the site was down for 20.0 hours"


def test_a_gap_makes_its_days_partial_and_a_source_not_read_its_days_missing(lake: Lake) -> None:
    gap = Gap(start=MONDAY + timedelta(hours=5), end=MONDAY + timedelta(hours=6), reason="history shrank")
    assert days(lake, state(gaps=(gap,)))[MONDAY.date()].state is Completeness.PARTIAL
    never = SourceState(source="other", kind="batch", site=None, state=State.NEVER, reason="never read")
    assert {each.state for each in days(lake, never).values()} == {Completeness.MISSING}


def test_days_that_have_not_begun_have_no_state(lake: Lake) -> None:
    found = day_states(lake, [state()], window=WEEK, as_of=MONDAY + timedelta(days=2), downtimes={})
    assert len(found) == 3
