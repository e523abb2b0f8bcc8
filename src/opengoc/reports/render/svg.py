"""The plots as SVG, drawn on the server: no script, no font to fetch, readable in black and white.

Bars are small panels, one a VO, each to its own scale with the numbers written on: who it is never hangs on
colour. A partial day has an open, dashed top; a day that could not be had is a hatched box with a question
mark, so that it cannot be taken for a nought. Every picture carries its title and its numbers as text for
screen readers.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, tostring

from opengoc.base.figure import Figure, FigureState
from opengoc.reports.model import Bars, Series, SpellState, Strip, Strips
from opengoc.reports.plain import point_text, printable, strip_letters
from opengoc.reports.wording import NOT_BEGUN, SPELL_WORDS, number

WIDTH = 720
_PANEL_HEIGHT = 136
_GAP = 12
_TOP = 34
_FLOOR = 22
_LABEL_WIDTH = 150
_STRIP_HEIGHT = 20
_STRIP_STEP = 30
_AXIS = 20
_LEGEND = 24
#: A partial bar ends in an open part of this height.
_OPEN_TOP = 9
_NAME_LIMIT = 22


def bars_svg(bars: Bars, name: str, *, columns: int | None = None) -> str:
    """The plot of bars as one ``<svg>`` element; ``name`` makes its ids unique in the page.

    ``columns``: panels side by side; None: as many as fill the width of a report.
    """
    full = 2 if len(bars.series) in (1, 2, 4) else 3
    width = (WIDTH - (full - 1) * _GAP) / full
    columns = columns or full
    rows = -(-len(bars.series) // columns)
    height = rows * (_PANEL_HEIGHT + _GAP) - _GAP
    root = _root(name, bars.title, _bars_words(bars), height, width=columns * (width + _GAP) - _GAP)
    for place, series in enumerate(bars.series):
        row, column = divmod(place, columns)
        corner = f"translate({column * (width + _GAP):g} {row * (_PANEL_HEIGHT + _GAP)})"
        panel = SubElement(root, "g", transform=corner)
        _panel(panel, series, bars, width, name)
    return tostring(root, encoding="unicode")


def strips_svg(strips: Strips, name: str) -> str:
    """The status of the sites over the week as one ``<svg>`` element."""
    words = "; ".join(f"{strip.name}: {strip_letters(strip, strips.interval)}" for strip in strips.strips)
    height = _AXIS + len(strips.strips) * _STRIP_STEP + _LEGEND
    root = _root(name, strips.title, words, height)
    day_width = (WIDTH - _LABEL_WIDTH) / 7
    bottom = _AXIS + len(strips.strips) * _STRIP_STEP - (_STRIP_STEP - _STRIP_HEIGHT) / 2
    for day in range(8):
        x = _LABEL_WIDTH + day * day_width
        if day < 7:
            _text(
                root,
                x + day_width / 2,
                13,
                ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day],
                "axis",
                "middle",
            )
        _shape(root, "line", "grid", x1=x, y1=_AXIS - 2, x2=x, y2=bottom)
    for place, strip in enumerate(strips.strips):
        _strip(root, strip, strips, _AXIS + place * _STRIP_STEP, name)
    present = {spell.state for strip in strips.strips for spell in strip.spells}
    x = float(_LABEL_WIDTH)
    for state in (state for state in SpellState if state in present):
        _state_box(root, state, x, height - _LEGEND + 8, 18, 12, name)
        _text(root, x + 24, height - _LEGEND + 18, SPELL_WORDS[state][0], "axis")
        x += 40 + 6.6 * len(SPELL_WORDS[state][0])
    return tostring(root, encoding="unicode")


def _panel(panel: Element, series: Series, bars: Bars, width: float, name: str) -> None:
    floor = _PANEL_HEIGHT - _FLOOR
    room = floor - _TOP
    highest = max((float(f.value) for f in series.figures if f.value is not None), default=0.0)
    _text(panel, 0, 12, _short(series.name), "series")
    _shape(panel, "line", "floor", x1=0, y1=floor, x2=width, y2=floor)
    step = width / len(bars.labels)
    for place, (label, figure) in enumerate(zip(bars.labels, series.figures, strict=True)):
        x = place * step + 2
        _text(panel, x + step / 2 - 2, _PANEL_HEIGHT - 7, label.split()[0], "axis", "middle")
        if figure.reason == NOT_BEGUN:
            # Time to come lacks nothing: no question mark.
            _shape(panel, "rect", "state-ahead", x=x, y=_TOP, width=step - 4, height=room)
            continue
        if figure.value is None:
            _shape(
                panel, "rect", "missing", x=x, y=_TOP, width=step - 4, height=room, fill=f"url(#{name}-hatch)"
            )
            _text(panel, x + step / 2 - 2, _TOP + room / 2 + 5, "?", "unknown", "middle")
            continue
        height = (
            0.0 if not highest else max(1.5 if figure.value else 0.0, room * float(figure.value) / highest)
        )
        _shape(panel, "rect", "bar", x=x, y=floor - height, width=step - 4, height=height)
        top = floor - height
        if figure.state is FigureState.PARTIAL:
            top -= _OPEN_TOP
            _shape(panel, "rect", "open", x=x, y=top, width=step - 4, height=_OPEN_TOP)
        _text(panel, x + step / 2 - 2, top - 3, _bar_label(figure), "number", "middle")


def _strip(root: Element, strip: Strip, strips: Strips, y: float, name: str) -> None:
    _text(root, 0, y + 14, _short(strip.name), "series")
    width = WIDTH - _LABEL_WIDTH
    for spell in strip.spells:
        shared = spell.interval.intersection(strips.interval)
        if shared is None:
            continue
        start = (shared.start - strips.interval.start).total_seconds() / strips.interval.seconds
        share = shared.seconds / strips.interval.seconds
        _state_box(root, spell.state, _LABEL_WIDTH + start * width, y, share * width, _STRIP_HEIGHT, name)


def _state_box(
    root: Element, state: SpellState, x: float, y: float, width: float, height: float, name: str
) -> None:
    if state in (SpellState.DOWNTIME, SpellState.UNKNOWN):
        pattern = "hatch-downtime" if state is SpellState.DOWNTIME else "hatch"
        fill = f"url(#{name}-{pattern})"
        _shape(root, "rect", f"state-{state.value}", x=x, y=y, width=width, height=height, fill=fill)
    else:
        _shape(root, "rect", f"state-{state.value}", x=x, y=y, width=width, height=height)


def _root(name: str, title: str, words: str, height: float, *, width: float = WIDTH) -> Element:
    root = Element(
        "svg",
        {
            "viewBox": f"0 0 {width:g} {height:g}",
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-words",
            "class": "plot",
        },
    )
    SubElement(root, "title", id=f"{name}-title").text = printable(title)
    SubElement(root, "desc", id=f"{name}-words").text = printable(words)
    drawn = SubElement(root, "defs")
    for pattern, kind in (("hatch", "hatch-line"), ("hatch-downtime", "downtime-line")):
        made = SubElement(
            drawn,
            "pattern",
            id=f"{name}-{pattern}",
            width="6",
            height="6",
            patternUnits="userSpaceOnUse",
            patternTransform="rotate(45)" if pattern == "hatch" else "rotate(-45)",
        )
        _shape(made, "rect", f"{kind}-ground", x=0, y=0, width=6, height=6)
        _shape(made, "line", kind, x1=0, y1=0, x2=0, y2=6)
    return root


def _shape(parent: Element, tag: str, kind: str, *, fill: str = "", **sizes: float) -> None:
    attributes = {"class": kind, **{key: f"{value:.5g}" for key, value in sizes.items()}}
    if fill:
        attributes["fill"] = fill
    SubElement(parent, tag, attributes)


def _text(parent: Element, x: float, y: float, words: str, kind: str, anchor: str = "start") -> None:
    attributes = {"x": f"{x:.5g}", "y": f"{y:.5g}", "class": kind, "text-anchor": anchor}
    SubElement(parent, "text", attributes).text = words


def _bars_words(bars: Bars) -> str:
    return "; ".join(
        f"{series.name}: "
        + ", ".join(
            f"{label} {point_text(figure)}" for label, figure in zip(bars.labels, series.figures, strict=True)
        )
        for series in bars.series
    )


def _bar_label(figure: Figure) -> str:
    """At most five characters of digits, so that seven fit side by side."""
    assert figure.value is not None
    sign = "≥" if figure.state is FigureState.PARTIAL else ""
    value = float(figure.value)
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            value, suffix = value / (1e3 if letter == "k" else size), letter
            return f"{sign}{value:.3g}{suffix}" if value < 1000 else f"{sign}{value:.0f}{suffix}"
    return sign + number(value if value < 100 else round(value), "jobs")


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _NAME_LIMIT else f"{name[: _NAME_LIMIT - 1]}…"
