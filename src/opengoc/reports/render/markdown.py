"""The report as Markdown (CommonMark with tables)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opengoc.base.figure import Figure
from opengoc.reports.model import Items, Report, Section, Table
from opengoc.reports.plain import printable, without_pictures
from opengoc.reports.wording import cell_text, note_text, reading_order, report_standing, report_title

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
#: At the start of a line these would open a heading, a list, a quotation, a rule or a table.
_LINE_START = re.compile(r"^(\s*)([-+#=:]|\d+(?=[.)]))")


def render(report: Report) -> str:
    """The whole report."""
    lines = [f"# {escape(report_title(report))}", "", escape(report_standing(report)), ""]
    for section in reading_order(report):
        lines += _section(section)
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


def _section(section: Section) -> Iterator[str]:
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
        for shown in without_pictures(block):
            yield from _table(shown) if isinstance(shown, Table) else _items(shown)
    if section.empty and not section.blocks and not section.notes:
        yield from (escape(section.empty), "")


def _items(items: Items) -> Iterator[str]:
    if items.title:
        yield from (f"### {escape(items.title)}", "")
    yield from (f"- {escape(line)}" for line in items.lines)
    if not items.lines:
        yield escape(items.empty)
    yield ""


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield from (f"### {escape(table.title)}", "")
    if not table.rows:
        yield from (escape(table.empty), "")
        return
    yield _row([escape_within(column) for column in table.columns])
    numeric = [any(isinstance(row[n], Figure) for row in table.rows) for n in range(len(table.columns))]
    yield _row(["---:" if right else "---" for right in numeric])
    for row in table.rows:
        yield _row([escape_within(cell_text(cell)) for cell in row])
    yield ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
