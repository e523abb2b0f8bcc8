"""A week of two VOs at two sites with everything a week can have: a full day, a hole, a zero, a downtime."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from opengoc.base.figure import Figure
from opengoc.base.interval import Interval, week
from opengoc.reports.inputs import (
    Applied,
    Coverage,
    DayUsage,
    DowntimeNews,
    EntryWeek,
    FactoryWeek,
    Finding,
    Monitoring,
    QueueSample,
    ReportInputs,
    ServiceStatus,
    WeekUsage,
)
from opengoc.reports.model import Note, Report, Spell, SpellState, Strip
from opengoc.reports.usage import days_of
from opengoc.reports.weekly import build

WEEK = "2026-W46"
BEFORE = "2026-W45"
MONDAY = week(WEEK).start
AS_OF = datetime(2026, 11, 17, 9, 30, tzinfo=UTC)


def usage_day(
    vo: str, site: str, day: date, kind: str, jobs: int, *, hours: float = 1.5, **more: Any
) -> DayUsage:
    """One row of usage; two cores a job, 80 % of them busy."""
    wall = jobs * hours * 3600
    given: dict[str, Any] = {
        "wall_seconds": wall,
        "core_seconds": 2 * wall,
        "cpu_core_seconds": 2 * wall,
        "cpu_seconds": 1.6 * wall,
    }
    return DayUsage(vo=vo, site=site, day=day, kind=kind, jobs=jobs, **(given | more))


def week_usage(name: str, rows: list[DayUsage], *, holes: dict[str, list[int]] | None = None) -> WeekUsage:
    """A week with one source a kind; ``holes`` names the days (0 is Monday) that a source lacks."""
    empty = WeekUsage(week=name, interval=week(name))
    days = days_of(empty)
    coverage = tuple(
        Coverage(
            source=source,
            kind=kind,
            days=frozenset(day for n, day in enumerate(days) if n not in (holes or {}).get(source, [])),
            reason="the history was rotated away before it was read" if (holes or {}).get(source) else "",
        )
        for source, kind in (("pool-history", "payload"), ("site-history", "pilot"))
    )
    return WeekUsage(
        week=name,
        interval=week(name),
        days=tuple(rows),
        coverage=coverage,
        evidence={"table": "usage", "version": 17},
    )


def _rows(name: str, scale: int) -> list[DayUsage]:
    days = days_of(WeekUsage(week=name, interval=week(name)))
    rows = []
    for n, day in enumerate(days):
        rows.append(usage_day("cms", "ITB-CONDOR", day, "payload", scale * (n + 3)))
        rows.append(usage_day("cms", "ITB-SLURM", day, "payload", scale * 2))
        rows.append(usage_day("cms", "ITB-CONDOR", day, "pilot", scale, hours=9.25))
        rows.append(
            usage_day(
                "ligo",
                "ITB-SLURM",
                day,
                "pilot",
                2,
                cpu_seconds=None,
                cpu_core_seconds=None,
                jobs_without_cpu=2,
            )
        )
    return rows


@pytest.fixture
def usage() -> WeekUsage:
    """The week: the site's history of Thursday is lost."""
    return week_usage(WEEK, _rows(WEEK, 40), holes={"site-history": [3]})


@pytest.fixture
def usage_before() -> WeekUsage:
    """The week before, read in full."""
    return week_usage(BEFORE, _rows(BEFORE, 30))


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
            samples=(
                QueueSample(at=MONDAY + hours, running={"cms": 12}),
                QueueSample(at=MONDAY + 2 * hours, running={}),
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
                    at=MONDAY + 150 * hours,
                    message="connection refused",
                ),
            ),
        ),
        factory=FactoryWeek(
            standing=Applied(
                digest="9f2c" * 16, at=MONDAY + 5 * hours, who="factory operator", why="more memory"
            ),
            applied=(
                Applied(
                    digest="9f2c" * 16,
                    at=MONDAY + 5 * hours,
                    who="factory operator",
                    why="more memory",
                    changes=("ITB-SLURM-1core: memory_mib 512 → 1024",),
                ),
            ),
            entries=(
                EntryWeek(
                    entry="ITB-CONDOR-2core", site="ITB-CONDOR", state="active", submitted=280, peak_running=8
                ),
                EntryWeek(
                    entry="ITB-SLURM-1core",
                    site="ITB-SLURM",
                    state="paused",
                    reason="downtime 9001",
                    submitted=0,
                    peak_running=0,
                ),
            ),
            findings=(
                Finding(at=MONDAY + 40 * hours, entry="ITB-SLURM-1core", text="a pilot ran an old digest"),
            ),
            cycles=2016,
        ),
        downtimes=(downtime,),
        downtimes_ahead=("FNAL-CE (CE): 2026-11-30 08:00 UTC to 2026-11-30 20:00 UTC, Outage – power works",),
        notes=(note,),
    )


@pytest.fixture
def report(inputs: ReportInputs) -> Report:
    """The draft of that week, two days after it ended."""
    return build(inputs, WEEK, AS_OF, AS_OF)
