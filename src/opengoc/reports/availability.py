"""The A/R report of a month or week, built: figures in, report out; no store, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from opengoc.base.figure import Figure
from opengoc.base.interval import Interval
from opengoc.reports.model import Items, Report, Section, Table

AVAILABILITY, RELIABILITY = "availability", "reliability"


def report_name(period: str) -> str:
    """What a period's A/R report is called beside the weekly production reports."""
    return f"A/R {period}"


def build(
    period: str,
    interval: Interval,
    figures: Iterable[Figure],
    *,
    profile: str,
    targets: tuple[float, float] | None,
    as_of: datetime,
) -> Report:
    """A draft of the report; ``figures``: availability and reliability of sites and federations."""
    figures = tuple(figures)
    sections = [
        _section("sites", "Sites", "Site", _pairs(figures, "site"), "The registry holds no site in use."),
        _section(
            "federations",
            "Federations",
            "Federation",
            _pairs(figures, "federation"),
            "There is no federation.",
        ),
    ]
    if targets is not None:
        sections.append(_below(_pairs(figures, "site"), targets))
    return Report(
        week=report_name(period),
        interval=interval,
        revision=0,
        as_of=as_of,
        sections=tuple(sections),
        title=f"Availability and reliability, {period}, profile {profile}",
    )


def _pairs(figures: Iterable[Figure], dimension: str) -> dict[str, dict[str, Figure]]:
    """Name → availability and reliability."""
    found: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        if dimension in figure.dimensions:
            found.setdefault(figure.dimensions[dimension], {})[figure.name] = figure
    return found


def _section(
    name: str, title: str, label: str, pairs: Mapping[str, Mapping[str, Figure]], empty: str
) -> Section:
    rows = tuple((each, pair[AVAILABILITY], pair[RELIABILITY]) for each, pair in sorted(pairs.items()))
    table = Table(title="", columns=(label, "Availability", "Reliability"), rows=rows, empty=empty)
    return Section(name=name, title=title, blocks=(table,) if rows else (), empty=empty)


def _below(pairs: Mapping[str, Mapping[str, Figure]], targets: tuple[float, float]) -> Section:
    lines = []
    for site, pair in sorted(pairs.items()):
        short = [
            f"{name} {pair[name].value:.1f} %"
            for name, target in ((AVAILABILITY, targets[0]), (RELIABILITY, targets[1]))
            if pair[name].value is not None and pair[name].value < target  # type: ignore[operator]
        ]
        if short:
            lines.append(f"{site}: {', '.join(short)}")
    title = f"Below target: availability {targets[0]:g} %, reliability {targets[1]:g} %"
    empty = "No site of which something is known is below target."
    return Section(
        name="below", title=title, blocks=(Items(title="", lines=tuple(lines)),) if lines else (), empty=empty
    )
