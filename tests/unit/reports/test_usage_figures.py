"""Sums, ratios and changes know what they lack."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.reports.example_week import AS_OF, BEFORE, MONDAY, WEEK, usage_day, week_usage

from opengoc.base.figure import Figure, FigureState
from opengoc.base.interval import Interval
from opengoc.reports.inputs import Coverage, RunningSpell, WeekUsage
from opengoc.reports.usage import (
    batch_figures,
    change,
    days_of,
    lack_of,
    running_figures,
    transfer_figures,
    usage_figures,
)

DAYS = days_of(week_usage(WEEK, []))


def figures_of(usage: WeekUsage, as_of: datetime = AS_OF) -> dict[str, Figure]:
    return {figure.name: figure for figure in usage_figures(usage, {"vo": "cms"}, as_of)}


def test_hours_and_ratio_come_from_pilots_and_are_never_added_to_payload() -> None:
    rows = [
        usage_day("cms", "ITB-CONDOR", DAYS[0], "pilot", 4, hours=10),
        usage_day("cms", "ITB-CONDOR", DAYS[0], "payload", 30, hours=1),
        usage_day("ligo", "ITB-CONDOR", DAYS[0], "pilot", 99),
    ]
    figures = figures_of(week_usage(WEEK, rows))
    assert figures["pilot_jobs"].value == 4
    assert figures["wall_hours"].value == pytest.approx(40)
    assert figures["core_hours"].value == pytest.approx(80)
    assert figures["cpu_efficiency"].value == pytest.approx(80)
    assert figures["payload_jobs"].value == 30
    assert figures["payload_wall_hours"].value == pytest.approx(30)


def test_nothing_in_a_week_that_was_read_is_zero() -> None:
    figures = figures_of(week_usage(WEEK, []))
    assert figures["payload_jobs"].state is FigureState.ZERO
    assert figures["wall_hours"].state is FigureState.ZERO


def test_nothing_in_a_week_that_was_not_read_is_missing_with_the_reason() -> None:
    usage = week_usage(WEEK, [], holes={"pool-history": list(range(7))})
    jobs = figures_of(usage)["payload_jobs"]
    assert (jobs.state, jobs.value) == (FigureState.MISSING, None)
    assert jobs.reason == "pool-history: the history was rotated away"


def test_without_a_source_there_is_no_number() -> None:
    usage = replace(week_usage(WEEK, []), coverage=())
    assert figures_of(usage)["pilot_jobs"].reason == "no source of pilot records"


def test_a_day_that_lacks_makes_the_sum_partial() -> None:
    rows = [usage_day("cms", "ITB-CONDOR", DAYS[0], "payload", 12)]
    jobs = figures_of(week_usage(WEEK, rows, holes={"pool-history": [4]}))["payload_jobs"]
    why = "pool-history: 6 of 7 days (the history was rotated away)"
    assert (jobs.state, jobs.value, jobs.reason) == (FigureState.PARTIAL, 12, why)


def test_a_source_of_another_site_is_not_held_against_a_site() -> None:
    rows = [usage_day("cms", "ITB-CONDOR", DAYS[0], "pilot", 12)]
    usage = week_usage(WEEK, rows)
    silent = replace(usage.coverage[1], source="slurm-history", site="ITB-SLURM", days=frozenset())
    usage = replace(usage, coverage=(*usage.coverage, silent))
    by_site = {f.name: f for f in usage_figures(usage, {"vo": "cms", "site": "ITB-CONDOR"}, AS_OF)}
    assert (by_site["pilot_jobs"].state, by_site["pilot_jobs"].value) == (FigureState.VALUE, 12)
    assert figures_of(usage)["pilot_jobs"].reason == "slurm-history: 0 of 7 days"


def test_sources_that_lack_the_same_are_named_together_and_not_all_of_hundreds() -> None:
    usage = week_usage(WEEK, [])
    many = tuple(replace(usage.coverage[0], source=f"s{n}", days=frozenset(DAYS[:5])) for n in range(7))
    lack = lack_of(replace(usage, coverage=(*usage.coverage, *many)), "payload", AS_OF)
    assert lack.reason == "s0, s1, s2, s3, s4 and 2 more: 5 of 7 days"


def test_transfers_that_were_not_measured_are_missing_and_their_rate_is_over_the_time_that_is_over() -> None:
    seen = Coverage(source="fts", kind="transfer", days=frozenset(DAYS))
    moved = usage_day("cms", "", DAYS[0], "transfer", 4, bytes=3_024_000_000)
    unsaid = usage_day("cms", "", DAYS[1], "transfer", 2)
    usage = replace(week_usage(WEEK, [moved]), coverage=(seen,))
    end = MONDAY + timedelta(days=7)
    total, rate = transfer_figures(usage, "cms", end)
    assert (total.state, total.value, rate.value) == (FigureState.VALUE, 3_024_000_000, 5_000)
    assert transfer_figures(usage, "cms", MONDAY + timedelta(days=3.5))[1].value == 10_000
    partial, _ = transfer_figures(replace(usage, days=(moved, unsaid)), "cms", end)
    assert (partial.value, partial.reason) == (3_024_000_000, "2 transfers state no bytes")
    away = replace(seen, days=frozenset(), reasons=dict.fromkeys(DAYS, "timed out"))
    lacking, _ = transfer_figures(replace(usage, days=(), coverage=(away,)), "cms", end)
    assert (lacking.value, lacking.reason) == (None, "fts: timed out")
    # Nobody moved anything, and it was measured.
    assert transfer_figures(usage, "ligo", end)[0].state is FigureState.ZERO


def test_records_of_a_source_that_was_not_read_through_still_count() -> None:
    rows = [usage_day("cms", "ITB-CONDOR", DAYS[0], "payload", 12)]
    usage = week_usage(WEEK, rows, holes={"pool-history": list(range(7))})
    jobs = figures_of(usage)["payload_jobs"]
    assert (jobs.state, jobs.value) == (FigureState.PARTIAL, 12)


def test_of_two_sources_the_one_that_lacks_days_is_named() -> None:
    usage = week_usage(WEEK, [])
    other = replace(usage.coverage[0], source="other-history", days=frozenset(DAYS[:5]))
    lack = lack_of(replace(usage, coverage=(*usage.coverage, other)), "payload", AS_OF)
    assert lack.reason == "other-history: 5 of 7 days"


def test_of_sources_that_were_not_read_each_says_why() -> None:
    usage = week_usage(WEEK, [], holes={"pool-history": list(range(7))})
    other = replace(usage.coverage[0], source="other", reasons={DAYS[0]: "its records begin later"})
    lack = lack_of(replace(usage, coverage=(*usage.coverage, other)), "payload", AS_OF)
    assert lack.nothing_seen
    assert lack.reason == "other: its records begin later; pool-history: the history was rotated away"


def test_a_running_week_is_to_date() -> None:
    wednesday = MONDAY + timedelta(days=2, hours=9)
    usage = week_usage(WEEK, [usage_day("cms", "ITB-CONDOR", DAYS[0], "payload", 5)])
    jobs = figures_of(usage, as_of=wednesday)["payload_jobs"]
    assert (jobs.state, jobs.reason) == (FigureState.PARTIAL, "to date")


def test_a_week_that_has_not_begun_is_missing() -> None:
    jobs = figures_of(week_usage(WEEK, []), as_of=MONDAY - timedelta(days=1))["payload_jobs"]
    assert jobs.state is FigureState.MISSING


def test_jobs_without_processor_time_stay_out_of_the_ratio_and_are_counted() -> None:
    rows = [
        usage_day("cms", "ITB-CONDOR", DAYS[0], "pilot", 3, hours=1),
        usage_day(
            "cms",
            "ITB-SLURM",
            DAYS[0],
            "pilot",
            5,
            cpu_seconds=None,
            cpu_core_seconds=None,
            jobs_without_cpu=5,
        ),
    ]
    ratio = figures_of(week_usage(WEEK, rows))["cpu_efficiency"]
    assert ratio.value == pytest.approx(80)
    assert ratio.reason == "5 of 8 jobs state no processor time"


def test_a_ratio_of_no_jobs_is_missing() -> None:
    assert figures_of(week_usage(WEEK, []))["cpu_efficiency"].reason == "no jobs"


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (Figure.missing("wall_hours", "hours", "not read", as_of=AS_OF), "the week before was not observed"),
        (Figure.known("wall_hours", 3, "hours", as_of=AS_OF, lacking="x"), "the week before is partial"),
        (Figure.known("wall_hours", 0, "hours", as_of=AS_OF), "the week before was zero"),
    ],
)
def test_there_is_no_change_against_what_was_not_seen(before: Figure, reason: str) -> None:
    now = Figure.known("wall_hours", 100, "hours", as_of=AS_OF)
    found = change("wall_hours_change", now, before)
    assert (found.value, found.reason) == (None, reason)


def test_there_is_no_change_of_half_a_week() -> None:
    now = Figure.known("wall_hours", 100, "hours", as_of=AS_OF, lacking="3 of 7 days")
    found = change("wall_hours_change", now, Figure.known("wall_hours", 200, "hours", as_of=AS_OF))
    assert (found.value, found.reason) == (None, "this week is partial")


@given(now=st.integers(0, 10**9), before=st.integers(1, 10**9))
def test_change_is_percent_of_the_week_before(now: int, before: int) -> None:
    found = change(
        "c", Figure.known("n", now, "jobs", as_of=AS_OF), Figure.known("n", before, "jobs", as_of=AS_OF)
    )
    assert found.value == pytest.approx(100 * (now - before) / before)


def spell(start: float, end: float, *, complete: bool = True, **running: int) -> RunningSpell:
    """Hours of the week, and what ran."""
    hour = timedelta(hours=1)
    return RunningSpell(
        interval=Interval(MONDAY + start * hour, MONDAY + end * hour), running=running, complete=complete
    )


def test_running_pilots_are_a_mean_over_time_and_a_peak() -> None:
    usage = replace(week_usage(WEEK, []), pilots=(spell(0, 1, cms=10), spell(1, 4, cms=60, ligo=2)))
    mean, peak = running_figures(usage, "pilots", "cms", AS_OF)
    assert mean.value == pytest.approx((10 + 3 * 60) / 4)
    assert peak.value == 60
    assert mean.reason == peak.reason == "seen for 4.0 h of 168.0 h"


def test_a_week_seen_throughout_gives_a_full_figure_and_an_absent_vo_is_zero() -> None:
    usage = replace(week_usage(WEEK, []), pilots=(spell(0, 168, cms=7),))
    mean, peak = running_figures(usage, "pilots", "cms", AS_OF)
    assert (mean.state, mean.value, peak.value) == (FigureState.VALUE, 7, 7)
    assert running_figures(usage, "pilots", "ligo", AS_OF)[0].state is FigureState.ZERO


def test_a_queue_that_did_not_answer_is_said() -> None:
    usage = replace(
        week_usage(WEEK, []), pilots=(spell(0, 166, cms=7), spell(166, 168, cms=7, complete=False))
    )
    assert running_figures(usage, "pilots", "cms", AS_OF)[0].reason == "not whole for 2.0 h"


def test_cycles_of_another_week_do_not_count() -> None:
    usage = replace(week_usage(WEEK, []), pilots=(spell(-2, -1, cms=7),))
    assert [figure.value for figure in running_figures(usage, "pilots", "cms", AS_OF)] == [None, None]


def test_weeks_are_utc_mondays() -> None:
    assert DAYS[0] == MONDAY.date() == datetime(2026, 11, 9, tzinfo=UTC).date()
    assert days_of(week_usage(BEFORE, []))[-1] == DAYS[0] - timedelta(days=1)


def test_running_jobs_of_all_vos_are_added_up() -> None:
    usage = replace(week_usage(WEEK, []), jobs=(spell(0, 84, cms=10, ligo=1), spell(84, 168, cms=3)))
    mean, peak = running_figures(usage, "jobs", None, AS_OF, suffix="_of_all")
    assert (mean.name, mean.value, peak.value) == ("running_jobs_mean_of_all", 7, 11)
    assert mean.dimensions == {}
    assert running_figures(usage, "pilots", None, AS_OF)[0].state is FigureState.MISSING


def test_other_jobs_of_a_site_are_no_vos() -> None:
    rows = [usage_day("VO not stated", "ITB-SLURM", DAYS[0], "batch", 4, hours=1)]
    usage = week_usage(WEEK, rows)
    jobs, core_hours = batch_figures(usage, "ITB-SLURM", AS_OF)
    assert (jobs.name, jobs.value, dict(jobs.dimensions)) == ("batch_jobs", 4, {"site": "ITB-SLURM"})
    assert core_hours.value == pytest.approx(8)
    totals = {figure.name: figure.value for figure in usage_figures(usage, {}, AS_OF)}
    assert (totals["pilot_jobs"], totals["payload_jobs"]) == (0, 0)
