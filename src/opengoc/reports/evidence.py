"""What is behind a figure, for people: labelled values, and the command that computes it again. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from opengoc.base.figure import Figure
from opengoc.base.instant import format_instant, parse_instant
from opengoc.base.interval import week_name
from opengoc.reports.usage import duration
from opengoc.reports.wording import moment_text

#: Values that are said together with another one.
_WITH = {
    "table": ("version", "table_version"),
    "profile": ("profile_version",),
}
_SAID_WITH = frozenset(name for names in _WITH.values() for name in names)
_SECONDS = "_seconds"


def evidence_lines(figure: Figure) -> tuple[tuple[str, str], ...]:
    """Labels and values: ``("Table", "accounting_usage, version 17")``, ``("Counted", "162.1 h")``."""
    return tuple(_lines(figure.evidence))


def command_of(figure: Figure) -> str:
    """The command that computes the figure again, as it was known; empty where there is none."""
    evidence = figure.evidence
    as_of = f"--as-of {format_instant(figure.as_of)}"
    if "window" not in evidence:
        return ""
    start, end = str(evidence["window"]).split("/")
    if "profile" in evidence:
        site = shlex.quote(figure.dimensions.get("site", ""))
        until = evidence.get("until", end)
        return f"goc ar {site} --from {start} --to {until} --profile {evidence['profile']} {as_of}"
    if "records" in evidence:
        week = week_name(parse_instant(start))
        by = ",".join(name for name in ("vo", "site") if name in figure.dimensions) or "kind"
        rules = f" --corrections {evidence['corrections']}" if "corrections" in evidence else ""
        return f"goc accounting usage --week {week} --kind {evidence['records']} --by {by} {as_of}{rules}"
    return ""


def _lines(evidence: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in evidence.items():
        if name in _SAID_WITH:
            continue
        label, words = name.replace("_", " ").capitalize(), _words(name, value)
        if name.endswith(_SECONDS):
            label = label.removesuffix(" seconds")
        versions = [evidence[other] for other in _WITH.get(name, ()) if evidence.get(other) is not None]
        if versions:
            words += f", version {versions[0]}"
        yield label, words


def _words(name: str, value: Any) -> str:
    if name == "window":
        return " to ".join(moment_text(parse_instant(each)) for each in str(value).split("/"))
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | float):
        return duration(float(value)) if name.endswith(_SECONDS) else f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(str(each) or "not stated" for each in value) or "none"
    return "unknown" if value is None else str(value)
