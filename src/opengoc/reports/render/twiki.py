"""The report as TWiki topic text, for grids whose meeting pages still live in one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opengoc.reports.model import Items, Report, Section, Table
from opengoc.reports.plain import printable, without_pictures
from opengoc.reports.wording import cell_text, note_text, reading_order, report_standing, report_title

#: Always markup, wherever it stands: entities show the character and mean nothing else.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "%": "&#37;", "|": "&#124;", "[": "&#91;", "]": "&#93;"}
#: TWiki opens emphasis and links only at the start, after white space or after "(" (its regex STARTWW).
_START = r"(?:(?<=\s)|(?<=\()|(?<=^))"
_EMPHASIS = re.compile(_START + r"[*_=!#]")
_WIKI_WORD = re.compile(_START + r"(?=(?:[A-Z]\w*\.)?[A-Z]+[a-z0-9]+[A-Z]+[A-Za-z0-9]*)")


def render(report: Report) -> str:
    """The whole report."""
    lines = [f"---+ {escape(report_title(report))}", "", escape(report_standing(report)), ""]
    for section in reading_order(report):
        lines += _section(section)
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text that TWiki shows as it stands: no markup, no HTML, no variable, no link; one line."""
    text = " ".join(printable(text).split())
    text = "".join(_ENTITIES.get(char, char) for char in text)
    text = _EMPHASIS.sub(lambda found: f"&#{ord(found[0])};", text)
    return _WIKI_WORD.sub("!", text)


def _section(section: Section) -> Iterator[str]:
    yield f"---++ {escape(section.title)}"
    for note in section.notes:
        lines = printable(note.text).splitlines() or [""]
        yield f"   * {'<br />'.join(escape(line) for line in lines)} ({escape(note_text(note))})"
    for block in section.blocks:
        for shown in without_pictures(block):
            yield from _table(shown) if isinstance(shown, Table) else _items(shown)
    if section.empty and not section.blocks and not section.notes:
        yield escape(section.empty)
    yield ""


def _items(items: Items) -> Iterator[str]:
    if items.title:
        yield f"---+++ {escape(items.title)}"
    yield from (f"   * {escape(line)}" for line in items.lines)
    if not items.lines:
        yield escape(items.empty)


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"---+++ {escape(table.title)}"
    if not table.rows:
        yield escape(table.empty)
        return
    # An empty header cell would read as "**", which TWiki does not take for a heading.
    yield _row([f"*{escape(column)}*" if column else "*&nbsp;*" for column in table.columns])
    for row in table.rows:
        # Two blanks before a cell align it right: numbers.
        yield _row([escape(cell) if isinstance(cell, str) else f" {escape(cell_text(cell))}" for cell in row])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell or '&nbsp;' for cell in cells)} |"
