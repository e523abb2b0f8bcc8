"""The plots: valid SVG, nothing unknown drawn as a nought, and the same told in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.reports.example_week import AS_OF, MONDAY

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure
from opengoc.base.interval import Interval
from opengoc.reports.model import Bars, Report, Section, Series, Spell, SpellState, Strip, Strips, Table
from opengoc.reports.plain import bars_legend, strip_letters
from opengoc.reports.render import html
from opengoc.reports.render.svg import bars_svg, strips_svg

WEEK = Interval(MONDAY, MONDAY + timedelta(days=7))
DAYS = ("Mon 9", "Tue 10", "Wed 11", "Thu 12", "Fri 13", "Sat 14", "Sun 15")


def known(value: float, lacking: str = "") -> Figure:
    return Figure.known("jobs", value, "jobs", as_of=AS_OF, lacking=lacking)


def unknown(reason: str = "not read") -> Figure:
    return Figure.missing("jobs", "jobs", reason, as_of=AS_OF)


def bars(*figures: Figure) -> Bars:
    padded = (*figures, *(known(0) for _ in range(7 - len(figures))))
    return Bars(title="Jobs", unit="jobs", labels=DAYS, series=(Series(name="cms", figures=padded),))


def of_class(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if element.get("class") == name]


def test_bars_are_as_high_as_their_values() -> None:
    root = fromstring(bars_svg(bars(known(100), known(50), known(25)), "p"))
    heights = [float(bar.get("height", "nan")) for bar in of_class(root, "bar")]
    assert heights[0] == pytest.approx(2 * heights[1]) == pytest.approx(4 * heights[2])
    assert heights[3:] == [0, 0, 0, 0]


def test_an_unknown_day_is_a_hatched_box_and_no_bar() -> None:
    root = fromstring(bars_svg(bars(known(100), unknown()), "p"))
    assert len(of_class(root, "bar")) == 6
    assert len(of_class(root, "missing")) == 1
    assert [label.text for label in of_class(root, "unknown")] == ["?"]


def test_a_partial_day_is_open_at_the_top() -> None:
    root = fromstring(bars_svg(bars(known(100, "half a day")), "p"))
    assert len(of_class(root, "open")) == 1
    assert "≥100" in [label.text for label in of_class(root, "number")]


def test_the_smallest_number_still_has_a_bar() -> None:
    root = fromstring(bars_svg(bars(known(1_000_000), known(1)), "p"))
    assert float(of_class(root, "bar")[1].get("height", "0")) > 0


def test_a_week_of_noughts_and_holes_can_be_drawn() -> None:
    assert len(of_class(fromstring(bars_svg(bars(), "p")), "bar")) == 7
    nothing = fromstring(bars_svg(bars(*(unknown() for _ in DAYS)), "p"))
    assert len(of_class(nothing, "missing")) == 7


def test_pictures_carry_title_and_numbers_for_those_who_do_not_see_them() -> None:
    root = fromstring(bars_svg(bars(known(100), unknown(), known(3, "half")), "p"))
    assert root.get("role") == "img"
    ids = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    title, words = (ids[name] for name in root.get("aria-labelledby", "").split())
    assert title == "Jobs"
    assert words is not None
    assert words.startswith("cms: Mon 9 100, Tue 10 ?, Wed 11 ≥ 3")


def test_the_legend_gives_each_reason_once_with_its_days() -> None:
    legend = bars_legend(bars(*(unknown("away") for _ in range(3)), known(3, "half"), unknown("away")), None)
    assert legend == ("? missing: away (Mon 9 to Wed 11, Fri 13)", "≥ partial: half (Thu 12)")


def test_a_point_that_is_to_date_needs_no_legend_while_the_week_runs() -> None:
    plot = bars(known(3, "to date"), known(4, "to date, half"))
    assert bars_legend(plot, AS_OF) == ("≥ partial: half (Tue 10)",)
    assert bars_legend(plot, None) == ("≥ partial: to date (Mon 9)", "≥ partial: to date, half (Tue 10)")


def test_ids_are_unique_in_the_page(report: Report) -> None:
    page = html.render(report)
    ids = [part.split('"', 1)[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids))


def test_every_link_of_the_page_has_its_target(report: Report) -> None:
    page = html.render(report)
    ids = {part.split('"', 1)[0] for part in page.split(' id="')[1:]}
    links = {part.split('"', 1)[0] for part in page.split('href="#')[1:]}
    assert links
    assert links <= ids


def test_a_series_must_have_a_point_for_each_label() -> None:
    with pytest.raises(InvalidInput, match="needs 7 points"):
        Bars(title="Jobs", unit="jobs", labels=DAYS, series=(Series(name="cms", figures=(known(1),)),))


states = st.lists(st.tuples(st.integers(1, 7 * 24 - 1), st.sampled_from(list(SpellState))), max_size=12)


@given(turns=states)
def test_a_strip_covers_the_week_in_proportion(turns: list[tuple[int, SpellState]]) -> None:
    edges = sorted({hour for hour, _ in turns} | {0, 7 * 24})
    kinds = [SpellState.OK, *(state for _, state in turns)]
    spells = tuple(
        Spell(
            interval=Interval(MONDAY + timedelta(hours=start), MONDAY + timedelta(hours=end)),
            state=kinds[n % len(kinds)],
        )
        for n, (start, end) in enumerate(pairwise(edges))
    )
    strips = Strips(title="Status", interval=WEEK, strips=(Strip(name="ITB-CONDOR", spells=spells),))
    root = fromstring(strips_svg(strips, "p"))
    boxes = [e for e in root.iter("rect") if (e.get("class") or "").startswith("state-")]
    strip = [box for box in boxes if float(box.get("height", "0")) == 20]
    assert len(strip) == len(spells)
    assert sum(float(box.get("width", "0")) for box in strip) == pytest.approx(570, rel=1e-2)
    assert len(strip_letters(strips.strips[0], WEEK).replace(" ", "")) == 28


def test_letters_show_the_gravest_state_of_six_hours() -> None:
    hour = timedelta(hours=1)
    spells = (
        Spell(interval=Interval(MONDAY, MONDAY + 5 * hour), state=SpellState.OK),
        Spell(interval=Interval(MONDAY + 5 * hour, MONDAY + 7 * hour), state=SpellState.CRITICAL),
        Spell(interval=Interval(MONDAY + 7 * hour, MONDAY + 30 * hour), state=SpellState.DOWNTIME),
    )
    letters = strip_letters(Strip(name="ITB-SLURM", spells=spells), WEEK)
    assert letters.startswith("XXss s??? ????")


@given(
    edges=st.lists(st.integers(-30, 8 * 24 * 4), min_size=2, max_size=12, unique=True).map(sorted),
    states=st.lists(st.sampled_from(list(SpellState)), min_size=11, max_size=11),
    hours=st.integers(1, 7 * 24),
)
def test_each_letter_is_of_the_spells_that_touch_its_six_hours(
    edges: list[int], states: list[SpellState], hours: int
) -> None:
    quarter, six = timedelta(minutes=15), timedelta(hours=6)
    spells = tuple(
        Spell(interval=Interval(MONDAY + a * quarter, MONDAY + b * quarter), state=state)
        for (a, b), state in zip(pairwise(edges), states, strict=False)
    )
    end = MONDAY + timedelta(hours=hours)
    letters = strip_letters(Strip(name="ITB-SLURM", spells=spells), Interval(MONDAY, end)).replace(" ", "")
    steps = [MONDAY + n * six for n in range(-(-hours // 6))]
    assert len(letters) == len(steps)
    for letter, start in zip(letters, steps, strict=True):
        step = Interval(start, min(start + six, end))
        touching = tuple(spell for spell in spells if spell.interval.overlaps(step))
        assert letter == strip_letters(Strip(name="ITB-SLURM", spells=touching), step)
        assert touching or letter == "?"


def test_a_day_to_come_lacks_nothing_and_carries_no_question_mark() -> None:
    root = fromstring(bars_svg(bars(known(3), unknown("not begun"), unknown("not read")), "p"))
    assert len(of_class(root, "state-ahead")) == 1
    assert len(of_class(root, "unknown")) == 1


def test_many_corrections_do_not_bury_the_page_and_none_is_left_out(report: Report) -> None:
    rows = tuple((f"figure {place}", "cause") for place in range(500))
    table = Table(title="", columns=("Figure", "Cause"), rows=rows)
    section = Section(name="corrections", title="Corrections", blocks=(table,))
    page = html.render(replace(report, sections=(*report.sections, section)))
    assert page.count('<th scope="row">figure ') == 500
    assert "<summary>480 more</summary>" in page
