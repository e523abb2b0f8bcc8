"""The weekly report, built: inputs in, report out; no store, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from opengoc.base.interval import week as week_interval
from opengoc.reports.inputs import ReportInputs
from opengoc.reports.model import Note, Report, Section
from opengoc.reports.sections.downtimes import downtimes
from opengoc.reports.sections.factory import factory
from opengoc.reports.sections.glance import by_day, glance
from opengoc.reports.sections.operations import operations
from opengoc.reports.sections.sources import sources
from opengoc.reports.sections.vo import in_full, section_name, vo_section

#: Sections that people fill in; the others take notes as well.
ACTIONS = "actions"
ATTENDANCE = "attendance"


def build(inputs: ReportInputs, week: str, as_of: datetime, now: datetime) -> Report:
    """The draft (revision 0) of a week's report as it was known at ``as_of``.

    ``as_of`` in the future means now: nobody knows tomorrow's facts.
    """
    as_of = min(as_of, now)
    sections = [
        glance(inputs, as_of),
        Section(name=ACTIONS, title="Action and significant items", empty="none written down."),
        Section(name=ATTENDANCE, title="Attendance and apologies", empty="none written down."),
        by_day(inputs, as_of),
        *(vo_section(inputs, vo, as_of) for vo in in_full(inputs)),
        operations(inputs, as_of),
        factory(inputs, as_of),
        downtimes(inputs),
        sources(inputs, as_of),
    ]
    return Report(
        week=week,
        interval=week_interval(week),
        revision=0,
        as_of=as_of,
        sections=tuple(_with_notes(sections, inputs.notes)),
        corrections=inputs.corrections,
    )


def section_names(vos: Iterable[str]) -> tuple[str, ...]:
    """The sections a note may be written for."""
    middle = tuple(section_name(vo) for vo in vos)
    return (
        "overview",
        ACTIONS,
        ATTENDANCE,
        "usage",
        *middle,
        "operations",
        "factory",
        "downtimes",
        "sources",
    )


def _with_notes(sections: list[Section], notes: Iterable[Note]) -> list[Section]:
    known = {section.name for section in sections}
    by_section: dict[str, list[Note]] = {}
    for note in notes:
        # A note outlives its section (a VO that left the registry): it moves to the items, and says so.
        place = note.section if note.section in known else ACTIONS
        said = note if place == note.section else replace(note, text=f"[{note.section}] {note.text}")
        by_section.setdefault(place, []).append(said)
    return [replace(section, notes=tuple(by_section.get(section.name, ()))) for section in sections]
