"""Reasons stand once under their table; a column of nothing is one line; no state is lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.figure import Figure, FigureState
from opengoc.base.interval import week
from opengoc.reports.footnotes import ShownTable, raised, running_as_of, shown_table
from opengoc.reports.model import Report, Table

AS_OF = datetime(2026, 11, 17, tzinfo=UTC)


def known(value: float, lacking: str = "", as_of: datetime = AS_OF) -> Figure:
    return Figure.known("payload_jobs", value, "jobs", as_of=as_of, lacking=lacking)


def missing(reason: str) -> Figure:
    return Figure.missing("payload_jobs", "jobs", reason, as_of=AS_OF)


def table(*rows: tuple[Figure | str, ...], columns: tuple[str, ...] = ()) -> Table:
    names = columns or tuple(f"c{n}" for n in range(len(rows[0])))
    return Table(title="t", columns=names, rows=rows)


def cells(shown: ShownTable) -> list[list[str]]:
    return [[cell.marked for cell in row] for row in shown.rows]


def test_equal_reasons_share_a_number_in_reading_order() -> None:
    shown = shown_table(
        table(
            ("cms", known(3, "6 of 7 days"), missing("not read")),
            ("ligo", known(4, "6 of 7 days"), known(0)),
        ),
        None,
    )
    assert cells(shown) == [["cms", "≥ 3 ¹", "missing ²"], ["ligo", "≥ 4 ¹", "0"]]
    assert shown.footnotes == ("6 of 7 days", "not read")


def test_to_date_is_said_by_the_head_of_the_report_and_the_sign_stays() -> None:
    shown = shown_table(table(("cms", known(3, "to date"), known(4, "to date, 6 of 7 days"))), AS_OF)
    assert cells(shown) == [["cms", "≥ 3", "≥ 4 ¹"]]
    assert shown.footnotes == ("6 of 7 days",)


def test_a_figure_of_an_older_revision_still_says_that_it_was_to_date() -> None:
    older = known(3, "to date", as_of=AS_OF - timedelta(hours=1))
    assert shown_table(table(("cms", older)), AS_OF).footnotes == ("to date",)
    assert shown_table(table(("cms", known(3, "to date"))), None).footnotes == ("to date",)


def test_columns_in_which_nothing_could_be_had_are_one_line() -> None:
    shown = shown_table(
        table(
            ("Jobs", known(3), missing("not read"), missing("no week before")),
            ("Peak", known(2), "–", "–"),
            columns=("", "This week", "Week before", "Change"),
        ),
        None,
    )
    assert shown.columns == ("", "This week")
    assert shown.numeric == (False, True)
    assert shown.remarks == ("Week before: missing: not read.", "Change: missing: no week before.")


def test_columns_that_lack_for_the_same_reason_share_the_line() -> None:
    shown = shown_table(table(("a", known(1), missing("not read"), missing("not read"))), None)
    assert shown.remarks == ("c2; c3: missing: not read.",)


def test_one_column_of_figures_always_stays() -> None:
    shown = shown_table(table(("a", missing("x"), missing("y"))), None)
    assert cells(shown) == [["a", "missing ¹"]]
    assert (shown.footnotes, shown.remarks) == (("x",), ("c2: missing: y.",))


def test_a_column_with_many_reasons_keeps_its_cells() -> None:
    rows = [(f"site {n}", known(n + 1), missing(f"reason {n}")) for n in range(5)]
    shown = shown_table(table(*rows), None)
    assert len(shown.columns) == 3
    assert len(shown.footnotes) == 5


@pytest.mark.parametrize(("number", "mark"), [(1, "¹"), (12, "¹²"), (40, "⁴⁰")])
def test_marks_are_raised_digits(number: int, mark: str) -> None:
    assert raised(number) == mark


def test_only_a_running_week_is_to_date() -> None:
    report = Report(week="2026-W46", interval=week("2026-W46"), revision=0, as_of=AS_OF, sections=())
    assert running_as_of(report) is None
    early = Report(week="2026-W47", interval=week("2026-W47"), revision=0, as_of=AS_OF, sections=())
    assert running_as_of(early) == AS_OF


reasons = st.sampled_from(["to date", "to date, half", "half", "not read", "away"])
figures = st.one_of(
    st.integers(0, 5).map(known),
    st.builds(known, st.integers(0, 5), reasons),
    st.builds(missing, reasons),
)


@given(rows=st.lists(st.tuples(figures, figures, figures), min_size=1, max_size=5), running=st.booleans())
def test_no_state_and_no_reason_is_lost(rows: list[tuple[Figure, ...]], running: bool) -> None:
    """Every figure is in a cell with its sign and reason, or in a column that a remark calls missing."""
    given_table = table(*((f"row {n}", *row) for n, row in enumerate(rows)))
    shown = shown_table(given_table, AS_OF if running else None)
    for n, row in enumerate(rows):
        in_cells = {shown.columns[m]: cell for m, cell in enumerate(shown.rows[n])}
        for column, figure in zip(given_table.columns[1:], row, strict=True):
            if column not in in_cells:
                said = next(remark for remark in shown.remarks if column in remark.split(":")[0])
                assert figure.value is None
                assert figure.reason in said
                continue
            cell = in_cells[column]
            told = shown.footnotes[cell.footnote - 1] if cell.footnote else ""
            assert cell.text.startswith("missing") == (figure.state is FigureState.MISSING)
            assert cell.text.startswith("≥") == (figure.state is FigureState.PARTIAL)
            if running and figure.value is not None:
                assert f"to date, {told}".startswith(figure.reason) or told == figure.reason
            else:
                assert told == figure.reason
