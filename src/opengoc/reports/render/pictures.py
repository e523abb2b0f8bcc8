"""The plots of a report apart from it: those of one VO or one site, for pages about that VO or site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from opengoc.reports.model import Bars, Block, Report, Strips
from opengoc.reports.render.svg import bars_svg, strips_svg


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A plot to be put into a page that has the rules of ``plot_rules``."""

    title: str
    svg: Markup


def pictures_of_vo(report: Report, vo: str) -> list[Picture]:
    """The bars by day of one VO; none where the report draws none of it."""
    found = []
    for number, block in enumerate(_blocks(report)):
        if isinstance(block, Bars):
            own = tuple(series for series in block.series if series.name == vo)
            if own:
                svg = bars_svg(replace(block, series=own), f"plot-{number}", columns=1)
                # Markup is safe here: ElementTree wrote the picture out and escaped its text.
                found.append(Picture(title=block.title, svg=Markup(svg)))
    return found


def pictures_of_site(report: Report, site: str) -> list[Picture]:
    """The status of one site over the week; none where the report draws none of it."""
    found = []
    for number, block in enumerate(_blocks(report)):
        if isinstance(block, Strips):
            own = tuple(strip for strip in block.strips if strip.name == site)
            if own:
                svg = strips_svg(replace(block, strips=own), f"plot-{number}")
                found.append(Picture(title="Status over the week", svg=Markup(svg)))
    return found


@cache
def plot_rules() -> str:
    """The style sheet of the plots, the same that a report carries in itself."""
    return files(__package__).joinpath("templates", "plot.css").read_text(encoding="utf-8")


def _blocks(report: Report) -> Iterator[Block]:
    for section in report.sections:
        yield from section.blocks
