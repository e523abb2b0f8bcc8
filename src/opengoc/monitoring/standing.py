"""How every service stands now: its metrics' newest answers, their age, the downtimes that are on. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from opengoc.monitoring.circumstances import UNREGISTERED
from opengoc.monitoring.model import CurrentStatus, Status, Target
from opengoc.monitoring.profile import RSV_OSG, FreshFor
from opengoc.monitoring.timeline import GRAVITY
from opengoc.registry.snapshot import Registry

#: An answer stands for this many intervals of its check; then the metric is MISSING.
INTERVALS_FRESH = 3

assert isinstance(RSV_OSG.standing, FreshFor)
#: Answers of metrics that no check of ours is for (they come from elsewhere) stand as long as RSV's did.
FOREIGN_FRESH = timedelta(seconds=RSV_OSG.standing.seconds)

_NEVER = "no result yet"


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """One service of one resource, now."""

    site: str
    target: Target
    status: Status
    #: Since when; None where it never answered.
    since: datetime | None
    #: When the deciding metric answered last; None: never.
    at: datetime | None
    #: Its line, or the downtime's description.
    summary: str
    #: Metric that decides, or id of the downtime.
    decided_by: str


def service_states(
    registry: Registry,
    current: Iterable[CurrentStatus],
    intervals: Mapping[tuple[str, Target], float],
    *,
    now: datetime,
) -> list[ServiceState]:
    """Every service that is probed, by site, resource and service.

    ``intervals``: seconds between two runs of each check, by metric and target. A check without an answer, or
    with an old one, is MISSING: what is not known to be up is never shown so.
    """
    answers = {(status.metric, status.target): status for status in current}
    by_target: defaultdict[Target, list[ServiceState]] = defaultdict(list)
    for metric, target in sorted(answers.keys() | intervals.keys(), key=lambda key: (key[1], key[0])):
        interval = intervals.get((metric, target))
        fresh = FOREIGN_FRESH if interval is None else INTERVALS_FRESH * timedelta(seconds=interval)
        site = registry.resources[target.resource].site if target.resource in registry.resources else ""
        state = _metric_state(site or UNREGISTERED, target, metric, answers.get((metric, target)), fresh, now)
        by_target[target].append(state)
    states = [_overlaid(registry, _gravest(metrics), now) for metrics in by_target.values()]
    return sorted(states, key=lambda state: (state.site, state.target))


def _metric_state(
    site: str, target: Target, metric: str, answer: CurrentStatus | None, fresh: timedelta, now: datetime
) -> ServiceState:
    status, since, at, summary = Status.MISSING, None, None, _NEVER
    if answer is not None:
        status, since, at, summary = answer.status, answer.since, answer.at, answer.summary
        if now - answer.at > fresh:
            status, since = Status.MISSING, answer.at + fresh
            summary = f"no result since; the last was {answer.status}: {answer.summary}"
    return ServiceState(
        site=site, target=target, status=status, since=since, at=at, summary=summary, decided_by=metric
    )


#: For people who look now: a metric that is missing or cannot tell weighs more than a warning.
_ORDER = {**GRAVITY, Status.MISSING: 4.6, Status.UNKNOWN: 4.5}


def _gravest(metrics: list[ServiceState]) -> ServiceState:
    return max(metrics, key=lambda state: _ORDER[state.status])


def _overlaid(registry: Registry, state: ServiceState, now: datetime) -> ServiceState:
    outage = registry.outage_at(state.target.resource, now, service=state.target.service)
    if outage is None:
        return state
    return ServiceState(
        site=state.site,
        target=state.target,
        status=Status.DOWNTIME,
        since=outage.interval.start,
        at=state.at,
        summary=outage.description or state.summary,
        decided_by=outage.id,
    )
