"""How fast entries are filled."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.factory.world import NOW

from opengoc.factory.ramp import LOOK_BACK, Ramp

MINUTE = timedelta(minutes=1)


def filled(per_minute: int, gaps: list[float], burst_seconds: float = 10.0) -> list[datetime]:
    """What a factory sends that takes all it may, with so many seconds between its cycles."""
    sent: list[datetime] = []
    now = NOW
    for gap in gaps:
        now += timedelta(seconds=gap)
        ramp = Ramp(sent={"A": tuple(sent)}, burst_seconds=burst_seconds)
        assert ramp.left(per_minute, "A", now=now) == ramp.left(per_minute, now=now)
        sent += [now] * ramp.left(per_minute, "A", now=now)
    return sent


@given(per_minute=st.integers(1, 600), gaps=st.lists(st.floats(0.1, 40), min_size=1, max_size=40))
def test_no_minute_sees_more_than_the_rate_and_one_burst(per_minute: int, gaps: list[float]) -> None:
    times = filled(per_minute, gaps)
    burst = 1 + per_minute * 10 / 60
    for start in times:
        assert sum(start <= at < start + MINUTE for at in times) <= per_minute + burst


@pytest.mark.parametrize(
    ("per_minute", "cycle_seconds"), [(6, 5.0), (6, 9.7), (1, 5.0), (300, 30.0), (10, 60.5)]
)
def test_an_entry_is_filled_at_its_rate_however_long_a_cycle_is(
    per_minute: int, cycle_seconds: float
) -> None:
    cycles = int(LOOK_BACK.total_seconds() / cycle_seconds)
    times = filled(per_minute, [cycle_seconds] * cycles, max(10.0, cycle_seconds))
    burst = 1 + per_minute * max(10.0, cycle_seconds) / 60
    assert 10 * per_minute - burst <= len(times) <= 10 * per_minute + burst


def test_a_rate_that_was_lowered_is_no_debt_and_none_sends_nothing() -> None:
    flood = Ramp(sent={"A": (NOW,) * 500})
    assert flood.left(6, "A", now=NOW) == 0
    assert flood.left(6, "A", now=NOW + timedelta(seconds=10)) == 1
    assert flood.left(6, "B", now=NOW) == 2
    assert flood.left(6, now=NOW) == 0
    assert Ramp().left(0, now=NOW) == 0
