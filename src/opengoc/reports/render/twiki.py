"""The report as TWiki topic text, for grids whose meeting pages still live in one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from opengoc.reports.footnotes import ShownTable, raised, running_as_of
from opengoc.reports.model import Items, Report, Section
from opengoc.reports.plain import printable, shown
from opengoc.reports.wording import note_text, reading_order, report_standing, report_title

#: Always markup, wherever it stands: entities show the character and mean nothing else.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "%": "&#37;", "|": "&#124;", "[": "&#91;", "]": "&#93;"}
#: TWiki opens emphasis and links only at the start, after white space or after "(" (its regex STARTWW).
_START = r"(?:(?<=\s)|(?<=\()|(?<=^))"
_EMPHASIS = re.compile(_START + r"[*_=!#]")
_WIKI_WORD = re.compile(_START + r"(?=(?:[A-Z]\w*\.)?[A-Z]+[a-z0-9]+[A-Z]+[A-Za-z0-9]*)")


def render(report: Report) -> str:
    """The whole report."""
    lines = [f"---+ {escape(report_title(report))}", "", escape(report_standing(report)), ""]
    running = running_as_of(report)
    for section in reading_order(report):
        lines += _section(section, running)
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text that TWiki shows as it stands: no markup, no HTML, no variable, no link; one line."""
    text = " ".join(printable(text).split())
    text = "".join(_ENTITIES.get(char, char) for char in text)
    text = _EMPHASIS.sub(lambda found: f"&#{ord(found[0])};", text)
    return _WIKI_WORD.sub("!", text)


def _section(section: Section, running: datetime | None) -> Iterator[str]:
    if not section.blocks and not section.notes:
        yield from (_named(section.title, section.empty), "")
        return
    yield f"---++ {escape(section.title)}"
    for note in section.notes:
        lines = printable(note.text).splitlines() or [""]
        yield f"   * {'<br />'.join(escape(line) for line in lines)} ({escape(note_text(note))})"
    for block in section.blocks:
        words = shown(block, running)
        yield from _table(words) if isinstance(words, ShownTable) else _items(words)
    yield ""


def _named(title: str, words: str) -> str:
    """One line for what is empty: ``*Attendance and apologies:* None was written down.``"""
    return f"*{escape(title)}:* {escape(words)}" if title else escape(words)


def _items(items: Items) -> Iterator[str]:
    if not items.lines:
        yield from (_named(items.title, items.empty), "")
        return
    if items.title:
        yield f"---+++ {escape(items.title)}"
    yield from (f"   * {escape(line)}" for line in items.lines)


def _table(table: ShownTable) -> Iterator[str]:
    if not table.rows:
        yield from (_named(table.title, table.empty), "")
        return
    if table.title:
        yield f"---+++ {escape(table.title)}"
    # An empty header cell would read as "**", which TWiki does not take for a heading.
    yield _row([f"*{escape(column)}*" if column else "*&nbsp;*" for column in table.columns])
    for row in table.rows:
        # Two blanks before a cell align it right: numbers.
        yield _row(
            [
                f" {escape(cell.marked)}" if right else escape(cell.marked)
                for cell, right in zip(row, table.numeric, strict=True)
            ]
        )
    for number, reason in enumerate(table.footnotes, start=1):
        yield f"   * {escape(f'{raised(number)} {reason}')}"
    yield from (f"   * {escape(remark)}" for remark in table.remarks)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell or '&nbsp;' for cell in cells)} |"
