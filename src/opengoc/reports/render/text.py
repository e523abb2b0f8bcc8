"""The report as plain text for mail: 78 columns, readable in any font that is monospaced."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from opengoc.reports.model import Items, Report, Section, Table
from opengoc.reports.plain import printable, without_pictures
from opengoc.reports.wording import cell_text, note_text, reading_order, report_standing, report_title

WIDTH = 78
_GAP = "  "
_NARROWEST = 6


def render(report: Report) -> str:
    """The whole report."""
    title = report_title(report)
    lines = [title, "=" * len(title), "", *_wrapped(report_standing(report)), ""]
    for section in reading_order(report):
        lines += _section(section)
    return "\n".join(line.rstrip() for line in lines)


def _section(section: Section) -> Iterator[str]:
    title = _line(section.title)
    yield from textwrap.wrap(title, WIDTH)
    yield "-" * min(len(title), WIDTH)
    for note in section.notes:
        first, *others = printable(note.text).splitlines() or [""]
        lines = [first, *others]
        lines[-1] += f" ({note_text(note)})"
        for number, line in enumerate(lines):
            yield from _wrapped(line, first="* " if number == 0 else "  ", rest="  ")
    for place, block in enumerate(section.blocks):
        if place or section.notes:
            yield ""
        for shown in without_pictures(block):
            yield from _table(shown) if isinstance(shown, Table) else _items(shown)
    if section.empty and not section.blocks and not section.notes:
        yield from _wrapped(section.empty)
    yield ""


def _items(items: Items) -> Iterator[str]:
    if items.title:
        yield from _wrapped(f"{items.title}:")
    for line in items.lines:
        yield from _wrapped(line, first="* ", rest="  ")
    if not items.lines:
        yield from _wrapped(items.empty)


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield from _wrapped(f"{table.title}:")
    if not table.rows:
        yield from _wrapped(table.empty)
        return
    cells = [[_line(cell_text(cell)) for cell in row] for row in table.rows]
    columns = [_line(column) for column in table.columns]
    widths = _widths([columns, *cells])
    yield from _row(columns, widths)
    yield _GAP.join("-" * width for width in widths)
    for row in cells:
        yield from _row(row, widths)


def _widths(rows: list[list[str]]) -> list[int]:
    """Natural widths, the widest columns narrowed until the row fits."""
    widths = [max(1, *(len(row[n]) for row in rows)) for n in range(len(rows[0]))]
    room = WIDTH - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widest = max(widths)
        widths[len(widths) - 1 - widths[::-1].index(widest)] -= 1
    return widths


def _row(cells: list[str], widths: list[int]) -> Iterator[str]:
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(len(lines) for lines in wrapped)):
        parts = [lines[number] if number < len(lines) else "" for lines in wrapped]
        yield _GAP.join(part.ljust(width) for part, width in zip(parts, widths, strict=True))


def _wrapped(text: str, *, first: str = "", rest: str = "") -> list[str]:
    lines = textwrap.wrap(_line(text), WIDTH, initial_indent=first, subsequent_indent=rest)
    return lines or [first.rstrip()]


def _line(text: str) -> str:
    return " ".join(printable(text).split())
