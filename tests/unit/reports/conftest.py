"""The example week as inputs and as a report."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.reports.example_week import (
    AS_OF,
    BEFORE,
    DOWNTIME,
    HOUR,
    MONDAY,
    NOTE,
    WEEK,
    week_factory,
    week_monitoring,
    week_rows,
    week_usage,
)

from opengoc.base.interval import Interval
from opengoc.reports.inputs import ReportInputs, RunningSpell, WeekUsage
from opengoc.reports.model import Report
from opengoc.reports.weekly import build


@pytest.fixture
def usage() -> WeekUsage:
    """The week: the site's history of Thursday is lost."""
    return week_usage(WEEK, week_rows(WEEK, 40), holes={"site-history": [3]})


@pytest.fixture
def usage_before() -> WeekUsage:
    """The week before, read in full."""
    return week_usage(BEFORE, week_rows(BEFORE, 30))


@pytest.fixture
def inputs(usage: WeekUsage, usage_before: WeekUsage) -> ReportInputs:
    """All inputs of a finished week."""
    spells = (
        RunningSpell(interval=Interval(MONDAY, MONDAY + HOUR), running={"cms": 12}),
        RunningSpell(interval=Interval(MONDAY + HOUR, MONDAY + 3 * HOUR), running={}),
    )
    return ReportInputs(
        vos=("cms", "ligo"),
        usage=replace(usage, pilots=spells),
        before=usage_before,
        monitoring=week_monitoring(),
        factory=week_factory(),
        downtimes=(DOWNTIME,),
        downtimes_ahead=("FNAL-CE (CE): 2026-11-30 08:00 UTC to 2026-11-30 20:00 UTC, Outage – power works",),
        notes=(NOTE,),
    )


@pytest.fixture
def report(inputs: ReportInputs) -> Report:
    """The draft of that week, two days after it ended."""
    return build(inputs, WEEK, AS_OF, AS_OF)
