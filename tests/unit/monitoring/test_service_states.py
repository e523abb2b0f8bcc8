"""How services stand now: never up without a fresh answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.monitoring.small_registry import registry

from opengoc.base.interval import Interval
from opengoc.monitoring.model import CurrentStatus, RunOutcome, Status, Target
from opengoc.monitoring.standing import ServiceState, service_states
from opengoc.registry.downtime import Downtime, Severity

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
CE = Target("alpha-ce1", "CE")
INTERVALS = {("job", CE): 300.0, ("port", CE): 300.0}


def answer(status: Status, *, metric: str = "job", minutes_ago: float = 1) -> CurrentStatus:
    return CurrentStatus(
        metric=metric,
        target=CE,
        status=status,
        since=NOON - timedelta(hours=2),
        at=NOON - timedelta(minutes=minutes_ago),
        summary=f"{metric} says {status}",
        outcome=RunOutcome.DONE,
    )


def state(*answers: CurrentStatus, downtimes: tuple[Downtime, ...] = ()) -> ServiceState:
    (found,) = service_states(registry(downtimes), answers, INTERVALS, now=NOON)
    return found


def test_the_gravest_metric_decides() -> None:
    found = state(answer(Status.CRITICAL), answer(Status.OK, metric="port"))
    assert (found.site, found.status, found.decided_by) == ("ALPHA", Status.CRITICAL, "job")
    assert found.since == NOON - timedelta(hours=2)


def test_a_check_that_never_answered_is_missing_and_hides_no_outage() -> None:
    assert state(answer(Status.OK)).status is Status.MISSING
    assert state().since is None
    assert state(answer(Status.CRITICAL)).status is Status.CRITICAL


def test_an_answer_older_than_three_intervals_is_missing_since_it_went_stale() -> None:
    found = state(answer(Status.OK, minutes_ago=15.1), answer(Status.OK, metric="port"))
    assert (found.status, found.decided_by) == (Status.MISSING, "job")
    assert found.since == NOON - timedelta(minutes=0.1)
    assert found.summary == "no result since; the last was OK: job says OK"
    fresh = state(answer(Status.OK, minutes_ago=15), answer(Status.OK, metric="port"))
    assert fresh.status is Status.OK


def test_a_downtime_lies_over_what_the_probes_say() -> None:
    outage = Downtime(
        id="dt-1",
        resource="alpha-ce1",
        services=("CE",),
        interval=Interval(NOON - timedelta(minutes=10), NOON + timedelta(hours=1)),
        severity=Severity.OUTAGE,
        description="new disks",
    )
    found = state(answer(Status.CRITICAL), answer(Status.OK, metric="port"), downtimes=(outage,))
    assert (found.status, found.decided_by, found.summary) == (Status.DOWNTIME, "dt-1", "new disks")
    assert found.since == NOON - timedelta(minutes=10)
