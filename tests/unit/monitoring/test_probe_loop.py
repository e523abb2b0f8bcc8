"""The probe loop: what is due, bounded threads, and probes that hang or break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from opengoc.base.errors import Temporary
from opengoc.monitoring import loop
from opengoc.monitoring.loop import due, run_checks
from opengoc.monitoring.model import CurrentStatus, Finding, ProbeResult, RunOutcome, Status, Target
from opengoc.monitoring.probes.check import Check

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
FINE = Finding(status=Status.OK, summary="fine")


@dataclass(frozen=True)
class Calls:
    """A probe that calls a function."""

    answer: Callable[[], Finding]

    def run(self, _timeout_seconds: float, /) -> Finding:
        return self.answer()


def check(name: str, answer: Callable[[], Finding] = lambda: FINE, *, timeout: float = 30) -> Check:
    return Check(
        metric=name,
        target=Target("CE1", "CE"),
        probe=Calls(answer),
        interval_seconds=300,
        timeout_seconds=timeout,
    )


def answered(name: str, minutes_ago: float) -> CurrentStatus:
    return CurrentStatus(
        metric=name,
        target=Target("CE1", "CE"),
        status=Status.OK,
        since=NOON,
        at=NOON - timedelta(minutes=minutes_ago),
        summary="",
        outcome=RunOutcome.DONE,
    )


def run(*checks: Check, workers: int = 4) -> list[ProbeResult]:
    return run_checks(checks, workers=workers, agent="goc.example.org", clock=lambda: NOON)


def test_due_is_what_never_answered_and_what_answered_an_interval_ago() -> None:
    checks = [check("never"), check("fresh"), check("late"), check("just")]
    current = [answered("fresh", 4.9), answered("late", 30), answered("just", 5), answered("gone", 99)]
    assert [c.metric for c in due(checks, current, NOON)] == ["never", "late", "just"]


def test_every_check_gives_one_result_with_its_duration_and_agent() -> None:
    results = run(check("one"), check("two"))
    assert {r.metric for r in results} == {"one", "two"}
    assert all(r.status is Status.OK and r.at == NOON and r.agent == "goc.example.org" for r in results)
    assert run() == []


def test_a_probe_that_cannot_run_is_unknown_with_the_reason() -> None:
    def away() -> Finding:
        raise Temporary("the factory's schedd is away")

    (result,) = run(check("ce", away))
    assert (result.status, result.outcome) == (Status.UNKNOWN, RunOutcome.FAILED)
    assert result.summary == "the factory's schedd is away"


def test_a_defect_of_one_probe_costs_that_result_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda arguments: told.set())

    def defect() -> Finding:
        raise KeyError("oops")

    results = {r.metric: r for r in run(check("bad", defect), check("good"), check("more"), workers=1)}
    assert (results["bad"].status, results["bad"].outcome) == (Status.UNKNOWN, RunOutcome.FAILED)
    assert results["good"].status is results["more"].status is Status.OK
    assert told.wait(10)


def test_a_probe_that_hangs_is_unknown_and_its_place_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_GRACE_SECONDS", 0.0)
    release = threading.Event()

    def hang() -> Finding:
        release.wait(30)
        return FINE

    began = time.monotonic()
    results = {r.metric: r for r in run(check("hangs", hang, timeout=0.2), check("after"), workers=1)}
    release.set()
    assert time.monotonic() - began < 60
    assert (results["hangs"].status, results["hangs"].outcome) == (Status.UNKNOWN, RunOutcome.TIMEOUT)
    assert results["after"].status is Status.OK


def test_no_more_probes_run_at_once_than_workers() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def count() -> Finding:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return FINE

    assert len(run(*(check(f"m{n}", count) for n in range(9)), workers=3)) == 9
    assert most == 3


def test_the_threads_end_with_the_last_check() -> None:
    run(*(check(f"m{n}") for n in range(5)))
    deadline = time.monotonic() + 10
    while _probe_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _probe_threads() == []


def _probe_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "probe"]
