"""The report as plain text for mail: 78 columns, readable in any font that is monospaced."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

from opengoc.reports.footnotes import ShownTable, raised, running_as_of
from opengoc.reports.model import Items, Report, Section
from opengoc.reports.plain import printable, shown
from opengoc.reports.wording import note_text, reading_order, report_standing, report_title

WIDTH = 78
_GAP = "  "
_NARROWEST = 6


def render(report: Report) -> str:
    """The whole report."""
    title = report_title(report)
    lines = [title, "=" * len(title), "", *_wrapped(report_standing(report)), ""]
    running = running_as_of(report)
    for section in reading_order(report):
        lines += _section(section, running)
    return "\n".join(line.rstrip() for line in lines)


def _section(section: Section, running: datetime | None) -> Iterator[str]:
    title = _line(section.title)
    if not section.blocks and not section.notes:
        yield from (*_wrapped(f"{title}: {section.empty}"), "")
        return
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
        words = shown(block, running)
        yield from _table(words) if isinstance(words, ShownTable) else _items(words)
    yield ""


def _items(items: Items) -> Iterator[str]:
    if not items.lines:
        yield from _wrapped(f"{items.title}: {items.empty}" if items.title else items.empty)
        return
    if items.title:
        yield from _wrapped(f"{items.title}:")
    for line in items.lines:
        yield from _wrapped(line, first="* ", rest="  ")


def _table(table: ShownTable) -> Iterator[str]:
    if not table.rows:
        yield from _wrapped(f"{table.title}: {table.empty}" if table.title else table.empty)
        return
    if table.title:
        yield from _wrapped(f"{table.title}:")
    cells = [_cells(table, n) for n in range(len(table.columns))]
    rows = [list(row) for row in zip(*cells, strict=True)]
    columns = [_line(column) for column in table.columns]
    widths = _widths(columns, rows)
    yield from _row(columns, widths, table.numeric)
    yield _GAP.join("-" * width for width in widths)
    for row in rows:
        yield from _row(row, widths, table.numeric)
    for number, reason in enumerate(table.footnotes, start=1):
        mark = f"{raised(number)} "
        yield from _wrapped(reason, first=mark, rest=" " * len(mark))
    for remark in table.remarks:
        yield from _wrapped(remark)


def _cells(table: ShownTable, column: int) -> list[str]:
    """The cells of a column; of numbers, the digits stand under one another with the marks beside them."""
    cells = [row[column] for row in table.rows]
    if not table.numeric[column]:
        return [_line(cell.marked) for cell in cells]
    marks = [f" {raised(cell.footnote)}" if cell.footnote else "" for cell in cells]
    room = max(map(len, marks))
    return [_line(cell.text) + mark.ljust(room) for cell, mark in zip(cells, marks, strict=True)]


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Room for the cells and the longest word of a heading; the widest are narrowed until the row fits."""
    heads = [max(map(len, column.split() or [""])) for column in columns]
    widths = [max(1, head, *(len(row[n]) for row in rows)) for n, head in enumerate(heads)]
    room = WIDTH - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widest = max(widths)
        widths[len(widths) - 1 - widths[::-1].index(widest)] -= 1
    # Headings take two lines, or one, where there is room for all of them to.
    for lines in (2, 1):
        wider = [max(width, _width_for(column, lines)) for width, column in zip(widths, columns, strict=True)]
        widths = wider if sum(wider) <= room else widths
    return widths


def _width_for(heading: str, lines: int) -> int:
    """The narrowest column that shows the heading in so many lines."""
    widths = range(1, len(heading))
    return next((width for width in widths if len(textwrap.wrap(heading, width)) <= lines), len(heading))


def _row(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> Iterator[str]:
    wrapped = [
        [cell] if len(cell) <= width else textwrap.wrap(cell, width) or [""]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for number in range(max(len(lines) for lines in wrapped)):
        parts = [lines[number] if number < len(lines) else "" for lines in wrapped]
        yield _GAP.join(
            part.rjust(width) if right else part.ljust(width)
            for part, width, right in zip(parts, widths, numeric, strict=True)
        )


def _wrapped(text: str, *, first: str = "", rest: str = "") -> list[str]:
    lines = textwrap.wrap(_line(text), WIDTH, initial_indent=first, subsequent_indent=rest)
    return lines or [first.rstrip()]


def _line(text: str) -> str:
    return " ".join(printable(text).split())
