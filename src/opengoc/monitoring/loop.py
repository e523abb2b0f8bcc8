"""The probe loop: which checks are due, run them with bounded threads, keep what they found.

Level-triggered: killed at any line, the next cycle sees from the kept results what is due and does it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue

from opengoc.base.errors import GocError
from opengoc.monitoring.model import CurrentStatus, Finding, ProbeResult, RunOutcome, Status, Target
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
    deadline: float
    began: float = field(default_factory=time.monotonic)
    finding: Finding = _BROKE_OFF
    seconds: float = 0.0


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
    waiting, running = deque(checks), set[_Run]()
    ended: SimpleQueue[_Run] = SimpleQueue()
    results: list[ProbeResult] = []

    def keep(run: _Run) -> None:
        running.discard(run)
        results.append(_result(run, agent, clock()))
        tell(results[-1])

    while waiting or running:
        while waiting and len(running) < workers:
            running.add(_start(waiting.popleft(), ended))
        try:
            run = ended.get(timeout=max(0.0, min(r.deadline for r in running) - time.monotonic()))
        except Empty:
            for late in [r for r in running if r.deadline <= time.monotonic()]:
                # A copy: the thread that is given up may still write into its own.
                keep(_Run(late.check, late.deadline, late.began, _given_up(late.check), _age(late)))
                running.discard(late)
            continue
        if run in running:
            keep(run)
    return results


def _start(check: Check, ended: SimpleQueue[_Run]) -> _Run:
    run = _Run(check, time.monotonic() + check.timeout_seconds + _GRACE_SECONDS)

    def work() -> None:
        try:
            run.finding = check.probe.run(check.timeout_seconds)
        except GocError as error:
            run.finding = Finding(status=Status.UNKNOWN, summary=str(error), outcome=RunOutcome.FAILED)
        finally:
            # A defect of the probe goes to the thread's excepthook; its result is then UNKNOWN.
            run.seconds = _age(run)
            ended.put(run)

    # A daemon: a probe that hangs must not keep the process from ending.
    threading.Thread(target=work, name=f"probe {check}", daemon=True).start()
    return run


def _age(run: _Run) -> float:
    return time.monotonic() - run.began


def _given_up(check: Check) -> Finding:
    return Finding(
        status=Status.UNKNOWN,
        summary=f"no answer within {check.timeout_seconds:g} s",
        outcome=RunOutcome.TIMEOUT,
    )


def _result(run: _Run, agent: str, at: datetime) -> ProbeResult:
    check, finding = run.check, run.finding
    _LOG.info(
        "action=probed metric=%s resource=%s service=%s status=%s outcome=%s seconds=%.2f",
        check.metric,
        check.target.resource,
        check.target.service,
        finding.status.value,
        finding.outcome.value,
        run.seconds,
    )
    return ProbeResult(
        metric=check.metric,
        resource=check.target.resource,
        service=check.target.service,
        status=finding.status,
        at=at,
        summary=finding.summary,
        detail=finding.detail,
        duration_seconds=round(run.seconds, 3),
        agent=agent,
        outcome=finding.outcome,
    )
