"""The pilot factory: which configurations ran, what entries did and what held them back, guard findings."""

from __future__ import annotations

from datetime import datetime

from opengoc.base.figure import Figure
from opengoc.reports.inputs import EntryWeek, FactoryWeek, ReportInputs
from opengoc.reports.model import Cell, Items, Section, Table
from opengoc.reports.usage import UNSEEN_SECONDS, duration
from opengoc.reports.wording import TO_DATE, moment_text

#: Digits of a digest that people compare by eye.
_SHORT_DIGEST = 12


def factory(inputs: ReportInputs, as_of: datetime) -> Section:
    """The factory's week."""
    week = inputs.factory
    lacking = _lacking(week, to_date=as_of < (inputs.usage.interval.end or as_of))
    rows = tuple(_entry_row(entry, week, as_of, lacking) for entry in week.entries)
    return Section(
        name="factory",
        title="Pilot factory",
        blocks=(
            Items(
                title="Configuration",
                lines=tuple(
                    f"digest {running.digest[:_SHORT_DIGEST]} since {moment_text(running.since)}"
                    for running in week.configurations
                ),
                empty=f"missing: {week.missing_reason}",
            ),
            Items(title="Applied in the week", lines=week.applied, empty="None."),
            Table(
                title="Entries",
                columns=("Entry", "Site", "Pilots submitted", "Peak running", "Held back by"),
                rows=rows,
                empty=f"missing: {week.missing_reason}",
            ),
            Items(
                title="Guard findings",
                lines=week.findings or (),
                empty="missing: no guard keeps a record" if week.findings is None else "None.",
            ),
        ),
    )


def _lacking(week: FactoryWeek, *, to_date: bool) -> str:
    words = [TO_DATE] if to_date else []
    if week.elapsed_seconds - week.seen_seconds > UNSEEN_SECONDS:
        words.append(f"seen for {duration(week.seen_seconds)} of {duration(week.elapsed_seconds)}")
    return ", ".join(words)


def _entry_row(entry: EntryWeek, week: FactoryWeek, as_of: datetime, lacking: str) -> tuple[Cell, ...]:
    dimensions = {"entry": entry.entry}
    evidence = {"seen_seconds": week.seen_seconds}
    # Submissions are on record one by one; that the loop stood still is no hole in them.
    submitted = Figure.known(
        "pilots_submitted",
        entry.submitted,
        "pilots",
        as_of=as_of,
        lacking=TO_DATE if lacking.startswith(TO_DATE) else "",
        dimensions=dimensions,
        evidence={"ledger": "factory.submission"},
    )
    name = "pilots_running_peak"
    if entry.peak_running is None:
        peak = Figure.missing(name, "pilots", week.missing_reason, as_of=as_of, dimensions=dimensions)
    else:
        peak = Figure.known(
            name,
            entry.peak_running,
            "pilots",
            as_of=as_of,
            lacking=lacking,
            dimensions=dimensions,
            evidence=evidence,
        )
    return entry.entry, entry.site, submitted, peak, "; ".join(entry.limits) or "nothing"
