"""What a probe may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from opengoc.base.errors import InvalidInput
from opengoc.monitoring.model import Finding, ProbeResult, RunOutcome, Status

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)


def result(**changed: object) -> ProbeResult:
    values = {
        "metric": "ping",
        "resource": "CE1",
        "service": "CE",
        "status": Status.OK,
        "at": NOON,
        "summary": "fine",
        "agent": "goc",
    }
    return ProbeResult(**(values | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [Status.DOWNTIME, Status.EXCLUDED])
def test_no_probe_answers_a_state_that_only_the_centre_can_give(status: Status) -> None:
    with pytest.raises(InvalidInput, match="must be one of"):
        result(status=status)


@pytest.mark.parametrize("status", [Status.OK, Status.WARNING, Status.CRITICAL, Status.MISSING])
@pytest.mark.parametrize("outcome", [RunOutcome.TIMEOUT, RunOutcome.FAILED])
def test_a_probe_that_could_not_run_is_unknown_and_nothing_else(status: Status, outcome: RunOutcome) -> None:
    with pytest.raises(InvalidInput, match="must be UNKNOWN"):
        result(status=status, outcome=outcome)
    with pytest.raises(InvalidInput, match="must be UNKNOWN"):
        Finding(status=status, summary="", outcome=outcome)
    assert result(status=Status.UNKNOWN, outcome=outcome).status is Status.UNKNOWN


def test_a_result_s_time_is_a_whole_utc_second() -> None:
    local = datetime(2026, 11, 16, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert result(at=local).at == NOON
    with pytest.raises(InvalidInput, match="needs a time zone"):
        result(at=datetime(2026, 11, 16))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["metric", "resource", "service", "agent"])
def test_a_result_names_what_who_and_by_whom(name: str) -> None:
    with pytest.raises(InvalidInput, match="must not be empty"):
        result(**{name: ""})
