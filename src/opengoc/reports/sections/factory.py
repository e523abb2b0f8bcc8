"""The pilot factory: what was applied, what each entry did, what the guard found."""

from __future__ import annotations

from datetime import datetime

from opengoc.base.figure import Figure
from opengoc.reports.inputs import Applied, EntryWeek, FactoryWeek, ReportInputs
from opengoc.reports.model import Cell, Items, Section, Table
from opengoc.reports.wording import moment_text

#: Digits of a digest that people compare by eye.
_SHORT_DIGEST = 12


def factory(inputs: ReportInputs, as_of: datetime) -> Section:
    """The factory's week."""
    week = inputs.factory
    lacking = f"{week.incomplete_cycles} of {week.cycles} cycles incomplete" if week.incomplete_cycles else ""
    if inputs.usage.interval.end is not None and as_of < inputs.usage.interval.end:
        lacking = ", ".join(filter(None, ("to date", lacking)))
    rows = tuple(_entry_row(entry, week, as_of, lacking) for entry in week.entries)
    return Section(
        name="factory",
        title="Pilot factory",
        blocks=(
            _applied(week),
            Table(
                title="Entries",
                columns=("Entry", "Site", "State", "Pilots submitted", "Peak running"),
                rows=rows,
                empty=f"missing: {week.missing_reason}",
            ),
            Items(
                title="Guard findings",
                lines=tuple(f"{moment_text(f.at)}, {f.entry}: {f.text}" for f in week.findings),
                empty="None." if week.cycles else f"missing: {week.missing_reason}",
            ),
        ),
    )


def _entry_row(entry: EntryWeek, week: FactoryWeek, as_of: datetime, lacking: str) -> tuple[Cell, ...]:
    dimensions = {"entry": entry.entry}

    def counted(name: str, value: int | None) -> Figure:
        if value is None:
            return Figure.missing(name, "pilots", week.missing_reason, as_of=as_of, dimensions=dimensions)
        return Figure.known(
            name,
            value,
            "pilots",
            as_of=as_of,
            lacking=lacking,
            dimensions=dimensions,
            evidence={"cycles": week.cycles},
        )

    state = f"{entry.state}: {entry.reason}" if entry.reason else entry.state
    return (
        entry.entry,
        entry.site,
        state,
        counted("pilots_submitted", entry.submitted),
        counted("pilots_running_peak", entry.peak_running),
    )


def _applied(week: FactoryWeek) -> Items:
    lines = [f"In force: {_said(week.standing)}"] if week.standing is not None else []
    for applied in week.applied:
        lines.append(f"Applied in the week: {_said(applied)}")
        lines.extend(applied.changes)
    return Items(
        title="Configuration", lines=tuple(lines), empty="missing: no configuration was ever applied"
    )


def _said(applied: Applied) -> str:
    words = f"digest {applied.digest[:_SHORT_DIGEST]}, {moment_text(applied.at)}, by {applied.who}"
    return f"{words}: {applied.why}" if applied.why else words
