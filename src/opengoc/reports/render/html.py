"""The report as one HTML page: nothing to fetch, plots inside, printable on A4 in black and white."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from opengoc.base.figure import Figure
from opengoc.base.ids import canonical_json
from opengoc.base.instant import format_instant
from opengoc.reports.model import (
    Bars,
    Block,
    FigureKey,
    Report,
    Section,
    Strips,
    Table,
    dimensions_text,
    figure_key,
)
from opengoc.reports.plain import printable, without_pictures
from opengoc.reports.render.svg import bars_svg, strips_svg
from opengoc.reports.wording import (
    figure_title,
    moment_text,
    number,
    partial_sign,
    reading_order,
    report_standing,
    report_title,
)


def render(report: Report) -> str:
    """The whole page."""
    places = {figure_key(figure): place for place, figure in enumerate(report.figures)}
    page = _environment().get_template("report.html.j2")
    return page.render(
        report=report,
        title=report_title(report),
        standing=report_standing(report),
        sections=[_section(section, places) for section in reading_order(report)],
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


def _section(section: Section, places: dict[FigureKey, int]) -> dict[str, Any]:
    blocks = [_block(block, f"{section.name}-{n}", places) for n, block in enumerate(section.blocks)]
    return {
        "id": section.name,
        "title": section.title,
        "notes": section.notes,
        "blocks": blocks,
        "empty": section.empty if not section.blocks and not section.notes else "",
    }


def _block(block: Block, name: str, places: dict[FigureKey, int]) -> dict[str, Any]:
    if isinstance(block, Bars | Strips):
        # Markup is safe here: the tree of the picture was written out by ElementTree, which escapes its text.
        picture = Markup(bars_svg(block, name) if isinstance(block, Bars) else strips_svg(block, name))
        words = [_block(shown, f"{name}-words", places) for shown in without_pictures(block)]
        own_scale = isinstance(block, Bars) and len(block.series) > 1
        return {
            "type": "plot",
            "title": block.title,
            "picture": picture,
            "words": words,
            "own_scale": own_scale,
        }
    if isinstance(block, Table):
        numeric = [any(isinstance(row[n], Figure) for row in block.rows) for n in range(len(block.columns))]
        rows = [[_cell(cell, places) for cell in row] for row in block.rows]
        return {
            "type": "table",
            "title": block.title,
            "columns": block.columns,
            "numeric": numeric,
            "rows": rows,
            "empty": block.empty,
        }
    return {"type": "items", "title": block.title, "lines": block.lines, "empty": block.empty}


def _cell(cell: Figure | str, places: dict[FigureKey, int]) -> dict[str, Any]:
    if isinstance(cell, str):
        return {"state": "words", "text": cell}
    shown = "" if cell.value is None else number(cell.value, cell.unit, signed=cell.name.endswith("_change"))
    return {
        "state": cell.state.value,
        "text": shown,
        "sign": partial_sign(cell),
        "reason": cell.reason,
        # Figures of corrections belong to other revisions: their evidence is there.
        "place": places.get(figure_key(cell)),
    }


def _evidence(figure: Figure, place: int) -> dict[str, Any]:
    return {
        "place": place,
        "title": figure_title(figure.name),
        "dimensions": dimensions_text(figure.dimensions),
        "state": figure.state.value,
        "reason": figure.reason,
        "as_of": format_instant(figure.as_of),
        "behind": canonical_json(dict(figure.evidence)) if figure.evidence else "",
    }
