"""Figures in words, the same in every format: the state is part of the text, never colour alone.

``0`` is a measured nought, ``≥ 12 (pool-history: 6 of 7 days)`` a partial count, ``≈ 85.0 % (…)`` a partial
ratio and ``missing: …`` what could not be had; tables give the reasons in footnotes. A number is never made
what it is not: nothing small becomes 0 and nothing below 100 % becomes 100 %.
"""

from __future__ import annotations

import math
from datetime import datetime

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure, FigureState
from opengoc.base.interval import Interval
from opengoc.reports.model import (
    Cause,
    Correction,
    Note,
    Report,
    Section,
    SpellState,
    Table,
    dimensions_text,
)

#: The reason of every figure of a week that still runs, before any other.
TO_DATE = "to date"
#: What lacks of time that is still to come.
NOT_BEGUN = "not begun"

#: Names of figures for people; a name that is not here is shown with its underscores as blanks.
TITLES = {
    "payload_jobs": "Payload jobs",
    "pilot_jobs": "Pilot jobs",
    "wall_hours": "Wall hours of pilots",
    "core_hours": "Core hours of pilots",
    "cpu_efficiency": "CPU/wall of pilots",
    "payload_wall_hours": "Wall hours of payload",
    "payload_core_hours": "Core hours of payload",
    "payload_cpu_efficiency": "CPU/wall of payload",
    "running_pilots_mean": "Running pilots, mean",
    "running_pilots_peak": "Running pilots, peak",
    "running_jobs_mean": "Running payload jobs, mean",
    "running_jobs_peak": "Running payload jobs, peak",
    "transferred_bytes": "Data transferred",
    "transfer_rate": "Transfer rate, mean",
    "transfers": "Transfers",
    "pilot_wall_hours": "Wall hours of pilots",
    "pilot_core_hours": "Core hours of pilots",
    "pilot_cpu_efficiency": "CPU/wall of pilots",
    "batch_wall_hours": "Wall hours of other jobs",
    "batch_cpu_efficiency": "CPU/wall of other jobs",
    "batch_jobs": "Other jobs",
    "batch_core_hours": "Core hours of other jobs",
    "records_without_cpu": "Records without processor time",
}
#: What the ends of names add to their titles.
_ENDINGS = {
    "_week_before": ", week before",
    "_change": ", change",
    "_of_all": ", all VOs",
    "_at_site": " at site",
}

#: States of a site in words, with one letter for where colour is lacking.
SPELL_WORDS = {
    SpellState.OK: ("up", "U"),
    SpellState.WARNING: ("up with warnings", "w"),
    SpellState.CRITICAL: ("down", "X"),
    SpellState.DOWNTIME: ("scheduled downtime", "s"),
    SpellState.UNKNOWN: ("unknown", "?"),
    SpellState.AHEAD: ("not yet", "."),
}

_SHORT_UNITS = {
    "percent": " %",
    "hours": "",
    "core hours": "",
    "jobs": "",
    "pilots": "",
    "records": "",
}
_RATIOS = ("percent",)
_OF_BYTES = ("bytes", "bytes/s")
#: Causes of one correction that are written out; all of them are in the JSON.
_CAUSES_SHOWN = 4


def figure_title(name: str) -> str:
    """What the figure counts, for people."""
    for ending, words in _ENDINGS.items():
        if name.endswith(ending):
            return figure_title(name.removesuffix(ending)) + words
    return TITLES.get(name, name.replace("_", " ").capitalize())


def number(value: float | int, unit: str, *, signed: bool = False) -> str:
    """The number with its unit: ``1,234``, ``12.5``, ``0.0031``, ``99.9 %``, ``+4.0 %`` when ``signed``."""
    sign = "+" if signed and value > 0 else ""
    if unit in _OF_BYTES:
        return f"{sign}{_bytes(value)}{unit.removeprefix('bytes')}"
    return f"{sign}{_digits(value, ratio=unit in _RATIOS)}{_SHORT_UNITS.get(unit, f' {unit}')}"


def _bytes(value: float | int) -> str:
    """Bytes with the prefix that leaves one to three digits before the point: ``1.25 TB``; powers of 1000."""
    size = float(value)
    prefixes = iter(("", "k", "M", "G", "T", "P", "E"))
    prefix = next(prefixes)
    while abs(size) >= 999.5 and prefix != "E":
        size, prefix = size / 1000, next(prefixes)
    return f"{size:.3g} {prefix}B"


def _digits(value: float | int, *, ratio: bool) -> str:
    if value == int(value) and not ratio:
        return f"{int(value):,}"
    size = abs(value)
    if ratio:
        if size < 100 and round(size, 1) >= 100:
            return f"{math.copysign(99.9, value):.1f}"
        return f"{value:.1g}" if 0 < size < 0.05 else f"{value:,.1f}"
    if size < 0.01:
        return f"{value:.1g}"
    if size < 1:
        return f"{value:.2f}"
    return f"{value:,.1f}" if size < 100 else f"{value:,.0f}"


def figure_number(figure: Figure) -> str:
    """The number of a figure that has one, changes with their sign; its state not included."""
    if figure.value is None:
        raise InvalidInput(f"figure {figure.name}", None, "has no number")
    return number(figure.value, figure.unit, signed=figure.name.endswith("_change"))


def figure_text(figure: Figure) -> str:
    """The figure in one line, its state included."""
    if figure.value is None:
        return f"missing: {figure.reason}"
    shown = figure_number(figure)
    if figure.state is FigureState.PARTIAL:
        return f"{partial_sign(figure)} {shown} ({figure.reason})"
    return shown


def partial_sign(figure: Figure) -> str:
    """``≥`` where more could only be added (counts, peaks), ``≈`` for ratios and means."""
    return "≈" if figure.unit in _RATIOS or "_mean" in figure.name else "≥"


def moment_text(moment: datetime) -> str:
    """A moment for people, to the minute: ``2026-11-22 17:05 UTC``."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def interval_text(interval: Interval) -> str:
    """``2026-11-14 06:00 UTC to 2026-11-14 18:00 UTC``."""
    end = moment_text(interval.end) if interval.end is not None else "further notice"
    return f"{moment_text(interval.start)} to {end}"


def note_text(note: Note) -> str:
    """Who wrote the note, and when."""
    return f"{note.who}, {moment_text(note.written_at)}"


def report_title(report: Report) -> str:
    """The heading of the report."""
    return report.title or f"Production report, week {report.week}"


def report_standing(report: Report) -> str:
    """Which days, which revision, known when; and that the week is not over, when it is not."""
    revision = f"revision {report.revision}" if report.revision else "draft"
    words = f"{interval_text(report.interval)}; {revision}, as known at {report.as_of:%Y-%m-%d %H:%M:%S} UTC."
    return words if report.week_is_over else f"{words} The week is not over: its figures are to date (≥, ≈)."


def reading_order(report: Report) -> tuple[Section, ...]:
    """The sections as they are read, corrections last."""
    return (*report.sections, corrections_section(report.corrections))


def corrections_section(corrections: tuple[Correction, ...]) -> Section:
    """Every changed figure: old → new, with what caused it; weeks before other reports, the newest first."""
    rows = tuple(
        (
            f"{item.week} revision {item.revision}" + ("" if item.published else ", not yet reissued"),
            " — ".join(
                filter(None, (figure_title(item.figure.name), dimensions_text(item.figure.dimensions)))
            ),
            item.old if item.old is not None else "not reported",
            item.new if item.new is not None else "no longer reported",
            causes_text(item.causes),
        )
        for item in sorted(
            corrections, key=lambda item: (item.week[:1].isdigit(), item.week, item.revision), reverse=True
        )
    )
    table = Table(title="", columns=("Report", "Figure", "Was", "Is", "Cause"), rows=rows)
    return Section(
        name="corrections",
        title="Corrections",
        blocks=(table,) if rows else (),
        empty="No published figure has changed.",
    )


def causes_text(causes: tuple[Cause, ...]) -> str:
    """The causes of a correction in one line, the first few of many."""
    shown = [_cause_text(cause) for cause in causes[:_CAUSES_SHOWN]]
    if len(causes) > _CAUSES_SHOWN:
        shown.append(f"and {len(causes) - _CAUSES_SHOWN} more")
    return "; ".join(shown) or "no fact on record names the cause"


def _cause_text(cause: Cause) -> str:
    said = cause.what
    if cause.who:
        said += f" by {cause.who}"
    if cause.why:
        said += f": {cause.why}"
    return said
