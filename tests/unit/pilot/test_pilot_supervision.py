"""When a pilot ends, why, and in which stages: decided from what is seen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goc_pilot.condor_config import Times
from goc_pilot.ends import EXIT_CODES, Ending
from goc_pilot.supervision import Limits, Seen, Shutdown, next_shutdown

TIMES = Times(begun=0.0, accepts_until=6000.0, stops_at=7000.0, ends_at=7060.0)
LIMITS = Limits(idle_seconds=300, signal_grace_seconds=20, vacate_seconds=10)
QUIET: dict[str, Any] = {
    "now": 100.0,
    "launched_at": 90.0,
    "master_status": None,
    "startd_starts": 1,
    "startd_status": None,
    "startd_idle": False,
    "claims": 1,
    "idle_since": 100.0,
    "signal_name": "",
    "signalled_at": None,
}


def decided(under_way: Shutdown | None = None, **changes: Any) -> Shutdown | None:
    return next_shutdown(Seen(**{**QUIET, **changes}), TIMES, LIMITS, under_way)


def reason(**changes: Any) -> str:
    shutdown = decided(**changes)
    assert shutdown is not None
    return shutdown.ending.reason


def test_a_pilot_with_a_job_goes_on() -> None:
    assert decided() is None


def test_a_pilot_that_waits_for_its_first_log_line_goes_on() -> None:
    assert decided(startd_starts=0, claims=0) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"claims": 0, "now": 400.0}, "idle"),
        ({"startd_idle": True, "startd_status": 0, "master_status": 0}, "idle"),
        ({"now": 7000.0, "idle_since": 7000.0}, "walltime"),
        ({"now": 6000.0, "idle_since": 6000.0, "claims": 0}, "walltime"),
        ({"startd_status": 0}, "drained"),
        ({"startd_status": 99}, "drained"),
        ({"startd_status": 4}, "startd-died"),
        ({"startd_starts": 2}, "startd-died"),
        ({"startd_starts": 0, "now": 150.0, "idle_since": 150.0}, "startd-died"),
        ({"master_status": -9}, "startd-died"),
        ({"master_status": 0}, "startd-died"),
        ({"signal_name": "SIGTERM", "signalled_at": 99.0}, "signal"),
        ({"signal_name": "SIGTERM", "signalled_at": 99.0, "startd_status": 0}, "signal"),
    ],
)
def test_each_end_has_its_reason(changes: dict[str, Any], expected: str) -> None:
    assert reason(**changes) == expected


def test_a_job_that_runs_at_the_drain_runs_on_until_the_stop() -> None:
    assert decided(now=6999.0, idle_since=6999.0) is None


def test_a_signal_leaves_time_to_quit_and_to_clean_within_the_grace() -> None:
    shutdown = decided(now=100.4, signal_name="SIGTERM", signalled_at=100.0)

    assert shutdown is not None
    assert (shutdown.stage, shutdown.deadline) == ("vacate", 114.0)


def test_a_shutdown_goes_from_vacate_to_quit_to_kill_as_its_deadlines_pass() -> None:
    vacate = Shutdown(ending=Ending("walltime", "x"), stage="vacate", deadline=110.0)

    assert decided(vacate, now=109.0) == vacate
    quit_ = decided(vacate, now=110.0)
    assert quit_ == Shutdown(ending=vacate.ending, stage="quit", deadline=114.0)
    killed = decided(quit_, now=114.0)
    assert killed is not None
    assert killed.stage == "kill"


@pytest.mark.parametrize("changes", [{"now": 400.0}, {"now": 6000.0, "idle_since": 6000.0}])
def test_a_pilot_without_a_job_drains_first(changes: dict[str, Any]) -> None:
    shutdown = decided(claims=0, **changes)

    assert shutdown is not None
    assert (shutdown.stage, shutdown.deadline) == ("drain", changes["now"] + 8.0)
    assert decided(shutdown, claims=0, now=shutdown.deadline - 1.0) == shutdown
    vacate = decided(shutdown, claims=0, now=shutdown.deadline)
    assert vacate == shutdown._replace(stage="vacate", deadline=shutdown.deadline + 18.0)


def test_a_job_that_came_as_the_pilot_gave_up_is_let_finish_up_to_the_stop() -> None:
    drain = Shutdown(ending=Ending("idle", "x"), stage="drain", deadline=108.0)

    assert decided(drain, claims=1, now=6999.0) == drain
    assert decided(drain, claims=1, now=7000.0) == drain._replace(stage="vacate", deadline=7018.0)
    assert decided(drain, claims=0, now=200.0) == drain._replace(stage="vacate", deadline=218.0)


def test_a_signal_cuts_draining_short_within_its_grace() -> None:
    drain = Shutdown(ending=Ending("idle", "x"), stage="drain", deadline=108.0)

    signalled = decided(drain, claims=1, now=150.4, signal_name="SIGTERM", signalled_at=150.0)
    assert signalled == drain._replace(stage="vacate", deadline=164.0)


def test_when_the_master_has_ended_there_is_nothing_left_to_wait_for() -> None:
    vacate = Shutdown(ending=Ending("walltime", "x"), stage="vacate", deadline=110.0)

    assert decided(vacate, master_status=0) == vacate._replace(stage="kill")


def test_the_reason_of_a_shutdown_under_way_does_not_change() -> None:
    vacate = Shutdown(ending=Ending("idle", "x"), stage="vacate", deadline=110.0)
    later = decided(vacate, now=111.0, signal_name="SIGTERM", signalled_at=110.5)

    assert later is not None
    assert later.ending == vacate.ending


@given(st.floats(0, 8000), st.integers(0, 3), st.one_of(st.none(), st.integers(-64, 255)))
def test_every_pilot_stops_before_the_batch_system_ends_it(
    now: float, claims: int, master_status: int | None
) -> None:
    shutdown = decided(now=now, claims=claims, idle_since=now, master_status=master_status)

    if now >= TIMES.stops_at or master_status is not None:
        assert shutdown is not None
    if shutdown is not None:
        assert shutdown.ending.reason in EXIT_CODES


def test_only_planned_ends_are_successes() -> None:
    assert {name for name, code in EXIT_CODES.items() if code == 0} == {"idle", "walltime", "drained"}
    failures = [code for code in EXIT_CODES.values() if code]
    assert len(set(failures)) == len(failures)
