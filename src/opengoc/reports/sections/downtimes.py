"""Downtimes as they became known in the week, and those in force or ahead."""

from __future__ import annotations

from opengoc.reports.inputs import DowntimeNews, ReportInputs
from opengoc.reports.model import Items, Section
from opengoc.reports.wording import interval_text, moment_text


def downtimes(inputs: ReportInputs) -> Section:
    """What was announced, changed or cancelled in the week, by when it was said; then what stands."""
    return Section(
        name="downtimes",
        title="Downtimes",
        blocks=(
            Items(
                title="Announced, changed and cancelled in the week",
                lines=tuple(_news(item) for item in sorted(inputs.downtimes, key=lambda d: (d.at, d.id))),
                empty="None.",
            ),
            Items(title="In force in the week, or ahead", lines=inputs.downtimes_ahead, empty="None."),
        ),
    )


def _news(item: DowntimeNews) -> str:
    words = f"{item.what} {moment_text(item.at)} by {item.who}: {item.where}, {item.severity}, "
    words += interval_text(item.interval)
    if item.description:
        words += f" – {item.description}"
    return f"{words} (because: {item.why})" if item.why else words
