"""Tables as they are shown: a reason stands once under its table, and the cells point to it by number. Pure.

The state stays in the cell: ``≥ 30 ¹``, ``≈ 80.0 % ²``, ``missing ³``. A column in which nothing could be had
is not shown; one line under the table says so. That a week which still runs is to date is said once, at the
head of the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from opengoc.base.figure import Figure, FigureState
from opengoc.reports.model import Report, Table
from opengoc.reports.wording import TO_DATE, figure_number, partial_sign

#: Stands in a column of figures where the row has none.
NOT_APPLICABLE = "–"
#: A line of more reasons than this says less than numbers in the cells do.
_REASONS_IN_A_LINE = 3
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, kw_only=True)
class ShownCell:
    """A cell in words."""

    #: With its sign, without the number of its footnote: ``≥ 30``, ``missing``, ``0``, ``cms``.
    text: str
    #: None: words.
    figure: Figure | None = None
    #: Counts from 1; None where there is nothing to explain.
    footnote: int | None = None

    @property
    def marked(self) -> str:
        """The text with the number of its footnote: ``≥ 30 ¹``."""
        return self.text if self.footnote is None else f"{self.text} {raised(self.footnote)}"


@dataclass(frozen=True, kw_only=True)
class ShownTable:
    """A table in words, with what stands under it."""

    title: str
    columns: tuple[str, ...]
    #: Columns of numbers.
    numeric: tuple[bool, ...]
    rows: tuple[tuple[ShownCell, ...], ...]
    #: Reasons; the first has number 1.
    footnotes: tuple[str, ...] = ()
    #: Sentences of the table as a whole: columns that are not shown, legends.
    remarks: tuple[str, ...] = ()
    empty: str = ""


def raised(number: int) -> str:
    """A small raised number: ``¹²``."""
    return str(number).translate(_RAISED)


def running_as_of(report: Report) -> datetime | None:
    """When the report was made, if its week still ran then; figures of that moment are to date."""
    return None if report.week_is_over else report.as_of


def lack_of_figure(figure: Figure, running: datetime | None) -> str:
    """The reason of a figure, without what the head of a report of a running week says of all its figures.

    Figures of another moment, such as those of corrections, keep their reason whole.
    """
    if running is None or figure.as_of != running or figure.value is None:
        return figure.reason
    return "" if figure.reason == TO_DATE else figure.reason.removeprefix(f"{TO_DATE}, ")


def shown_table(table: Table, running: datetime | None) -> ShownTable:
    """The table with its reasons numbered, in reading order; ``running``: see ``running_as_of``."""
    absent = _absent_columns(table)
    kept = [n for n in range(len(table.columns)) if n not in absent]
    numbers: dict[str, int] = {}
    rows = tuple(tuple(_cell(row[n], running, numbers) for n in kept) for row in table.rows)
    return ShownTable(
        title=table.title,
        columns=tuple(table.columns[n] for n in kept),
        numeric=tuple(any(isinstance(row[n], Figure) for row in table.rows) for n in kept),
        rows=rows,
        footnotes=tuple(numbers),
        remarks=_remarks(table, absent),
        empty=table.empty,
    )


def _cell(cell: Figure | str, running: datetime | None, numbers: dict[str, int]) -> ShownCell:
    if isinstance(cell, str):
        return ShownCell(text=cell)
    reason = lack_of_figure(cell, running)
    footnote = numbers.setdefault(reason, len(numbers) + 1) if reason else None
    if cell.value is None:
        text = FigureState.MISSING.value
    else:
        sign = f"{partial_sign(cell)} " if cell.state is FigureState.PARTIAL else ""
        text = f"{sign}{figure_number(cell)}"
    return ShownCell(text=text, figure=cell, footnote=footnote)


def _absent_columns(table: Table) -> Mapping[int, tuple[str, ...]]:
    """Columns of figures that are all missing, with their reasons; one column of figures always stays."""
    of_figures = [
        n for n in range(len(table.columns)) if any(isinstance(row[n], Figure) for row in table.rows)
    ]
    absent: dict[int, tuple[str, ...]] = {}
    for n in of_figures:
        cells = [row[n] for row in table.rows if row[n] != NOT_APPLICABLE]
        reasons = tuple(
            dict.fromkeys(cell.reason for cell in cells if isinstance(cell, Figure) and cell.value is None)
        )
        nothing = all(isinstance(cell, Figure) and cell.value is None for cell in cells)
        if nothing and len(reasons) <= _REASONS_IN_A_LINE:
            absent[n] = reasons
    if absent and len(absent) == len(of_figures):
        absent.pop(of_figures[0])
    return absent


def _remarks(table: Table, absent: Mapping[int, Sequence[str]]) -> tuple[str, ...]:
    """One sentence for the columns that lack for the same reasons: ``Week before: missing: not read``."""
    names: dict[tuple[str, ...], list[str]] = {}
    for n, reasons in absent.items():
        names.setdefault(tuple(reasons), []).append(table.columns[n])
    return tuple(f"{'; '.join(columns)}: missing: {'; '.join(why)}." for why, columns in names.items())
