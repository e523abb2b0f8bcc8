"""A report as JSON and back: the form that is published, kept and handed to programs.

``figures`` lists every figure once; a cell of a table points into it by number, so that a program that wants
numbers reads one list and a renderer gets the whole page back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure, FigureState
from opengoc.base.ids import canonical_json, digest
from opengoc.base.instant import format_instant, parse_instant
from opengoc.base.interval import Interval, week
from opengoc.reports.model import (
    Bars,
    Block,
    Cause,
    Cell,
    Correction,
    FigureKey,
    Items,
    Note,
    Report,
    Section,
    Series,
    Spell,
    SpellState,
    Strip,
    Strips,
    Table,
    figure_key,
)

#: Raised when the form changes; ``from_json`` reads every number up to this one.
FORM = 1

#: Left out of the content hash: they change with every look, and say nothing a reader would call a change.
_NOT_CONTENT = frozenset({"as_of", "evidence", "revision", "corrections", "week_is_over"})
_SIGNIFICANT_DIGITS = 9


def to_json(report: Report) -> dict[str, Any]:
    """The whole report as JSON values."""
    places = {figure_key(figure): place for place, figure in enumerate(report.figures)}
    # The weekly production report, the first there was, has neither.
    own = {"title": report.title, "interval": _interval_json(report.interval)} if report.title else {}
    return own | {
        "form": FORM,
        "week": report.week,
        "revision": report.revision,
        "as_of": format_instant(report.as_of),
        "week_is_over": report.week_is_over,
        "figures": [figure.to_json() for figure in report.figures],
        "sections": [_section_json(section, places) for section in report.sections],
        "notes": [{"section": note.section, **_note_json(note)} for note in report.notes],
        "corrections": [_correction_json(correction) for correction in report.corrections],
    }


def from_json(value: Mapping[str, Any]) -> Report:
    """The report that ``to_json`` wrote. Raises InvalidInput for a form of a later release."""
    if value["form"] > FORM:
        raise InvalidInput(
            "report", value["form"], f"form must be {FORM} or lower: read it with a newer release"
        )
    figures = [_figure(item) for item in value["figures"]]
    return Report(
        week=value["week"],
        interval=_interval(value["interval"]) if "interval" in value else week(value["week"]),
        revision=value["revision"],
        as_of=parse_instant(value["as_of"]),
        sections=tuple(_section(item, figures) for item in value["sections"]),
        corrections=tuple(_correction(item) for item in value["corrections"]),
        title=value.get("title", ""),
    )


def content_hash(report: Report) -> str:
    """SHA-256 over what a reader reads: equal for two reports that say the same at different times."""
    document = to_json(report)
    for section in document["sections"]:
        # Strips grow by the minute while a week runs; what they mean is in availability and reliability.
        section["blocks"] = [block for block in section["blocks"] if block["type"] != "strips"]
    return digest(canonical_json(_content(document)))


def said(figure: Figure | None) -> object:
    """What a figure says, free of when and how it was computed; for comparing two revisions."""
    if figure is None:
        return None
    return (_stable(figure.value), figure.unit, figure.state.value, figure.reason)


def _content(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _content(item) for key, item in value.items() if key not in _NOT_CONTENT}
    if isinstance(value, list):
        return [_content(item) for item in value]
    return _stable(value)


def _stable(value: object) -> object:
    # Sums made in another order differ in the last bits; that is no correction.
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def _figure(value: Mapping[str, Any]) -> Figure:
    return Figure(
        name=value["name"],
        value=value["value"],
        unit=value["unit"],
        state=FigureState(value["state"]),
        reason=value["reason"],
        dimensions=value["dimensions"],
        as_of=parse_instant(value["as_of"]),
        evidence=value["evidence"],
    )


def _section_json(section: Section, places: Mapping[FigureKey, int]) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.title,
        "blocks": [_block_json(block, places) for block in section.blocks],
        "notes": [_note_json(note) for note in section.notes],
        "empty": section.empty,
    }


def _section(value: Mapping[str, Any], figures: Sequence[Figure]) -> Section:
    return Section(
        name=value["name"],
        title=value["title"],
        blocks=tuple(_block(block, figures) for block in value["blocks"]),
        notes=tuple(_note(note, value["name"]) for note in value["notes"]),
        empty=value["empty"],
    )


def _block_json(block: Block, places: Mapping[FigureKey, int]) -> dict[str, Any]:
    match block:
        case Table():
            rows = [[_cell_json(cell, places) for cell in row] for row in block.rows]
            return {
                "type": "table",
                "title": block.title,
                "columns": list(block.columns),
                "rows": rows,
                "empty": block.empty,
            }
        case Items():
            return {"type": "items", "title": block.title, "lines": list(block.lines), "empty": block.empty}
        case Bars():
            series = [{"name": s.name, "figures": [f.to_json() for f in s.figures]} for s in block.series]
            return {
                "type": "bars",
                "title": block.title,
                "unit": block.unit,
                "labels": list(block.labels),
                "series": series,
            }
        case Strips():
            strips = [
                {"name": s.name, "spells": [_spell_json(spell) for spell in s.spells]} for s in block.strips
            ]
            return {
                "type": "strips",
                "title": block.title,
                "interval": _interval_json(block.interval),
                "strips": strips,
            }


def _block(value: Mapping[str, Any], figures: Sequence[Figure]) -> Block:
    title = value["title"]
    match value["type"]:
        case "table":
            rows = tuple(tuple(_cell(cell, figures) for cell in row) for row in value["rows"])
            return Table(title=title, columns=tuple(value["columns"]), rows=rows, empty=value["empty"])
        case "items":
            return Items(title=title, lines=tuple(value["lines"]), empty=value["empty"])
        case "bars":
            series = tuple(
                Series(name=s["name"], figures=tuple(_figure(f) for f in s["figures"]))
                for s in value["series"]
            )
            return Bars(title=title, unit=value["unit"], labels=tuple(value["labels"]), series=series)
        case "strips":
            strips = tuple(
                Strip(name=s["name"], spells=tuple(_spell(spell) for spell in s["spells"]))
                for s in value["strips"]
            )
            return Strips(title=title, interval=_interval(value["interval"]), strips=strips)
    raise InvalidInput("report block", value["type"], "must be table, items, bars or strips")


def _cell_json(cell: Cell, places: Mapping[FigureKey, int]) -> object:
    return {"figure": places[figure_key(cell)]} if isinstance(cell, Figure) else cell


def _cell(value: Any, figures: Sequence[Figure]) -> Cell:
    return value if isinstance(value, str) else figures[value["figure"]]


def _interval_json(interval: Interval) -> list[str | None]:
    return [format_instant(interval.start), format_instant(interval.end) if interval.end else None]


def _interval(value: Sequence[str | None]) -> Interval:
    start, end = value
    assert start is not None
    return Interval(parse_instant(start), parse_instant(end) if end else None)


def _spell_json(spell: Spell) -> dict[str, Any]:
    return {"interval": _interval_json(spell.interval), "state": spell.state.value}


def _spell(value: Mapping[str, Any]) -> Spell:
    return Spell(interval=_interval(value["interval"]), state=SpellState(value["state"]))


def _note_json(note: Note) -> dict[str, Any]:
    return {"id": note.id, "text": note.text, "who": note.who, "written_at": format_instant(note.written_at)}


def _note(value: Mapping[str, Any], section: str) -> Note:
    written_at = parse_instant(value["written_at"])
    return Note(id=value["id"], section=section, text=value["text"], who=value["who"], written_at=written_at)


def _correction_json(correction: Correction) -> dict[str, Any]:
    return {
        "week": correction.week,
        "revision": correction.revision,
        "old": correction.old.to_json() if correction.old is not None else None,
        "new": correction.new.to_json() if correction.new is not None else None,
        "causes": [
            {
                "what": cause.what,
                "who": cause.who,
                "why": cause.why,
                "known_at": format_instant(cause.known_at) if cause.known_at is not None else None,
            }
            for cause in correction.causes
        ],
        "published": correction.published,
    }


def _correction(value: Mapping[str, Any]) -> Correction:
    return Correction(
        week=value["week"],
        revision=value["revision"],
        old=_figure(value["old"]) if value["old"] is not None else None,
        new=_figure(value["new"]) if value["new"] is not None else None,
        causes=tuple(
            Cause(
                what=cause["what"],
                who=cause["who"],
                why=cause["why"],
                known_at=parse_instant(cause["known_at"]) if cause["known_at"] is not None else None,
            )
            for cause in value["causes"]
        ),
        published=value["published"],
    )
