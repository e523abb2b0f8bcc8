"""Downtimes: state and class are derived, and hold at the very second of every edge."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.registry.downtime import (
    NOTICE_EGI,
    NOTICE_OSG,
    Downtime,
    DowntimeClass,
    DowntimeState,
    Severity,
)

START = datetime(2026, 11, 14, 6, tzinfo=UTC)
END = datetime(2026, 11, 14, 18, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def downtime(**changes: object) -> Downtime:
    given_fields: dict[str, object] = {
        "id": "9001",
        "resource": "ITB-SLURM-CE",
        "services": ("CE",),
        "interval": Interval(START, END),
        "severity": Severity.OUTAGE,
        "declared_at": START - timedelta(days=4),
    }
    return Downtime(**(given_fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (START - SECOND, DowntimeState.PLANNED),
        (START, DowntimeState.ACTIVE),
        (END - SECOND, DowntimeState.ACTIVE),
        (END, DowntimeState.ENDED),
    ],
)
def test_the_first_second_is_active_and_the_end_is_not(now: datetime, state: DowntimeState) -> None:
    assert downtime().state(now) is state


@given(st.integers(min_value=-200, max_value=200))
def test_a_cancelled_downtime_is_cancelled_at_every_moment(hours: int) -> None:
    cancelled = downtime(cancelled_at=START + timedelta(hours=1))
    assert cancelled.state(START + timedelta(hours=hours)) is DowntimeState.CANCELLED
    assert not cancelled.is_outage


@pytest.mark.parametrize("notice", [NOTICE_EGI, NOTICE_OSG])
def test_exactly_the_notice_asked_for_is_in_time_and_a_second_less_is_not(notice: timedelta) -> None:
    in_time = downtime(declared_at=START - notice)
    late = downtime(declared_at=START - notice + SECOND)
    assert in_time.derived_class(notice) is DowntimeClass.SCHEDULED
    assert late.derived_class(notice) is DowntimeClass.UNSCHEDULED


def test_the_claimed_class_does_not_change_the_derived_one() -> None:
    claimed = downtime(declared_at=START, claimed_class=DowntimeClass.SCHEDULED)
    assert claimed.derived_class() is DowntimeClass.UNSCHEDULED
    assert claimed.claimed_class is DowntimeClass.SCHEDULED


def test_without_a_declaration_time_the_class_is_unknown() -> None:
    assert downtime(declared_at=None).derived_class() is None


@pytest.mark.parametrize(
    ("severity", "is_outage"),
    [
        (Severity.OUTAGE, True),
        (Severity.SEVERE, True),
        (Severity.INTERMITTENT, False),
        (Severity.NO_OUTAGE, False),
    ],
)
def test_outages_stop_work_and_risks_do_not(severity: Severity, is_outage: bool) -> None:
    assert downtime(severity=severity).is_outage is is_outage


@pytest.mark.parametrize(
    "changes",
    [
        {"services": ()},
        {"services": ("CE", "CE")},
        {"interval": Interval(START)},
        {"declared_at": datetime(2026, 11, 1)},  # noqa: DTZ001
        {"id": ""},
    ],
)
def test_what_is_no_downtime_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        downtime(**changes)
