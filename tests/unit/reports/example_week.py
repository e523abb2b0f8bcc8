"""A week of two VOs at two sites with everything a week can have: a full day, a hole, a zero, a downtime."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from opengoc.base.interval import week
from opengoc.reports.inputs import Coverage, DayUsage, WeekUsage
from opengoc.reports.usage import days_of

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
