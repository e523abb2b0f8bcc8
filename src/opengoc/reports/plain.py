"""Plots as tables, and text made safe to show: what every format without pictures shares."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

from opengoc.base.figure import Figure, FigureState
from opengoc.base.interval import Interval
from opengoc.reports.model import Bars, Items, SpellState, Strip, Strips, Table
from opengoc.reports.wording import SPELL_WORDS, number, partial_sign

#: Marks a point that could not be had.
UNKNOWN_POINT = "?"
_STEP = timedelta(hours=6)
#: Where several states share a step, the one that most needs eyes is shown.
_GRAVITY = (
    SpellState.CRITICAL,
    SpellState.UNKNOWN,
    SpellState.DOWNTIME,
    SpellState.WARNING,
    SpellState.OK,
    SpellState.AHEAD,
)


def printable(text: str) -> str:
    """The text without control and direction characters, which hide or turn what follows; lines stay."""
    return "".join(
        char if char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else "�"
        for char in text.replace("\r\n", "\n").replace("\t", " ")
    )


def point_text(figure: Figure) -> str:
    """A point of a plot: ``12``, ``≥ 12``, ``0`` or ``?``; the reason stands in the legend."""
    if figure.value is None:
        return UNKNOWN_POINT
    shown = number(figure.value, figure.unit)
    return f"{partial_sign(figure)} {shown}" if figure.state is FigureState.PARTIAL else shown


def bars_table(bars: Bars) -> Table:
    """The plot as a table: a row per series, a column per label."""
    rows = tuple((series.name, *(point_text(figure) for figure in series.figures)) for series in bars.series)
    return Table(title=bars.title, columns=("", *bars.labels), rows=rows)


def bars_legend(bars: Bars) -> Items:
    """Why points are partial or missing, each reason once with its days."""
    days: dict[tuple[str, str], list[str]] = {}
    for series in bars.series:
        for label, figure in zip(bars.labels, series.figures, strict=True):
            if figure.state in (FigureState.MISSING, FigureState.PARTIAL):
                mark = UNKNOWN_POINT if figure.value is None else partial_sign(figure)
                places = days.setdefault((mark, f"{figure.state.value}: {figure.reason}"), [])
                if label not in places:
                    places.append(label)
    lines = tuple(f"{mark} {reason} ({', '.join(places)})" for (mark, reason), places in days.items())
    return Items(title="", lines=lines)


def strip_letters(strip: Strip, interval: Interval) -> str:
    """The week as letters, one per six hours, a blank between days: ``UUUU UUXX ????``."""
    assert interval.end is not None
    letters = []
    start = interval.start
    while start < interval.end:
        step = Interval(start, min(start + _STEP, interval.end))
        present = {spell.state for spell in strip.spells if spell.interval.overlaps(step)}
        state = next((state for state in _GRAVITY if state in present), SpellState.UNKNOWN)
        letters.append(SPELL_WORDS[state][1])
        start += _STEP
    per_day = timedelta(days=1) // _STEP
    return " ".join("".join(letters[n : n + per_day]) for n in range(0, len(letters), per_day))


def strips_table(strips: Strips) -> Table:
    """The strips as a table: a row per site, six hours a letter."""
    rows = tuple((strip.name, strip_letters(strip, strips.interval)) for strip in strips.strips)
    return Table(title=strips.title, columns=("Site", "Monday to Sunday, six hours a letter"), rows=rows)


def strips_legend(strips: Strips) -> Items:
    """What the letters mean."""
    present = {spell.state for strip in strips.strips for spell in strip.spells}
    words = ", ".join(
        f"{SPELL_WORDS[state][1]} {SPELL_WORDS[state][0]}" for state in _GRAVITY if state in present
    )
    return Items(title="", lines=(f"{words}; the gravest state of each six hours is shown.",))


def without_pictures(block: Table | Items | Bars | Strips) -> list[Table | Items]:
    """The block as tables and lists alone."""
    match block:
        case Bars():
            legend = bars_legend(block)
            return [bars_table(block), *([legend] if legend.lines else [])]
        case Strips():
            return [strips_table(block), strips_legend(block)]
        case _:
            return [block]
