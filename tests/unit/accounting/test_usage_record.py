"""A usage record is valid or does not exist."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from opengoc.accounting.model import Kind, UsageRecord
from opengoc.base.errors import InvalidInput

END = datetime(2026, 11, 18, 12, tzinfo=UTC)


def record(**changes: Any) -> UsageRecord:
    values: dict[str, Any] = {
        "instance": "schedd.example",
        "global_job_id": "schedd.example#1.0#1795367893",
        "attempt": 0,
        "kind": Kind.PAYLOAD,
        "site": "ITB-CONDOR",
        "resource": "itb-ce",
        "vo": "cms",
        "user": "cmsuser@example",
        "project": None,
        "queue": None,
        "submitted_at": END - timedelta(hours=3),
        "started_at": END - timedelta(hours=1),
        "ended_at": END,
        "wall_seconds": 3600.0,
        "cpu_user_seconds": 3000.0,
        "cpu_system_seconds": 60.0,
        "processors": 2,
        "memory_mib": 512,
        "status": "completed",
        "exit_code": 0,
        "exit_signal": None,
        "policy_digest": None,
        "pilot_id": None,
        "entry": None,
        "sequence": 1,
    }
    return UsageRecord(**(values | changes))


def test_core_seconds_are_wall_times_processors() -> None:
    assert record().core_seconds == 7200.0
    assert record().cpu_seconds == 3060.0


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"started_at": END + timedelta(seconds=1)}, "before the start"),
        ({"ended_at": datetime(1970, 1, 1, tzinfo=UTC), "started_at": None}, "before 1990"),
        ({"ended_at": END.replace(tzinfo=None)}, "must be UTC"),
        ({"ended_at": END.astimezone(timezone(timedelta(hours=1)))}, "must be UTC"),
        ({"wall_seconds": -1.0}, "negative"),
        ({"wall_seconds": float("nan")}, "negative"),
        ({"wall_seconds": float("inf")}, "negative"),
        ({"cpu_user_seconds": -0.5}, "negative"),
        ({"processors": 0}, "at least 1"),
        ({"processors": 2**31}, "at least 1"),
        ({"memory_mib": -1}, "not negative"),
        ({"attempt": 2**63}, "64 bits"),
        ({"jobs": 10**9 + 1}, "from 1 to"),
        ({"bytes": 2**60 + 1}, "at most"),
        ({"exit_code": 2**40}, "32 bits"),
        ({"global_job_id": ""}, "must not be empty"),
        ({"instance": ""}, "must not be empty"),
    ],
)
def test_a_broken_rule_is_named(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        record(**changes)


def test_more_cpu_than_the_processors_can_give_is_kept_as_suspect() -> None:
    assert not record(cpu_user_seconds=7200.0, cpu_system_seconds=0.0).suspect
    assert record(cpu_user_seconds=7200.0, cpu_system_seconds=1.0).suspect


def test_cpu_that_was_not_measured_is_none_and_not_suspect() -> None:
    unmeasured = record(cpu_user_seconds=None, cpu_system_seconds=None, wall_seconds=0.0)
    assert unmeasured.cpu_seconds is None
    assert not unmeasured.suspect
    assert record(cpu_user_seconds=None).cpu_seconds == 60.0


def test_a_restated_record_keeps_its_identity() -> None:
    assert record(vo="atlas", ended_at=END + timedelta(seconds=5)).identity == record().identity
    assert record(attempt=1).identity != record().identity
