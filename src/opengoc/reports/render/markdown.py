"""The report as Markdown (CommonMark with tables)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from opengoc.reports.footnotes import ShownTable, raised, running_as_of
from opengoc.reports.model import Items, Report, Section
from opengoc.reports.plain import printable, shown
from opengoc.reports.wording import note_text, reading_order, report_standing, report_title

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
#: At the start of a line these would open a heading, a list, a quotation, a rule or a table.
_LINE_START = re.compile(r"^(\s*)([-+#=:]|\d+(?=[.)]))")


def render(report: Report) -> str:
    """The whole report."""
    lines = [f"# {escape(report_title(report))}", "", escape(report_standing(report)), ""]
    running = running_as_of(report)
    for section in reading_order(report):
        lines += _section(section, running)
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text that Markdown shows as it stands: no markup, no HTML; one line."""
    text = escape_within(text)
    opened = _LINE_START.match(text)
    if opened is None:
        return text
    if opened[2].isdigit():
        return text[: opened.end()] + "\\" + text[opened.end() :]
    return opened[1] + "\\" + text[len(opened[1]) :]


def escape_within(text: str) -> str:
    """The same for text that does not begin a line, as in the cell of a table."""
    text = " ".join(printable(text).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def _section(section: Section, running: datetime | None) -> Iterator[str]:
    if not section.blocks and not section.notes:
        yield from (_named(section.title, section.empty), "")
        return
    yield f"## {escape(section.title)}"
    yield ""
    for note in section.notes:
        first, *others = printable(note.text).splitlines() or [""]
        yield (
            "- " + "  \n  ".join(escape(line) for line in (first, *others)) + f" ({escape(note_text(note))})"
        )
    if section.notes:
        yield ""
    for block in section.blocks:
        words = shown(block, running)
        yield from _table(words) if isinstance(words, ShownTable) else _items(words)


def _named(title: str, words: str) -> str:
    """One line for what is empty: ``**Attendance and apologies:** None was written down.``"""
    return f"**{escape_within(title)}:** {escape_within(words)}" if title else escape(words)


def _items(items: Items) -> Iterator[str]:
    if not items.lines:
        yield from (_named(items.title, items.empty), "")
        return
    if items.title:
        yield from (f"### {escape(items.title)}", "")
    yield from (f"- {escape(line)}" for line in items.lines)
    yield ""


def _table(table: ShownTable) -> Iterator[str]:
    if not table.rows:
        yield from (_named(table.title, table.empty), "")
        return
    if table.title:
        yield from (f"### {escape(table.title)}", "")
    yield _row([escape_within(column) for column in table.columns])
    yield _row(["---:" if right else "---" for right in table.numeric])
    for row in table.rows:
        yield _row([escape_within(cell.marked) for cell in row])
    yield ""
    reasons = [f"{raised(number)} {reason}" for number, reason in enumerate(table.footnotes, start=1)]
    for line in (*reasons, *table.remarks):
        yield f"- {escape(line)}"
    if reasons or table.remarks:
        yield ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
