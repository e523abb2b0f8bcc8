"""The VOs: a table of all of them at a glance with plots by day, then one section for each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from opengoc.base.figure import Figure
from opengoc.base.units import hours
from opengoc.reports.inputs import ReportInputs, WeekUsage
from opengoc.reports.model import Bars, Block, Cell, Section, Series, Table
from opengoc.reports.usage import (
    PAYLOAD,
    PILOT,
    Measured,
    add,
    change,
    days_of,
    lack_of,
    pilot_figures,
    usage_figures,
)
from opengoc.reports.wording import figure_title

_BEFORE = "_week_before"
_NOT_COMPARED = "–"
#: Up to so many VOs each have a section; of more, only those with a record or a note.
_ALL_IN_FULL = 8


def section_name(vo: str) -> str:
    """The name of a VO's section, for notes and anchors: ``vo-cms``."""
    return "vo-" + "_".join(vo.split())


def in_full(inputs: ReportInputs) -> tuple[str, ...]:
    """The VOs that have a section of their own, in order."""
    if len(inputs.vos) <= _ALL_IN_FULL:
        return inputs.vos
    seen = {row.vo for row in (*inputs.usage.days, *inputs.before.days)}
    noted = {note.section for note in inputs.notes}
    return tuple(vo for vo in inputs.vos if vo in seen or section_name(vo) in noted)


def overview(inputs: ReportInputs, as_of: datetime) -> Section:
    """All VOs at a glance, and their week by day."""
    shown = ("wall_hours", "wall_hours_change", "cpu_efficiency", "pilot_jobs", "payload_jobs")
    rows: list[tuple[Cell, ...]] = []
    vos = in_full(inputs)
    for vo in vos:
        figures = {figure.name: figure for figure in _compared(inputs, vo, as_of)}
        rows.append((vo, *(figures[name] for name in shown)))
    columns = ("VO", "Wall hours", "Change", "CPU/wall", "Pilot jobs", "Payload jobs")
    blocks: list[Block] = [
        Table(
            title="", columns=columns, rows=tuple(rows), empty="No VO is registered and none used the grid."
        )
    ]
    if vos:
        blocks += [
            _by_day(inputs, vos, PILOT, "Wall hours of pilots, by VO and day", "hours", as_of),
            _by_day(inputs, vos, PAYLOAD, "Payload jobs, by VO and day", "jobs", as_of),
        ]
    quiet = [vo for vo in inputs.vos if vo not in vos]
    if quiet:
        blocks.append(_quiet(inputs, quiet, as_of))
    return Section(name="overview", title="The week at a glance", blocks=tuple(blocks))


def vo_section(inputs: ReportInputs, vo: str, as_of: datetime) -> Section:
    """One VO: every measure against the week before, and its sites."""
    figures = {figure.name: figure for figure in _compared(inputs, vo, as_of)}
    measures = [name for name in figures if not name.endswith((_BEFORE, "_change"))]
    transfer = Figure.missing(
        "transferred_bytes", "bytes", "no source of transfer records", as_of=as_of, dimensions={"vo": vo}
    )
    rows: list[tuple[Cell, ...]] = [
        (
            figure_title(name),
            figures[name],
            figures.get(f"{name}{_BEFORE}", _NOT_COMPARED),
            figures.get(f"{name}_change", _NOT_COMPARED),
        )
        for name in measures
    ]
    rows.append((figure_title(transfer.name), transfer, _NOT_COMPARED, _NOT_COMPARED))
    table = Table(title="", columns=("Measure", "This week", "Week before", "Change"), rows=tuple(rows))
    return Section(name=section_name(vo), title=vo, blocks=(table, _sites(inputs.usage, vo, as_of)))


def _compared(inputs: ReportInputs, vo: str, as_of: datetime) -> list[Figure]:
    now = usage_figures(inputs.usage, {"vo": vo}, as_of)
    before = usage_figures(inputs.before, {"vo": vo}, as_of, suffix=_BEFORE)
    figures: list[Figure] = []
    for this, that in zip(now, before, strict=True):
        figures += [this, that]
        # A ratio is compared by eye: percent of percent reads wrong.
        if this.unit != "percent":
            figures.append(change(f"{this.name}_change", this, that))
    return [*figures, *pilot_figures(inputs.usage, vo, as_of)]


def _sites(week: WeekUsage, vo: str, as_of: datetime) -> Table:
    rows: list[tuple[Cell, ...]] = []
    names = ("wall_hours_at_site", "core_hours_at_site", "pilot_jobs_at_site", "payload_jobs_at_site")
    for site in sorted({row.site for row in week.days if row.vo == vo}):
        found = usage_figures(week, {"vo": vo, "site": site}, as_of, suffix="_at_site")
        figures = {figure.name: figure for figure in found}
        rows.append((site or "site not stated", *(figures[name] for name in names)))
    columns = ("Site", "Wall hours", "Core hours", "Pilot jobs", "Payload jobs")
    return Table(
        title="By site", columns=columns, rows=tuple(rows), empty="No record of this VO at any site."
    )


def _quiet(inputs: ReportInputs, vos: Iterable[str], as_of: datetime) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for vo in vos:
        figures = {figure.name: figure for figure in usage_figures(inputs.usage, {"vo": vo}, as_of)}
        rows.append((vo, figures["pilot_jobs"], figures["payload_jobs"]))
    title = "VOs without a record this week or the week before"
    return Table(title=title, columns=("VO", "Pilot jobs", "Payload jobs"), rows=tuple(rows))


def _by_day(
    inputs: ReportInputs, vos: Iterable[str], kind: str, title: str, unit: str, as_of: datetime
) -> Bars:
    week = inputs.usage
    series = []
    for vo in vos:
        points = []
        for day in days_of(week):
            sums = add(r for r in week.days if (r.vo, r.kind, r.day) == (vo, kind, day))
            made = Measured(
                sums=sums,
                lack=lack_of(week, kind, as_of, days=[day]),
                as_of=as_of,
                dimensions={"vo": vo, "day": day.isoformat()},
                evidence={"records": kind},
            )
            value = hours(sums.wall_seconds) if unit == "hours" else sums.jobs
            name = "wall_hours_by_day" if unit == "hours" else "payload_jobs_by_day"
            points.append(made.count(name, value, unit))
        series.append(Series(name=vo, figures=tuple(points)))
    labels = tuple(f"{day:%a} {day.day}" for day in days_of(week))
    return Bars(title=title, unit=unit, labels=labels, series=tuple(series))
