"""The A/R of every site for a window, from what the house knew at one moment; and its figures for reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure
from opengoc.base.instant import format_instant, require_utc
from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_HOUR
from opengoc.monitoring import store
from opengoc.monitoring.availability import Node, Ratio, Samples, availability, reliability, sites
from opengoc.monitoring.model import Endpoint, Status, Target
from opengoc.monitoring.profile import Layer, Profile
from opengoc.monitoring.timeline import Sample, needed
from opengoc.registry.snapshot import Registry
from opengoc.store.lake import Lake

#: Site of results about resources that the registry does not hold.
UNREGISTERED = "(unregistered)"

#: Metrics expected of a target.
Expected = Mapping[Target, Collection[str]]


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Every site over [start, end) under one profile, as known at ``as_of``."""

    profile: Profile
    window: Interval
    as_of: datetime
    #: The part of the window that is over at ``as_of``, in seconds; equal where none is.
    start: int
    end: int
    #: By name; empty where the window has not begun.
    sites: Mapping[str, Node]
    #: Version of the table of results that was read; None before the first result.
    table_version: int | None

    def figures(self, site: str) -> tuple[Figure, Figure]:
        """Availability and reliability of a site, in percent."""
        node = self.sites.get(site)
        if node is None:
            return self._missing("availability", site), self._missing("reliability", site)
        return (
            self._figure("availability", site, availability(node, self.profile)),
            self._figure("reliability", site, reliability(node, self.profile)),
        )

    def spells(self, site: str) -> list[tuple[Interval, Status]]:
        """The states of a site over the window, downtimes laid over, in order and without holes."""
        runs = self.sites[site].timeline(Layer.OVERLAID).runs()
        return [(Interval(_moment(start), _moment(end)), state) for start, end, state in runs]

    def _figure(self, name: str, site: str, ratio: Ratio) -> Figure:
        percent = ratio.percent
        if not ratio.known_seconds:
            return self._missing(name, site, "no probe result says anything about this window")
        if percent is None:
            # Only reliability comes here: what is known of the window is downtime throughout.
            return self._missing(name, site, "in downtime for all of the time that is known")
        return Figure.known(
            name,
            percent,
            "percent",
            as_of=self.as_of,
            lacking=_lacking(ratio),
            dimensions={"site": site},
            evidence=self._evidence()
            | {
                "up_seconds": ratio.up_seconds,
                "counted_seconds": ratio.counted_seconds,
                "known_seconds": ratio.known_seconds,
                "total_seconds": ratio.total_seconds,
            },
        )

    def _missing(self, name: str, site: str, reason: str = "the window has not begun") -> Figure:
        return Figure.missing(
            name,
            "percent",
            reason,
            as_of=self.as_of,
            dimensions={"site": site},
            evidence=self._evidence(),
        )

    def _evidence(self) -> dict[str, object]:
        return {
            "profile": self.profile.name,
            "profile_version": self.profile.version,
            "window": str(self.window),
            "until": format_instant(_moment(self.end)),
            "table": store.TABLE,
            "table_version": self.table_version,
        }


def assess(
    lake: Lake, registry: Registry, expected: Expected, *, window: Interval, profile: Profile, as_of: datetime
) -> Assessment:
    """The A/R of every site of the registry over a window, as known at ``as_of``.

    A window that is not over ends at ``as_of``. What is expected of an endpoint: the metrics of ``expected``,
    and every metric that answered about it. Give the registry as known at ``as_of`` too. Raises InvalidInput
    for an open window.
    """
    if window.end is None:
        raise InvalidInput("window", str(window), "must end")
    as_of = require_utc(as_of, "as_of")
    start, end = int(window.start.timestamp()), int(min(window.end, as_of).timestamp())
    version = lake.version(store.TABLE)
    nodes: dict[str, Node] = {}
    if start < end:
        first, last = needed(profile.standing, start, end)
        needed_of = Interval(_moment(first), _moment(last))
        read = store.samples(lake, needed_of, as_of=as_of, table_version=version)
        endpoints = endpoints_of(registry, read, expected)
        nodes = sites(endpoints, registry.downtimes.values(), profile, start=start, end=end)
    return Assessment(
        profile=profile,
        window=window,
        as_of=as_of,
        start=start,
        end=max(start, end),
        sites=dict(sorted(nodes.items())),
        table_version=version,
    )


def endpoints_of(
    registry: Registry, samples: Mapping[Target, Mapping[str, list[Sample]]], expected: Expected
) -> dict[Endpoint, Samples]:
    """Every endpoint that counts, with the results of each metric expected of it, or none.

    These are the services of resources in use, and all that was probed, resources out of use by now included.
    """
    targets = {
        Target(resource.name, service.kind)
        for resource in registry.resources.values()
        if resource.in_use
        for service in resource.services
    }
    targets |= samples.keys() | expected.keys()
    found: dict[Endpoint, Samples] = {}
    for target in targets:
        resource = registry.resources.get(target.resource)
        site = resource.site if resource is not None else UNREGISTERED
        got = samples.get(target, {})
        metrics = got.keys() | set(expected.get(target, ()))
        found[Endpoint(site, target.resource, target.service)] = {m: got.get(m, []) for m in metrics}
    return found


def availability_figures(
    lake: Lake, registry: Registry, expected: Expected, *, window: Interval, profile: Profile, as_of: datetime
) -> list[Figure]:
    """``availability`` and ``reliability`` of every site, in percent, for a report; by site.

    ``partial`` where part of the window is not known, ``missing`` with the reason where none is: never 0 or
    100 from nothing.
    """
    assessed = assess(lake, registry, expected, window=window, profile=profile, as_of=as_of)
    names = assessed.sites or {resource.site for resource in registry.resources.values() if resource.in_use}
    return [figure for site in sorted(names) for figure in assessed.figures(site)]


def _lacking(ratio: Ratio) -> str:
    unknown = ratio.total_seconds - ratio.known_seconds
    if not unknown:
        return ""
    known, total = (f"{s / SECONDS_PER_HOUR:.1f}" for s in (ratio.known_seconds, ratio.total_seconds))
    if known == total:
        return f"unknown for {unknown} s of {total} h"
    if known == "0.0":
        return f"known for {ratio.known_seconds} s of {total} h"
    return f"known for {known} of {total} h"


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
