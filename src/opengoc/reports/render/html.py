"""The report as one HTML page: nothing to fetch, plots inside, printable on A4 in black and white."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from opengoc.base.figure import Figure
from opengoc.reports.evidence import command_of, evidence_lines
from opengoc.reports.footnotes import ShownCell, ShownTable, running_as_of
from opengoc.reports.model import (
    Bars,
    Block,
    FigureKey,
    Items,
    Report,
    Section,
    Strips,
    dimensions_text,
    figure_key,
)
from opengoc.reports.plain import printable, shown
from opengoc.reports.render.svg import bars_svg, strips_svg
from opengoc.reports.wording import (
    figure_text,
    figure_title,
    moment_text,
    reading_order,
    report_standing,
    report_title,
)

#: Where the evidence of a figure stands.
Places = dict[FigureKey, int]


def render(report: Report) -> str:
    """The whole page."""
    places = {figure_key(figure): place for place, figure in enumerate(report.figures)}
    running = running_as_of(report)
    page = _environment().get_template("report.html.j2")
    return page.render(
        report=report,
        title=report_title(report),
        standing=report_standing(report),
        sections=[_section(section, places, running) for section in reading_order(report)],
        evidence=[_evidence(figure, place) for place, figure in enumerate(report.figures)],
    )


@cache
def _environment() -> Environment:
    # Escaping is on for every template: notes and descriptions are written by people.
    made = Environment(
        loader=PackageLoader("opengoc.reports.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    made.filters["moment"] = moment_text
    return made


def _section(section: Section, places: Places, running: datetime | None) -> dict[str, Any]:
    blocks = [_block(block, f"{section.name}-{n}", places, running) for n, block in enumerate(section.blocks)]
    return {
        "id": section.name,
        "title": section.title,
        "notes": section.notes,
        "blocks": blocks,
        "empty": section.empty if not section.blocks and not section.notes else "",
    }


def _block(block: Block, name: str, places: Places, running: datetime | None) -> dict[str, Any]:
    words = shown(block, running)
    if isinstance(words, Items):
        return {"type": "items", "title": words.title, "lines": words.lines, "empty": words.empty}
    if not isinstance(block, Bars | Strips):
        return _table(words, name, places)
    # Markup is safe here: the tree of the picture was written out by ElementTree, which escapes its text.
    picture = Markup(bars_svg(block, name) if isinstance(block, Bars) else strips_svg(block, name))
    legend = words.remarks if isinstance(block, Bars) else ()
    return {
        "type": "plot",
        "title": block.title,
        "picture": picture,
        "legend": legend,
        "words": _table(replace(words, title="", remarks=() if legend else words.remarks), name, places),
        "own_scale": isinstance(block, Bars) and len(block.series) > 1,
    }


def _table(table: ShownTable, name: str, places: Places) -> dict[str, Any]:
    return {
        "type": "table",
        "title": table.title,
        "columns": table.columns,
        "numeric": table.numeric,
        "rows": [[_cell(cell, name, places) for cell in row] for row in table.rows],
        "footnotes": [
            {"id": f"{name}-note-{number}", "number": number, "text": reason}
            for number, reason in enumerate(table.footnotes, start=1)
        ],
        "remarks": table.remarks,
        "empty": table.empty,
    }


def _cell(cell: ShownCell, name: str, places: Places) -> dict[str, Any]:
    figure = cell.figure
    return {
        "state": figure.state.value if figure is not None else "words",
        "text": cell.text,
        # Figures of corrections belong to other revisions: their evidence is there.
        "place": places.get(figure_key(figure)) if figure is not None else None,
        "footnote": cell.footnote,
        "note": f"{name}-note-{cell.footnote}",
        "reason": figure.reason if figure is not None else "",
    }


def _evidence(figure: Figure, place: int) -> dict[str, Any]:
    return {
        "place": place,
        "title": figure_title(figure.name),
        "dimensions": dimensions_text(figure.dimensions),
        "says": figure_text(figure),
        "lines": evidence_lines(figure),
        "command": command_of(figure),
    }
