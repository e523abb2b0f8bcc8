"""The operations centre: availability and reliability of the sites, and how the services stand."""

from __future__ import annotations

from datetime import datetime

from opengoc.base.figure import Figure
from opengoc.reports.inputs import Monitoring, ReportInputs
from opengoc.reports.model import Block, Cell, Items, Section, Strips, Table
from opengoc.reports.wording import moment_text

#: Statuses that need nobody's attention.
_GOOD = ("OK",)


def operations(inputs: ReportInputs, as_of: datetime) -> Section:
    """A/R by site, the week as strips, and the services that do not stand at OK."""
    monitoring = inputs.monitoring
    blocks: list[Block] = [_ar_table(monitoring, as_of)]
    if monitoring.strips:
        interval = inputs.usage.interval
        blocks.append(
            Strips(title="Status of the sites over the week", interval=interval, strips=monitoring.strips)
        )
    blocks.append(_status_now(monitoring))
    return Section(name="operations", title="Operations center", blocks=tuple(blocks))


def _ar_table(monitoring: Monitoring, as_of: datetime) -> Table:
    by_site: dict[str, dict[str, Figure]] = {}
    for figure in monitoring.figures:
        by_site.setdefault(figure.dimensions.get("site", ""), {})[figure.name] = figure
    rows: list[tuple[Cell, ...]] = []
    for site, figures in sorted(by_site.items()):
        cells = (
            figures.get(name) or _unknown(name, site, monitoring, as_of)
            for name in ("availability", "reliability")
        )
        rows.append((site, *cells))
    return Table(
        title="Availability and reliability",
        columns=("Site", "Availability", "Reliability"),
        rows=tuple(rows),
        empty=f"missing: {monitoring.missing_reason}",
    )


def _unknown(name: str, site: str, monitoring: Monitoring, as_of: datetime) -> Figure:
    return Figure.missing(name, "percent", monitoring.missing_reason, as_of=as_of, dimensions={"site": site})


def _status_now(monitoring: Monitoring) -> Items:
    bad = [service for service in monitoring.services if service.status not in _GOOD]
    good = len(monitoring.services) - len(bad)
    lines = [
        f"{service.resource} ({service.service}, {service.site}): {service.status}"
        + (f" since {moment_text(service.at)}" if service.at else "")
        + (f" – {service.message}" if service.message else "")
        for service in bad
    ]
    if good:
        lines.append(f"{good} of {len(monitoring.services)} services are OK.")
    return Items(
        title="Services at the end of the week",
        lines=tuple(lines),
        empty=f"missing: {monitoring.missing_reason}",
    )
