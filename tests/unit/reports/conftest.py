"""The example week as inputs and as a report."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.reports.example_week import AS_OF, BEFORE, MONDAY, WEEK, week_rows, week_usage

from opengoc.base.figure import Figure
from opengoc.base.interval import Interval, week
from opengoc.reports.inputs import (
    DowntimeNews,
    EntryWeek,
    FactoryWeek,
    Monitoring,
    ReportInputs,
    Running,
    RunningSpell,
    ServiceStatus,
    WeekUsage,
)
from opengoc.reports.model import Note, Report, Spell, SpellState, Strip
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
    hours = timedelta(hours=1)
    interval = usage.interval
    assert interval.end is not None
    spells = (
        Spell(interval=Interval(MONDAY, MONDAY + 30 * hours), state=SpellState.OK),
        Spell(interval=Interval(MONDAY + 30 * hours, MONDAY + 34 * hours), state=SpellState.CRITICAL),
        Spell(interval=Interval(MONDAY + 34 * hours, MONDAY + 60 * hours), state=SpellState.WARNING),
        Spell(interval=Interval(MONDAY + 60 * hours, MONDAY + 84 * hours), state=SpellState.DOWNTIME),
        Spell(interval=Interval(MONDAY + 84 * hours, MONDAY + 100 * hours), state=SpellState.UNKNOWN),
        Spell(interval=Interval(MONDAY + 100 * hours, interval.end), state=SpellState.OK),
    )
    whole = (Spell(interval=interval, state=SpellState.OK),)
    site = {"site": "ITB-SLURM"}
    figures = (
        Figure.known("availability", 99.97, "percent", as_of=AS_OF, dimensions={"site": "ITB-CONDOR"}),
        Figure.known("reliability", 100.0, "percent", as_of=AS_OF, dimensions={"site": "ITB-CONDOR"}),
        Figure.known("availability", 81.25, "percent", as_of=AS_OF, lacking="16 h unknown", dimensions=site),
        Figure.missing("reliability", "percent", "no result of Friday", as_of=AS_OF, dimensions=site),
    )
    downtime = DowntimeNews(
        id="9001",
        what="cancelled",
        at=MONDAY + 26 * hours,
        who="site administrator",
        where="ITB-SLURM-CE (CE)",
        interval=Interval(MONDAY + 60 * hours, MONDAY + 84 * hours),
        severity="Outage",
        description="Scheduler upgrade",
        why="the new release is late",
    )
    note = Note(
        id="n-1",
        section="vo-cms",
        text="Reprocessing of 2025 data ends on Friday.",
        who="production coordinator",
        written_at=AS_OF - hours,
    )
    return ReportInputs(
        vos=("cms", "ligo"),
        usage=WeekUsage(
            week=usage.week,
            interval=usage.interval,
            days=usage.days,
            coverage=usage.coverage,
            evidence=usage.evidence,
            pilots=(
                RunningSpell(interval=Interval(MONDAY, MONDAY + hours), running={"cms": 12}),
                RunningSpell(interval=Interval(MONDAY + hours, MONDAY + 3 * hours), running={}),
            ),
        ),
        before=usage_before,
        monitoring=Monitoring(
            figures=figures,
            strips=(Strip(name="ITB-CONDOR", spells=whole), Strip(name="ITB-SLURM", spells=spells)),
            services=(
                ServiceStatus(site="ITB-CONDOR", resource="ITB-CONDOR-CE", service="CE", status="OK"),
                ServiceStatus(
                    site="ITB-SLURM",
                    resource="ITB-SLURM-CE",
                    service="CE",
                    status="CRITICAL",
                    since=MONDAY + 150 * hours,
                    message="connection refused",
                ),
            ),
        ),
        factory=FactoryWeek(
            configurations=(Running(digest="9f2c" * 16, since=MONDAY + 5 * hours),),
            entries=(
                EntryWeek(entry="ITB-CONDOR-2core", site="ITB-CONDOR", submitted=280, peak_running=8),
                EntryWeek(
                    entry="ITB-SLURM-1core",
                    site="ITB-SLURM",
                    submitted=0,
                    peak_running=0,
                    limits=("outage for 24.0 h: downtime 9001",),
                ),
            ),
            seen_seconds=week(WEEK).seconds,
            elapsed_seconds=week(WEEK).seconds,
            findings=("2026-11-10 16:00 UTC, ITB-SLURM-1core: a pilot ran an old digest",),
        ),
        downtimes=(downtime,),
        downtimes_ahead=("FNAL-CE (CE): 2026-11-30 08:00 UTC to 2026-11-30 20:00 UTC, Outage – power works",),
        notes=(note,),
    )


@pytest.fixture
def report(inputs: ReportInputs) -> Report:
    """The draft of that week, two days after it ended."""
    return build(inputs, WEEK, AS_OF, AS_OF)
