"""The week at a glance: all VOs in one table, the rest of the grid in a few lines; then the week by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from opengoc.base.units import hours
from opengoc.reports.inputs import ReportInputs
from opengoc.reports.model import Bars, Block, Cell, Items, Section, Series, Table
from opengoc.reports.sections.operations import is_good, moment_in_words
from opengoc.reports.sections.vo import compared, in_full
from opengoc.reports.usage import (
    PAYLOAD,
    PILOT,
    Measured,
    add,
    change,
    days_of,
    lack_of,
    running_figures,
    usage_figures,
)

#: Columns of the table of all VOs, by figure; hours and ratio are of the pilots.
_COLUMNS = {
    "wall_hours": "Wall hours",
    "wall_hours_change": "Change",
    "running_jobs_mean": "Running jobs, mean",
    "running_jobs_peak": "Running jobs, peak",
    "pilot_jobs": "Pilot jobs",
    "cpu_efficiency": "CPU/wall",
    "payload_jobs": "Payload jobs",
}
_OF_ALL = "_of_all"


def glance(inputs: ReportInputs, as_of: datetime) -> Section:
    """What the meeting reads first."""
    vos = in_full(inputs)
    rows: list[tuple[Cell, ...]] = []
    for vo in vos:
        figures = {figure.name: figure for figure in compared(inputs, vo, as_of)}
        rows.append((vo, *(figures[name] for name in _COLUMNS)))
    if vos:
        rows.append(_of_all(inputs, as_of))
    empty = (
        "No record names a VO this week or the week before."
        if inputs.vos
        else "No VO is registered and none used the grid."
    )
    table = Table(title="", columns=("VO", *_COLUMNS.values()), rows=tuple(rows), empty=empty)
    lines = Items(title="", lines=tuple(_lines(inputs, as_of)))
    return Section(name="overview", title="The week at a glance", blocks=(table, lines))


def by_day(inputs: ReportInputs, as_of: datetime) -> Section:
    """The week by day, and the VOs that did nothing in it."""
    vos = in_full(inputs)
    blocks: list[Block] = []
    if vos:
        blocks += [
            _by_day(inputs, vos, PILOT, "Wall hours of pilots, by VO and day", "hours", as_of),
            _by_day(inputs, vos, PAYLOAD, "Payload jobs, by VO and day", "jobs", as_of),
        ]
    quiet = [vo for vo in inputs.vos if vo not in vos]
    if quiet:
        blocks.append(_quiet(inputs, quiet, as_of))
    return Section(name="usage", title="Usage by day", blocks=tuple(blocks), empty="no VO.")


def _of_all(inputs: ReportInputs, as_of: datetime) -> tuple[Cell, ...]:
    now = usage_figures(inputs.usage, {}, as_of, suffix=_OF_ALL)
    before = usage_figures(inputs.before, {}, as_of, suffix=f"{_OF_ALL}_week_before")
    running = running_figures(inputs.usage, "jobs", None, as_of, suffix=_OF_ALL)
    figures = {figure.name.removesuffix(_OF_ALL): figure for figure in (*now, *running)}
    earlier = {figure.name: figure for figure in before}
    name = f"wall_hours{_OF_ALL}"
    figures["wall_hours_change"] = change(
        f"{name}_change", figures["wall_hours"], earlier[f"{name}_week_before"]
    )
    return "all VOs", *(figures[name] for name in _COLUMNS)


def _lines(inputs: ReportInputs, as_of: datetime) -> Iterator[str]:
    """Services, downtimes and factory in a sentence each; their sections have the rest."""
    end = inputs.usage.interval.end
    services = inputs.monitoring.services
    if services:
        bad = [service for service in services if not is_good(service)]
        said = f"{len(services) - len(bad)} of {len(services)} are OK {moment_in_words(end, as_of)}"
        names = ", ".join(f"{service.resource} {service.status}" for service in bad)
        yield f"Services: {said}{f'; not OK: {names}' if names else ''}."
    else:
        yield f"Services: missing: {inputs.monitoring.missing_reason}."
    news = Counter(item.what for item in inputs.downtimes)
    said = ", ".join(f"{count} {what}" for what, count in sorted(news.items())) or "no news in the week"
    yield f"Downtimes: {said}; {len(inputs.downtimes_ahead) or 'none'} in force or ahead."
    factory = inputs.factory
    if factory.configurations or factory.entries:
        changes = len(factory.configurations) - 1
        sent = sum(entry.submitted for entry in factory.entries)
        found = (
            "no record of a guard" if factory.findings is None else _count(len(factory.findings), "finding")
        )
        changed = _count(changes, "change") + " of configuration" if changes > 0 else "one configuration"
        yield f"Factory: {_count(sent, 'pilot')} submitted, {changed}, {found}."
    else:
        yield f"Factory: missing: {factory.missing_reason}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


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
