"""The operations centre: availability and reliability of the sites, and how the services stand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from opengoc.base.figure import Figure
from opengoc.reports.inputs import Monitoring, ReportInputs, ServiceStatus, WeekUsage
from opengoc.reports.model import Block, Cell, Items, Section, Strips, Table
from opengoc.reports.usage import BATCH, batch_figures
from opengoc.reports.wording import moment_text

#: Statuses that need nobody's attention.
_GOOD = ("OK",)
#: Up to so many sites each have a row; of more, those that nothing is known of share a line.
_ALL_IN_FULL = 12


def operations(inputs: ReportInputs, as_of: datetime) -> Section:
    """A/R by site, the week as strips, and the services that do not stand at OK."""
    monitoring = inputs.monitoring
    by_site = _by_site(monitoring)
    silent = _silent(by_site)
    blocks: list[Block] = [
        _ar_table({s: f for s, f in by_site.items() if s not in silent}, monitoring, as_of)
    ]
    if silent:
        blocks.append(Items(title="Sites that no probe says anything about", lines=(", ".join(silent),)))
    interval = inputs.usage.interval
    if monitoring.strips:
        blocks.append(
            Strips(title="Status of the sites over the week", interval=interval, strips=monitoring.strips)
        )
    blocks.append(_status_now(monitoring, f"Services {moment_in_words(interval.end, as_of)}"))
    batch = _batch(inputs.usage, as_of)
    if batch.rows:
        blocks.append(batch)
    return Section(name="operations", title="Operations center", blocks=tuple(blocks))


def is_good(service: ServiceStatus) -> bool:
    """Whether a service needs nobody's attention."""
    return service.status in _GOOD


def moment_in_words(end: datetime | None, as_of: datetime) -> str:
    """When the services stood as they are said to: ``now``, or ``at the end of the week``."""
    return "at the end of the week" if end is not None and end <= as_of else "now"


def _batch(week: WeekUsage, as_of: datetime) -> Table:
    """The sites' other jobs, e.g. those of the probes: small, and no VO's."""
    sites = sorted({row.site for row in week.days if row.kind == BATCH})
    rows = tuple((site or "site not stated", *batch_figures(week, site, as_of)) for site in sites)
    return Table(title="Other jobs of the sites", columns=("Site", "Jobs", "Core hours"), rows=rows)


def _by_site(monitoring: Monitoring) -> dict[str, dict[str, Figure]]:
    by_site: dict[str, dict[str, Figure]] = {}
    for figure in monitoring.figures:
        by_site.setdefault(figure.dimensions.get("site", ""), {})[figure.name] = figure
    return dict(sorted(by_site.items()))


def _silent(by_site: Mapping[str, Mapping[str, Figure]]) -> list[str]:
    if len(by_site) <= _ALL_IN_FULL:
        return []
    return [site for site, found in by_site.items() if all(f.value is None for f in found.values())]


def _ar_table(by_site: Mapping[str, Mapping[str, Figure]], monitoring: Monitoring, as_of: datetime) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for site, figures in by_site.items():
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


def _status_now(monitoring: Monitoring, title: str) -> Items:
    bad = [service for service in monitoring.services if not is_good(service)]
    good = len(monitoring.services) - len(bad)
    lines = [
        f"{service.resource} ({service.service}, {service.site}): {service.status}"
        + (f" since {moment_text(service.since)}" if service.since else "")
        + (f" – {service.message}" if service.message else "")
        for service in bad
    ]
    if good:
        lines.append(f"{good} of {len(monitoring.services)} services are OK.")
    return Items(
        title=title,
        lines=tuple(lines),
        empty=f"missing: {monitoring.missing_reason}",
    )
