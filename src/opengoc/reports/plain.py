"""Blocks in words, and text made safe to show: what the formats share."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta

from opengoc.base.figure import Figure, FigureState
from opengoc.base.interval import Interval
from opengoc.reports.footnotes import ShownCell, ShownTable, lack_of_figure, shown_table
from opengoc.reports.model import Bars, Block, Items, SpellState, Strip, Strips, Table
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


def shown_bars(bars: Bars, running: datetime | None) -> ShownTable:
    """The plot as a table: a row per series, a column per label."""
    rows = tuple(
        (ShownCell(text=series.name), *(ShownCell(text=point_text(figure)) for figure in series.figures))
        for series in bars.series
    )
    return ShownTable(
        title=bars.title,
        columns=("", *bars.labels),
        numeric=(False, *(True for _ in bars.labels)),
        rows=rows,
        remarks=bars_legend(bars, running),
    )


def bars_legend(bars: Bars, running: datetime | None) -> tuple[str, ...]:
    """Why points are partial or missing, each reason once with its days."""
    places: dict[tuple[str, str], set[int]] = {}
    for series in bars.series:
        for place, figure in enumerate(series.figures):
            reason = lack_of_figure(figure, running)
            if reason:
                mark = UNKNOWN_POINT if figure.value is None else partial_sign(figure)
                places.setdefault((mark, f"{figure.state.value}: {reason}"), set()).add(place)
    return tuple(
        f"{mark} {reason} ({_stretches(sorted(found), bars.labels)})"
        for (mark, reason), found in places.items()
    )


def _stretches(places: Sequence[int], labels: Sequence[str]) -> str:
    """Labels in words, neighbours joined: ``Mon 9, Wed 11 to Fri 13``."""
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return ", ".join(
        " to ".join(dict.fromkeys((labels[run[0]], labels[run[-1]])))
        if len(run) != 2
        else f"{labels[run[0]]}, {labels[run[1]]}"
        for run in runs
    )


def strip_letters(strip: Strip, interval: Interval) -> str:
    """The week as letters, one per six hours, a blank between days: ``UUUU UUXX ????``."""
    assert interval.end is not None
    present: list[set[SpellState]] = [set() for _ in range(-((interval.start - interval.end) // _STEP))]
    # Each spell is looked at once, not once for every letter: there may be hundreds of them.
    for spell in strip.spells:
        start, end = max(spell.interval.start, interval.start), spell.interval.end or interval.end
        end = min(end, interval.end)
        if start < end:
            # Rounded up: a letter begun is touched.
            for n in range((start - interval.start) // _STEP, -((interval.start - end) // _STEP)):
                present[n].add(spell.state)
    states = (next((s for s in _GRAVITY if s in each), SpellState.UNKNOWN) for each in present)
    letters = [SPELL_WORDS[state][1] for state in states]
    per_day = timedelta(days=1) // _STEP
    return " ".join("".join(letters[n : n + per_day]) for n in range(0, len(letters), per_day))


def shown_strips(strips: Strips) -> ShownTable:
    """The strips as a table: a row per site, six hours a letter."""
    rows = tuple(
        (ShownCell(text=strip.name), ShownCell(text=strip_letters(strip, strips.interval)))
        for strip in strips.strips
    )
    return ShownTable(
        title=strips.title,
        columns=("Site", "Monday to Sunday, six hours a letter"),
        numeric=(False, False),
        rows=rows,
        remarks=(_strips_legend(strips),),
    )


def _strips_legend(strips: Strips) -> str:
    present = {spell.state for strip in strips.strips for spell in strip.spells}
    words = ", ".join(
        f"{SPELL_WORDS[state][1]} {SPELL_WORDS[state][0]}" for state in _GRAVITY if state in present
    )
    return f"{words}; the gravest state of each six hours is shown."


def shown(block: Block, running: datetime | None) -> ShownTable | Items:
    """The block in words; ``running``: see ``footnotes.running_as_of``."""
    match block:
        case Bars():
            return shown_bars(block, running)
        case Strips():
            return shown_strips(block)
        case Table():
            return shown_table(block, running)
        case Items():
            return block
