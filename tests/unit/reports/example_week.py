"""A week of two VOs at two sites with everything a week can have: a full day, a hole, a zero, a downtime."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from opengoc.base.figure import Figure
from opengoc.base.interval import Interval, week
from opengoc.reports.inputs import (
    Coverage,
    DayUsage,
    DowntimeNews,
    EntryWeek,
    FactoryWeek,
    Monitoring,
    Running,
    ServiceStatus,
    WeekUsage,
)
from opengoc.reports.model import Note, Spell, SpellState, Strip
from opengoc.reports.usage import days_of

WEEK = "2026-W46"
BEFORE = "2026-W45"
MONDAY = week(WEEK).start
AS_OF = datetime(2026, 11, 17, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DOWNTIME = DowntimeNews(
    id="9001",
    what="cancelled",
    at=MONDAY + 26 * HOUR,
    who="site administrator",
    where="ITB-SLURM-CE (CE)",
    interval=Interval(MONDAY + 60 * HOUR, MONDAY + 84 * HOUR),
    severity="Outage",
    description="Scheduler upgrade",
    why="the new release is late",
)
NOTE = Note(
    id="n-1",
    section="vo-cms",
    text="Reprocessing of 2025 data ends on Friday.",
    who="production coordinator",
    written_at=AS_OF - HOUR,
)


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
            reasons={days[n]: "the history was rotated away" for n in (holes or {}).get(source, [])},
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


def week_rows(name: str, scale: int) -> list[DayUsage]:
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


def week_monitoring() -> Monitoring:
    """Two sites: one that worked throughout, one with everything that a strip can show."""
    interval = week(WEEK)
    assert interval.end is not None
    spells = (
        Spell(interval=Interval(MONDAY, MONDAY + 30 * HOUR), state=SpellState.OK),
        Spell(interval=Interval(MONDAY + 30 * HOUR, MONDAY + 34 * HOUR), state=SpellState.CRITICAL),
        Spell(interval=Interval(MONDAY + 34 * HOUR, MONDAY + 60 * HOUR), state=SpellState.WARNING),
        Spell(interval=Interval(MONDAY + 60 * HOUR, MONDAY + 84 * HOUR), state=SpellState.DOWNTIME),
        Spell(interval=Interval(MONDAY + 84 * HOUR, MONDAY + 100 * HOUR), state=SpellState.UNKNOWN),
        Spell(interval=Interval(MONDAY + 100 * HOUR, interval.end), state=SpellState.OK),
    )
    whole = (Spell(interval=interval, state=SpellState.OK),)
    site = {"site": "ITB-SLURM"}
    figures = (
        Figure.known("availability", 99.97, "percent", as_of=AS_OF, dimensions={"site": "ITB-CONDOR"}),
        Figure.known("reliability", 100.0, "percent", as_of=AS_OF, dimensions={"site": "ITB-CONDOR"}),
        Figure.known("availability", 81.25, "percent", as_of=AS_OF, lacking="16 h unknown", dimensions=site),
        Figure.missing("reliability", "percent", "no result of Friday", as_of=AS_OF, dimensions=site),
    )
    return Monitoring(
        figures=figures,
        strips=(Strip(name="ITB-CONDOR", spells=whole), Strip(name="ITB-SLURM", spells=spells)),
        services=(
            ServiceStatus(site="ITB-CONDOR", resource="ITB-CONDOR-CE", service="CE", status="OK"),
            ServiceStatus(
                site="ITB-SLURM",
                resource="ITB-SLURM-CE",
                service="CE",
                status="CRITICAL",
                since=MONDAY + 150 * HOUR,
                message="connection refused",
            ),
        ),
    )


def week_factory() -> FactoryWeek:
    """One configuration; an entry that works, and one that a downtime limits."""
    return FactoryWeek(
        configurations=(Running(digest="9f2c" * 16, since=MONDAY + 5 * HOUR),),
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
    )
