"""Every state of a figure is visible in every format, and what is unknown never looks like a nought."""

from __future__ import annotations

import html as html_module
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opengoc.base.figure import Figure, FigureState
from opengoc.base.interval import week
from opengoc.reports.model import Report, Section, Table
from opengoc.reports.render import html, markdown, text, twiki
from opengoc.reports.render import json as json_format
from opengoc.reports.wording import figure_text, number

AS_OF = datetime(2026, 11, 17, tzinfo=UTC)
UNITS = ("jobs", "hours", "core hours", "percent", "bytes", "pilots")

reasons = st.text(st.sampled_from("abcdefgh 123|*_<&%[]!"), min_size=1, max_size=40).filter(str.strip)
values = st.one_of(
    st.integers(min_value=0, max_value=10**15),
    st.floats(min_value=0, max_value=1e15, allow_nan=False, allow_infinity=False),
)


@st.composite
def figures(draw: st.DrawFn) -> Figure:
    """A figure of any state."""
    unit = draw(st.sampled_from(UNITS))
    if draw(st.booleans()):
        return Figure.missing("payload_jobs", unit, draw(reasons), as_of=AS_OF)
    lacking = draw(st.one_of(st.just(""), reasons))
    return Figure.known("payload_jobs", draw(values), unit, as_of=AS_OF, lacking=lacking)


def page_with(figure: Figure) -> Report:
    """A report that holds one figure and no other digit in its table."""
    table = Table(title="", columns=("Measure", "Is"), rows=(("marked", figure),))
    section = Section(name="only", title="Only", blocks=(table,))
    return Report(week="2026-W46", interval=week("2026-W46"), revision=1, as_of=AS_OF, sections=(section,))


def _split(words: str) -> tuple[str, str]:
    """The cell without the mark of its footnote, and the mark."""
    found = re.fullmatch(r"(.*?)\s*(¹?)", words, re.DOTALL)
    assert found is not None
    return found[1], found[2]


def _text_parts(page: str) -> tuple[str, str]:
    row, *under = page.split("marked", 1)[1].split("\n\n", 1)[0].splitlines()
    cell, mark = _split(row.strip())
    return cell, _reason(mark, " ".join(line.strip() for line in under))


def _markdown_parts(page: str) -> tuple[str, str]:
    row = re.search(r"^\| marked \| (.*) \|$", page, re.MULTILINE)
    assert row is not None
    note = re.search(r"^- (¹ .*)$", page, re.MULTILINE)
    cell, mark = _split(row[1])
    plain = html_module.unescape(re.sub(r"\\([\\`*_\[\]|~])", r"\1", note[1])) if note else ""
    return cell, _reason(mark, plain)


def _twiki_parts(page: str) -> tuple[str, str]:
    row = re.search(r"^\| marked \|  (.*) \|$", page, re.MULTILINE)
    assert row is not None
    note = re.search(r"^   \* (¹ .*)$", page, re.MULTILINE)
    cell, mark = _split(html_module.unescape(row[1]))
    return cell, _reason(mark, html_module.unescape(note[1]) if note else "")


def _html_parts(page: str) -> tuple[str, str]:
    row = re.search(r'<th scope="row">marked</th><td class="[^"]*">(.*?)</td>', page, re.DOTALL)
    assert row is not None
    link = re.search(r'<sup><a href="#([^"]*)">1</a></sup>', row[1])
    cell = html_module.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<sup>.*?</sup>", "", row[1])))
    if link is None:
        return cell.strip(), ""
    note = re.search(rf'<p class="footnote" id="{link[1]}"><sup>1</sup> (.*?)</p>', page, re.DOTALL)
    assert note is not None
    return cell.strip(), html_module.unescape(note[1])


def _json_parts(page: str) -> tuple[str, str]:
    document = json.loads(page)
    place = document["sections"][0]["blocks"][0]["rows"][0][1]["figure"]
    figure = document["figures"][place]
    if figure["state"] == "missing":
        return "missing", figure["reason"]
    sign = ("≈ " if figure["unit"] == "percent" else "≥ ") if figure["state"] == "partial" else ""
    return sign + number(figure["value"], figure["unit"]), figure["reason"]


def _reason(mark: str, under: str) -> str:
    """The reason that the mark points to; none without a mark, or without a note of that number."""
    assert bool(mark) == under.startswith("¹ ")
    return under.removeprefix("¹ ")


FORMATS: dict[str, tuple[Callable[[Report], str], Callable[[str], tuple[str, str]]]] = {
    "text": (text.render, _text_parts),
    "markdown": (markdown.render, _markdown_parts),
    "twiki": (twiki.render, _twiki_parts),
    "html": (html.render, _html_parts),
    "json": (json_format.render, _json_parts),
}


def _words(shown: str) -> str:
    # Where lines break is the format's own business, the words are not.
    return "".join(shown.split())


@pytest.mark.parametrize("name", FORMATS)
@given(figure=figures())
@example(figure=Figure.known("payload_jobs", 0, "jobs", as_of=AS_OF))
@example(figure=Figure.known("payload_jobs", 0, "jobs", as_of=AS_OF, lacking="6 of 7 days"))
@example(figure=Figure.missing("payload_jobs", "jobs", "the probe timed out", as_of=AS_OF))
def test_every_format_says_value_and_state_in_the_cell_and_the_reason_under_it(
    name: str, figure: Figure
) -> None:
    render, parts_of = FORMATS[name]
    cell, reason = parts_of(render(page_with(figure)))
    assert _words(reason) == _words(figure.reason)
    if figure.value is None:
        assert cell == "missing"
        return
    sign = "≈" if figure.unit == "percent" else "≥"
    shown = number(figure.value, figure.unit)
    assert _words(cell) == _words(f"{sign} {shown}" if figure.state is FigureState.PARTIAL else shown)


@given(value=values, unit=st.sampled_from(UNITS))
@example(value=0.004, unit="hours")
@example(value=1e-12, unit="hours")
@example(value=0.04, unit="percent")
def test_only_a_nought_is_written_as_a_nought(value: float, unit: str) -> None:
    digits = number(value, unit).replace(",", "").split()[0]
    assert (float(digits) == 0) == (value == 0)


@given(value=st.floats(min_value=0, max_value=100, exclude_max=True))
@example(value=99.96)
@example(value=99.9999999)
def test_no_percentage_below_one_hundred_is_written_as_one_hundred(value: float) -> None:
    assert not number(value, "percent").startswith("100")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (2_800_000, "jobs", "2,800,000"),
        (441_234.5, "hours", "441,234"),
        (12.34, "hours", "12.3"),
        (0.0042, "hours", "0.004"),
        (0.083, "hours", "0.08"),
        (85, "percent", "85.0 %"),
        (100, "percent", "100.0 %"),
        (999, "bytes", "999 B"),
        (1_500, "bytes", "1.5 kB"),
        (999_600, "bytes", "1 MB"),
        (1_254_000_000_000, "bytes", "1.25 TB"),
        (5e6, "bytes/s", "5 MB/s"),
    ],
)
def test_numbers_read_as_people_write_them(value: float, unit: str, shown: str) -> None:
    assert number(value, unit) == shown


def test_a_change_carries_its_sign() -> None:
    figure = Figure.known("wall_hours_change", 12.5, "percent", as_of=AS_OF)
    assert figure_text(figure) == "+12.5 %"
