"""How complete the figures are: each source of records with the days that were read."""

from __future__ import annotations

from datetime import date, datetime
from itertools import groupby

from opengoc.base.figure import Figure
from opengoc.reports.inputs import Coverage, ReportInputs, WeekUsage
from opengoc.reports.model import Cell, Section, Table
from opengoc.reports.usage import days_of


def sources(inputs: ReportInputs, as_of: datetime) -> Section:
    """Every source of usage records: days read this week and the week before, and what lacks."""
    before = {(source.source, source.kind): source for source in inputs.before.coverage}
    rows: list[tuple[Cell, ...]] = []
    for source in sorted(inputs.usage.coverage, key=lambda c: (c.kind, c.source)):
        earlier = before.get((source.source, source.kind))
        rows.append(
            (
                source.source,
                source.kind,
                _days(source, inputs.usage),
                _days(earlier, inputs.before) if earlier is not None else "not read",
                _lacking(source, inputs.usage, as_of),
            )
        )
    columns = ("Source", "Records", "Read this week", "Week before", "Lacking")
    table = Table(title="", columns=columns, rows=tuple(rows), empty="missing: no source of usage records")
    return Section(
        name="sources", title="How complete the figures are", blocks=(table, _suspects(inputs, as_of))
    )


def _days(source: Coverage, week: WeekUsage) -> str:
    return f"{sum(day in source.days for day in days_of(week))} of 7 days"


def _lacking(source: Coverage, week: WeekUsage, as_of: datetime) -> str:
    lines = []
    begun = [day for day in days_of(week) if day <= as_of.date()]
    for reason, days in groupby(begun, lambda day: "" if day in source.days else _why(source, day)):
        if reason:
            first, *others = days
            lines.append(f"{first} to {others[-1]}: {reason}" if others else f"{first}: {reason}")
    if len(begun) < len(days_of(week)):
        lines.append("the rest of the week is ahead")
    return "; ".join(lines) or "nothing"


def _why(source: Coverage, day: date) -> str:
    return source.reasons.get(day) or "not read"


def _suspects(inputs: ReportInputs, as_of: datetime) -> Table:
    evidence = inputs.usage.evidence or {}

    def counted(name: str, kind: str, value: int) -> Figure:
        behind = {**evidence, "records": kind}
        return Figure.known(
            name, value, "records", as_of=as_of, dimensions={"records": kind}, evidence=behind
        )

    rows: list[tuple[Cell, ...]] = []
    for kind in ("payload", "pilot"):
        mine = [row for row in inputs.usage.days if row.kind == kind]
        if mine:
            rows.append(
                (
                    kind,
                    counted("records_without_cpu", kind, sum(row.jobs_without_cpu for row in mine)),
                    counted("suspect_records", kind, sum(row.suspects for row in mine)),
                )
            )
    columns = ("Records", "Without processor time", "Suspect")
    return Table(
        title="Records to look at", columns=columns, rows=tuple(rows), empty="No record in the week."
    )
