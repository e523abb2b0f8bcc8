"""One section for each VO: payload and pilots side by side against the week before, and its sites."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from opengoc.base.figure import Figure
from opengoc.reports.footnotes import NOT_APPLICABLE
from opengoc.reports.inputs import ReportInputs, WeekUsage
from opengoc.reports.model import Cell, Section, Table
from opengoc.reports.usage import PAYLOAD, PILOT, change, running_figures, transfer_figures, usage_figures

_BEFORE = "_week_before"
#: Up to so many VOs each have a section; of more, only those with a record or a note.
_ALL_IN_FULL = 8
#: A row: what is measured, the figure of the payload, the figure of the pilots.
_MEASURES = (
    ("Jobs", "payload_jobs", "pilot_jobs"),
    ("Wall hours", "payload_wall_hours", "wall_hours"),
    ("Core hours", "payload_core_hours", "core_hours"),
    ("CPU/wall", "payload_cpu_efficiency", "cpu_efficiency"),
    ("Running, mean", "running_jobs_mean", "running_pilots_mean"),
    ("Running, peak", "running_jobs_peak", "running_pilots_peak"),
)


def section_name(vo: str) -> str:
    """The name of a VO's section, for notes and anchors: ``vo-cms``."""
    return "vo-" + "_".join(vo.split())


def in_full(inputs: ReportInputs) -> tuple[str, ...]:
    """The VOs that have a section of their own, in order."""
    if len(inputs.vos) <= _ALL_IN_FULL:
        return inputs.vos
    seen = {row.vo for row in (*inputs.usage.days, *inputs.before.days) if row.kind in (PAYLOAD, PILOT)}
    noted = {note.section for note in inputs.notes}
    return tuple(vo for vo in inputs.vos if vo in seen or section_name(vo) in noted)


def vo_section(inputs: ReportInputs, vo: str, as_of: datetime) -> Section:
    """Every measure of a VO against the week before, and its sites."""
    figures = {figure.name: figure for figure in compared(inputs, vo, as_of)}
    moved, rate = transfer_figures(inputs.usage, vo, as_of)
    rows: list[tuple[Cell, ...]] = [
        (title, *_with_change(figures, payload), *_with_change(figures, pilot))
        for title, payload, pilot in _MEASURES
    ]
    rows += [
        (title, figure, *(NOT_APPLICABLE for _ in range(5)))
        for title, figure in (("Data transferred", moved), ("Transfer rate, mean", rate))
    ]
    columns = ("", *_columns("Payload"), *_columns("Pilots"))
    table = Table(title="", columns=columns, rows=tuple(rows))
    return Section(name=section_name(vo), title=vo, blocks=(table, _sites(inputs.usage, vo, as_of)))


def compared(inputs: ReportInputs, vo: str, as_of: datetime) -> list[Figure]:
    """The figures of a VO, each with the same of the week before and the change."""
    now = usage_figures(inputs.usage, {"vo": vo}, as_of)
    before = usage_figures(inputs.before, {"vo": vo}, as_of, suffix=_BEFORE)
    figures: list[Figure] = []
    for this, that in zip(now, before, strict=True):
        figures += [this, that]
        # A ratio is compared by eye: percent of percent reads wrong.
        if this.unit != "percent":
            figures.append(change(f"{this.name}_change", this, that))
    for what in ("jobs", "pilots"):
        figures += running_figures(inputs.usage, what, vo, as_of)
    return figures


def _columns(what: str) -> tuple[str, str, str]:
    return what, f"{what}, week before", f"{what}, change"


def _with_change(figures: Mapping[str, Figure], name: str) -> tuple[Cell, Cell, Cell]:
    before = figures.get(f"{name}{_BEFORE}", NOT_APPLICABLE)
    return figures[name], before, figures.get(f"{name}_change", NOT_APPLICABLE)


def _sites(week: WeekUsage, vo: str, as_of: datetime) -> Table:
    rows: list[tuple[Cell, ...]] = []
    names = ("payload_jobs_at_site", "pilot_jobs_at_site", "wall_hours_at_site", "core_hours_at_site")
    mine = {row.site for row in week.days if row.vo == vo and row.kind in (PAYLOAD, PILOT)}
    for site in sorted(mine):
        found = usage_figures(week, {"vo": vo, "site": site}, as_of, suffix="_at_site")
        figures = {figure.name: figure for figure in found}
        rows.append((site or "site not stated", *(figures[name] for name in names)))
    columns = ("Site", "Payload jobs", "Pilot jobs", "Wall hours", "Core hours")
    return Table(
        title="By site", columns=columns, rows=tuple(rows), empty="No record of this VO at any site."
    )
