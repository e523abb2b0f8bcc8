"""The factory's week from its cycles: rows stand until the next, and silence is not knowledge."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.reports.example_week import MONDAY

from opengoc.base.interval import Interval
from opengoc.reports.cycles import CycleRow, QueueRow, factory_week, job_spells, pilot_spells

WINDOW = Interval(MONDAY, MONDAY + timedelta(days=7))
MINUTE = timedelta(minutes=1)


def row(
    minute: float, running: int, *, entry: str = "ITB-SLURM-1core", vo: str = "cms", **more: object
) -> CycleRow:
    """A cycle at a minute of the week."""
    given: dict[str, object] = {"digest": "d1", "limit": "", "detail": "", "complete": True} | more
    return CycleRow(at=MONDAY + minute * MINUTE, entry=entry, vo=vo, running=running, **given)  # type: ignore[arg-type]


def told(rows: list[CycleRow]) -> list[tuple[float, float, dict[str, int]]]:
    return [
        ((s.interval.start - MONDAY) / MINUTE, (s.interval.end - MONDAY) / MINUTE, dict(s.running))
        for s in pilot_spells(rows, WINDOW)
        if s.interval.end is not None
    ]


def test_jobs_of_a_vo_stand_until_its_next_row() -> None:
    rows = [
        QueueRow(at=MONDAY + minute * MINUTE, vo=vo, running=running, complete=True)
        for minute, vo, running in ((0, "cms", 5), (2, "ligo", 1), (4, "cms", 7))
    ]
    found = [(s.interval.seconds / 60, dict(s.running)) for s in job_spells(rows, WINDOW)]
    assert found == [(2, {"cms": 5}), (2, {"cms": 5, "ligo": 1}), (15, {"cms": 7, "ligo": 1})]


def test_a_row_stands_until_the_next_one() -> None:
    assert told([row(0, 2), row(5, 4), row(10, 0)])[:2] == [(0, 5, {"cms": 2}), (5, 10, {"cms": 4})]


def test_a_row_of_another_entry_leaves_it_standing() -> None:
    rows = [row(0, 2), row(5, 3, entry="ITB-CONDOR-2core"), row(6, 1, vo="ligo")]
    assert told(rows)[1:] == [(5, 6, {"cms": 5}), (6, 21, {"cms": 5, "ligo": 1})]


def test_after_a_quarter_of_an_hour_of_silence_nothing_is_known() -> None:
    assert told([row(0, 2), row(60, 1)]) == [(0, 15, {"cms": 2}), (60, 75, {"cms": 1})]


def test_an_entry_that_is_gone_from_the_configuration_counts_no_more() -> None:
    rows = [row(0, 5, entry="old"), *(row(minute, 1) for minute in range(0, 40, 10))]
    assert told(rows)[-1] == (30, 45, {"cms": 1})


def test_what_stood_before_the_week_counts_from_its_start() -> None:
    assert told([row(-5, 2), row(5, 3)])[0] == (0, 5, {"cms": 2})


def test_an_incomplete_cycle_is_marked() -> None:
    (spell,) = pilot_spells([row(0, 2, complete=False)], WINDOW)
    assert not spell.complete


@given(st.lists(st.tuples(st.integers(-30, 11_000), st.integers(0, 9), st.sampled_from("ab")), max_size=40))
def test_spells_never_overlap_and_stay_in_the_week(rows: list[tuple[int, int, str]]) -> None:
    ordered = [row(minute, running, entry=entry) for minute, running, entry in sorted(rows)]
    spells = pilot_spells(ordered, WINDOW)
    for spell in spells:
        assert WINDOW.intersection(spell.interval) == spell.interval
    for first, second in pairwise(spells):
        assert first.interval.end is not None
        assert first.interval.end <= second.interval.start


def test_entries_have_their_pilots_their_peak_and_their_limits() -> None:
    rows = [
        row(0, 2),
        row(0, 1, vo="ligo"),
        row(6, 0, limit="outage", detail="ITB-SLURM-CE is down until noon"),
        row(6, 0, vo="ligo", limit="outage", detail="ITB-SLURM-CE is down until noon"),
        row(12, 4),
        row(12, 0, vo="ligo"),
    ]
    sites = {"ITB-SLURM-1core": "ITB-SLURM"}
    week = factory_week(rows, WINDOW, submitted={"ITB-SLURM-1core": 7, "older": 1}, sites=sites)
    slurm, older = week.entries
    assert (slurm.site, slurm.submitted, slurm.peak_running) == ("ITB-SLURM", 7, 4)
    assert slurm.limits == ("outage for 6 min: ITB-SLURM-CE is down until noon",)
    assert (older.entry, older.submitted, older.peak_running) == ("older", 1, None)
    assert week.seen_seconds == pytest.approx(27 * 60)
    assert week.elapsed_seconds == WINDOW.seconds


def test_each_configuration_is_told_with_its_first_cycle() -> None:
    rows = [row(0, 1), row(3, 1), row(4, 1, digest="d2"), row(9, 1)]
    week = factory_week(rows, WINDOW, submitted={}, sites={})
    assert [(c.digest, (c.since - MONDAY) / MINUTE) for c in week.configurations] == [
        ("d1", 0),
        ("d2", 4),
        ("d1", 9),
    ]


def test_a_week_without_cycles_has_no_entries() -> None:
    week = factory_week([], WINDOW, submitted={}, sites={})
    assert (week.entries, week.configurations, week.seen_seconds) == ((), (), 0)
