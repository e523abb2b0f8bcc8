"""The probe loop: which checks are due, run them with bounded threads, keep what they found.

Level-triggered: killed at any line, the next cycle sees from the kept results what is due and does it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue

from opengoc.base.errors import GocError
from opengoc.monitoring.model import CurrentStatus, Finding, ProbeResult, RunOutcome, Status, Target
from opengoc.monitoring.probes.answers import could_not_probe
from opengoc.monitoring.probes.check import Check

_LOG = logging.getLogger(__name__)

#: Probes keep their own deadline; one that overruns it by this much is given up.
_GRACE_SECONDS = 10.0

_BROKE_OFF = Finding(
    status=Status.UNKNOWN,
    summary="the probe broke off: see the log",
    outcome=RunOutcome.FAILED,
)


def due(checks: Iterable[Check], current: Iterable[CurrentStatus], now: datetime) -> list[Check]:
    """Checks whose last result is an interval old, or that have none; the longest overdue first."""
    last: Mapping[tuple[str, Target], datetime] = {(s.metric, s.target): s.at for s in current}
    waiting: list[tuple[float, str, Check]] = []
    for check in checks:
        at = last.get((check.metric, check.target))
        overdue = float("inf") if at is None else (now - at).total_seconds() - check.interval_seconds
        if overdue >= 0:
            waiting.append((-overdue, str(check), check))
    return [check for _, _, check in sorted(waiting, key=lambda item: item[:2])]


@dataclass(eq=False)
class _Run:
    check: Check
    began: float
    deadline: float
    finding: Finding = _BROKE_OFF


#: What came of a run: its check, what it found, and how many seconds it took.
_Outcome = tuple[Check, Finding, float]


class _Threads:
    """Threads that wait for runs: as many as asked for, less those stuck in a probe that was given up.

    They live until all runs are over: a session to HTCondor lives no longer than the thread that used it
    first.
    """

    def __init__(self, count: int) -> None:
        self._waiting: SimpleQueue[_Run | None] = SimpleQueue()
        self._ended: SimpleQueue[_Run] = SimpleQueue()
        self._running: set[_Run] = set()
        for _ in range(count):
            self._add()

    @property
    def busy(self) -> int:
        """Runs under way."""
        return len(self._running)

    def begin(self, check: Check) -> None:
        """Hand a check to a free thread."""
        began = time.monotonic()
        run = _Run(check, began, began + check.timeout_seconds + _GRACE_SECONDS)
        self._running.add(run)
        self._waiting.put(run)

    def collect(self) -> list[_Outcome]:
        """Wait until a run ends or passes its deadline; none when one ends that was given up before."""
        first = min(run.deadline for run in self._running)
        try:
            ended = self._ended.get(timeout=max(0.0, first - time.monotonic()))
        except Empty:
            late = [run for run in self._running if run.deadline <= time.monotonic()]
            return [self._close(run, _given_up(run.check)) for run in late]
        return [self._close(ended, ended.finding)] if ended in self._running else []

    def end(self) -> None:
        """Let every thread go that is free, and the others once they are."""
        self._waiting.put(None)

    def _close(self, run: _Run, finding: Finding) -> _Outcome:
        self._running.remove(run)
        if finding is not run.finding or finding is _BROKE_OFF:
            # The thread is stuck, or it ended with the probe.
            self._add()
        return run.check, finding, time.monotonic() - run.began

    def _add(self) -> None:
        # A daemon: a probe that hangs must not keep the process from ending.
        threading.Thread(target=self._work, name="probe", daemon=True).start()

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None:
            try:
                run.finding = run.check.probe.run(run.check.timeout_seconds)
            except GocError as error:
                run.finding = could_not_probe(str(error))
            finally:
                # A defect of the probe goes to the thread's excepthook and ends the thread.
                self._ended.put(run)
        # For the next thread.
        self._waiting.put(None)


def run_checks(
    checks: Sequence[Check],
    *,
    workers: int,
    agent: str,
    clock: Callable[[], datetime],
    tell: Callable[[ProbeResult], None] = lambda _: None,
) -> list[ProbeResult]:
    """Run every check once, at most ``workers`` at a time; one result each, in order of their ends.

    A run that passes its deadline is UNKNOWN and its thread is given up; what it finds later is dropped.
    ``tell`` is called with each result as it comes.
    """
    waiting, results = deque(checks), list[ProbeResult]()
    threads = _Threads(min(workers, len(checks)))
    try:
        while waiting or threads.busy:
            while waiting and threads.busy < workers:
                threads.begin(waiting.popleft())
            for outcome in threads.collect():
                results.append(_result(outcome, agent, clock()))
                tell(results[-1])
    finally:
        threads.end()
    return results


def _given_up(check: Check) -> Finding:
    return Finding(
        status=Status.UNKNOWN,
        summary=f"no answer within {check.timeout_seconds:g} s",
        outcome=RunOutcome.TIMEOUT,
    )


def _result(outcome: _Outcome, agent: str, at: datetime) -> ProbeResult:
    check, finding, seconds = outcome
    _LOG.info(
        "action=probed metric=%s resource=%s service=%s status=%s outcome=%s seconds=%.2f",
        check.metric,
        check.target.resource,
        check.target.service,
        finding.status.value,
        finding.outcome.value,
        seconds,
    )
    return ProbeResult(
        metric=check.metric,
        resource=check.target.resource,
        service=check.target.service,
        status=finding.status,
        at=at,
        summary=finding.summary,
        detail=finding.detail,
        duration_seconds=round(seconds, 3),
        agent=agent,
        outcome=finding.outcome,
    )
