"""Availability and reliability: results and downtimes in, integer seconds per state, node and day out.

Pure: what comes out follows from the results, the downtimes and the profile alone. Several days are added up
as seconds and divided once (ratio of sums); what is undefined is None; nothing is rounded here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opengoc.base.units import percent
from opengoc.monitoring.argo import sampled_days, slot_edge
from opengoc.monitoring.model import Endpoint, Status
from opengoc.monitoring.profile import Formula, Layer, Level, Profile, Quirk
from opengoc.monitoring.terms import THROUGHOUT, Request, Terms
from opengoc.monitoring.timeline import (
    Reading,
    Sample,
    Timeline,
    by_day,
    combine,
    confined,
    constant,
    in_order,
    joined,
    lay_over,
    painted,
    reading_timeline,
    totals,
    within,
)
from opengoc.registry.downtime import Downtime

#: Results of the metrics of one endpoint.
Samples = Mapping[str, Iterable[Sample]]

#: The same, put together and in order of time.
Readings = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, kw_only=True)
class Node:
    """An endpoint, a service, a resource or a site: its timelines over one window, and what it is made of."""

    #: ``endpoint``, or the name of a level of the profile.
    level: str
    #: Values of the labels that name it, e.g. ("ITB-SLURM", "CE").
    name: tuple[str, ...]
    measured: Timeline
    overlaid: Timeline
    #: Nodes one level below; of an endpoint none.
    children: tuple[Node, ...] = ()
    #: Of an endpoint: the timeline of each expected metric.
    metrics: Mapping[str, Timeline]
    #: Of an endpoint: the downtimes that lie over it, as (start, end, id).
    windows: tuple[tuple[int, int, str], ...] = ()
    #: Of an endpoint: the requests to recompute that concern it.
    requests: tuple[Request, ...] = ()

    def timeline(self, layer: Layer) -> Timeline:
        """One of the two timelines."""
        return self.measured if layer is Layer.MEASURED else self.overlaid


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Seconds behind an availability or a reliability; add them up before dividing."""

    up_seconds: int
    #: T without what the formula leaves out.
    counted_seconds: int
    #: Seconds of T in which the state was known (not UNKNOWN, MISSING or EXCLUDED).
    known_seconds: int
    total_seconds: int

    @property
    def percent(self) -> float | None:
        """100 × up / counted; None where nothing counts."""
        return percent(self.up_seconds, self.counted_seconds)

    def __add__(self, other: Ratio) -> Ratio:
        return Ratio(
            up_seconds=self.up_seconds + other.up_seconds,
            counted_seconds=self.counted_seconds + other.counted_seconds,
            known_seconds=self.known_seconds + other.known_seconds,
            total_seconds=self.total_seconds + other.total_seconds,
        )


_NOT_KNOWN = (Status.UNKNOWN, Status.MISSING, Status.EXCLUDED)


def ratio(seconds: Mapping[Status, int], formula: Formula) -> Ratio:
    """What a formula makes of the seconds per state of its layer."""
    total = sum(seconds.values())
    return Ratio(
        up_seconds=sum(seconds.get(state, 0) for state in formula.up),
        counted_seconds=total - sum(seconds.get(state, 0) for state in formula.left_out),
        known_seconds=total - sum(seconds.get(state, 0) for state in _NOT_KNOWN),
        total_seconds=total,
    )


def availability(node: Node, profile: Profile) -> Ratio:
    """The node's availability over its whole window."""
    return ratio(node.timeline(profile.availability.layer).seconds(), profile.availability)


def reliability(node: Node, profile: Profile) -> Ratio:
    """The node's reliability over its whole window."""
    return ratio(node.timeline(profile.reliability.layer).seconds(), profile.reliability)


@dataclass(frozen=True, kw_only=True)
class DayCount:
    """The counters of one node on one UTC day: whole seconds per state in both layers."""

    level: str
    name: tuple[str, ...]
    #: First second of the day.
    day: int
    measured: Mapping[Status, int]
    overlaid: Mapping[Status, int]

    def ratio(self, formula: Formula) -> Ratio:
        """What a formula makes of this day."""
        return ratio(self.measured if formula.layer is Layer.MEASURED else self.overlaid, formula)


def day_counts(node: Node) -> list[DayCount]:
    """The node's counters, one for each UTC day its window touches."""
    measured, overlaid = node.measured.seconds_by_day(), node.overlaid.seconds_by_day()
    return [
        DayCount(level=node.level, name=node.name, day=day, measured=measured[day], overlaid=overlaid[day])
        for day in sorted(measured)
    ]


def over_days(counts: Iterable[DayCount], formula: Formula) -> Ratio:
    """Several days as one: the ratio of the sums."""
    counts = list(counts)
    if formula.layer is Layer.MEASURED:
        return ratio(totals(count.measured for count in counts), formula)
    return ratio(totals(count.overlaid for count in counts), formula)


def measured_of(
    readings: Readings, profile: Profile, *, start: int, end: int, terms: Terms = THROUGHOUT
) -> tuple[dict[str, Timeline], Timeline]:
    """The timeline of each metric of an endpoint, and of the endpoint before downtimes are laid over.

    Every key of ``readings`` is a metric that counts, even without results.
    """
    metrics: dict[str, Timeline] = {}
    for metric in sorted(readings):
        timeline = reading_timeline(readings[metric], profile.standing, start, end)
        if Quirk.FIVE_MINUTE_SLOTS in profile.quirks:
            timeline = sampled_days(timeline)
        if metric in terms.expected:
            timeline = confined(timeline, terms.expected[metric])
        metrics[metric] = _as_requested(timeline, terms.requests, metric)
    if metrics:
        measured = combine(list(metrics.values()), profile.endpoint)
    else:
        measured = constant(Status.EXCLUDED, start, end)
    return metrics, confined(_as_requested(measured, terms.requests, ""), terms.present)


def _as_requested(timeline: Timeline, requests: Iterable[Request], metric: str) -> Timeline:
    for request in requests:
        if request.metric == metric:
            timeline = painted(timeline, [request.span], request.status)
    return timeline


def overlaid_of(measured: Timeline, windows: Iterable[tuple[int, int, str]], profile: Profile) -> Timeline:
    """An endpoint's timeline with downtimes laid over; what is EXCLUDED stays so in a downtime too."""
    covered = [(begin, until) for begin, until, _ in windows]
    if not covered:
        return measured
    if Quirk.RESTORE_FOREIGN_STATUS in profile.quirks:
        # RSV computed day by day, so that what it restored was a status of the same day.
        overlaid = joined([lay_over(piece, covered, restore_foreign=True) for piece in by_day(measured)])
    else:
        overlaid = painted(measured, covered, Status.DOWNTIME)
    excluded = [(begin, until) for begin, until, state in measured.runs() if state is Status.EXCLUDED]
    return painted(overlaid, excluded, Status.EXCLUDED)


def endpoint_node(
    endpoint: Endpoint,
    samples: Samples,
    downtimes: Iterable[Downtime],
    profile: Profile,
    *,
    start: int,
    end: int,
    terms: Terms = THROUGHOUT,
) -> Node:
    """One endpoint over [start, end); every key of ``samples`` is an expected metric, even without results.

    ``downtimes``: those of the endpoint's resource, or more; the profile and the endpoint decide which count.
    """
    readings = {metric: [(at, at, state) for at, state in in_order(samples[metric])] for metric in samples}
    return reading_node(endpoint, readings, downtimes, profile, start=start, end=end, terms=terms)


def reading_node(
    endpoint: Endpoint,
    readings: Readings,
    downtimes: Iterable[Downtime],
    profile: Profile,
    *,
    start: int,
    end: int,
    terms: Terms = THROUGHOUT,
) -> Node:
    """``endpoint_node`` of results that were put together."""
    counting = {metric: got for metric, got in readings.items() if profile.counts(endpoint.service, metric)}
    metrics, measured = measured_of(counting, profile, start=start, end=end, terms=terms)
    windows = tuple(sorted(windows_of(endpoint, downtimes, profile, start, end)))
    return Node(
        level="endpoint",
        name=(endpoint.site, endpoint.resource, endpoint.service),
        measured=measured,
        overlaid=overlaid_of(measured, windows, profile),
        metrics=metrics,
        windows=windows,
        requests=tuple(each for each in terms.requests if within([each.span], start, end)),
    )


def sites(
    samples: Mapping[Endpoint, Samples],
    downtimes: Iterable[Downtime],
    profile: Profile,
    *,
    start: int,
    end: int,
) -> dict[str, Node]:
    """Every site over [start, end), by name, built up through the levels of the profile."""
    of_resource: dict[str, list[Downtime]] = {}
    for downtime in downtimes:
        of_resource.setdefault(downtime.resource, []).append(downtime)
    return risen(
        {
            endpoint: endpoint_node(
                endpoint,
                samples[endpoint],
                of_resource.get(endpoint.resource, ()),
                profile,
                start=start,
                end=end,
            )
            for endpoint in sorted(samples)
        },
        profile,
    )


def risen(endpoints: Mapping[Endpoint, Node], profile: Profile) -> dict[str, Node]:
    """Every site, by name, built up from its endpoints through the levels of the profile."""
    nodes = [
        (
            {
                "site": endpoint.site,
                "resource": endpoint.resource,
                "service": endpoint.service,
                "function": profile.functions.get(endpoint.service, endpoint.service),
            },
            node,
        )
        for endpoint, node in sorted(endpoints.items(), key=lambda item: item[0])
    ]
    for level in profile.levels:
        nodes = _raise(nodes, level)
    return {labels["site"]: node for labels, node in nodes}


def _raise(nodes: Sequence[tuple[dict[str, str], Node]], level: Level) -> list[tuple[dict[str, str], Node]]:
    groups: dict[tuple[str, ...], list[tuple[dict[str, str], Node]]] = {}
    for labels, node in nodes:
        groups.setdefault(tuple(labels[label] for label in level.group_by), []).append((labels, node))
    raised = []
    for name, members in groups.items():
        children = tuple(node for _, node in members)
        measured = combine([child.measured for child in children], level.table)
        overlaid = measured
        if any(child.overlaid is not child.measured for child in children):
            overlaid = combine([child.overlaid for child in children], level.table)
        node = Node(
            level=level.name,
            name=name,
            measured=measured,
            overlaid=overlaid,
            children=children,
            metrics={},
        )
        raised.append((members[0][0], node))
    return raised


def windows_of(
    endpoint: Endpoint, downtimes: Iterable[Downtime], profile: Profile, start: int, end: int
) -> Iterable[tuple[int, int, str]]:
    """The downtimes that lie over an endpoint within [start, end), as (start, end, id)."""
    for downtime in downtimes:
        if downtime.resource != endpoint.resource or endpoint.service not in downtime.services:
            continue
        if not profile.downtimes.counts(downtime):
            continue
        begin = max(int(downtime.interval.start.timestamp()), start)
        until = end if downtime.interval.end is None else min(int(downtime.interval.end.timestamp()), end)
        if Quirk.FIVE_MINUTE_SLOTS in profile.quirks:
            begin, until = slot_edge(begin), slot_edge(until)
        if begin < until:
            yield begin, until, downtime.id
