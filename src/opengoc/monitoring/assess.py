"""The A/R of every site for a window, from what the house knew at one moment; and its figures for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure
from opengoc.base.instant import format_instant, require_utc
from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_HOUR
from opengoc.monitoring import store
from opengoc.monitoring.availability import Node, Ratio, availability, reading_node, reliability, risen
from opengoc.monitoring.circumstances import UNREGISTERED, Circumstances
from opengoc.monitoring.model import Endpoint, Status, Target
from opengoc.monitoring.profile import Layer, Profile
from opengoc.monitoring.table import TABLE
from opengoc.monitoring.terms import Terms
from opengoc.monitoring.timeline import Reading, needed
from opengoc.store.lake import Lake


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
        timeline = self.sites[site].timeline(Layer.OVERLAID)
        starts = [_moment(at) for at, _ in timeline.changes]
        ends = [*starts[1:], _moment(timeline.end)]
        return [
            (Interval(start, end), state)
            for start, end, (_, state) in zip(starts, ends, timeline.changes, strict=True)
        ]

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
            lacking=lacking_text(ratio),
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
            "table": TABLE,
            "table_version": self.table_version,
        }


def assess(
    lake: Lake,
    circumstances: Circumstances,
    *,
    window: Interval,
    profile: Profile,
    as_of: datetime,
    site: str | None = None,
) -> Assessment:
    """The A/R of every site (or of one) over a window from scratch, as known at ``as_of``.

    A window that is not over ends at ``as_of``. Give the circumstances as known at ``as_of`` too. Raises
    InvalidInput for an open window.
    """
    if window.end is None:
        raise InvalidInput("window", str(window), "must end")
    as_of = require_utc(as_of, "as_of")
    start, end = int(window.start.timestamp()), int(min(window.end, as_of).timestamp())
    version = lake.version(TABLE)
    nodes: dict[str, Node] = {}
    if start < end:
        first, last = needed(profile.standing, start, end)
        read = store.readings(
            lake,
            Interval(_moment(first), _moment(last)),
            profile.standing,
            as_of=as_of,
            table_version=version,
            resources=None if site is None else _resources_of(circumstances, site),
        )
        endpoints = {
            endpoint: _node(circumstances, endpoint, terms, read, profile, start, end)
            for endpoint, terms in circumstances.endpoints(read, site=site).items()
        }
        nodes = risen(endpoints, profile)
    return Assessment(
        profile=profile,
        window=window,
        as_of=as_of,
        start=start,
        end=max(start, end),
        sites=dict(sorted(nodes.items())),
        table_version=version,
    )


def _node(
    circumstances: Circumstances,
    endpoint: Endpoint,
    terms: Terms,
    read: Mapping[Target, Mapping[str, list[Reading]]],
    profile: Profile,
    start: int,
    end: int,
) -> Node:
    got = read.get(endpoint.target, {})
    return reading_node(
        endpoint,
        {metric: got.get(metric, []) for metric in got.keys() | terms.expected.keys()},
        circumstances.downtimes.get(endpoint.resource, ()),
        profile,
        start=start,
        end=end,
        terms=terms,
    )


def _resources_of(circumstances: Circumstances, site: str) -> set[str] | None:
    """Names to ask for; None: all, where the site is that of resources nobody registered."""
    if site == UNREGISTERED:
        return None
    return {endpoint.resource for endpoint in circumstances.endpoints(site=site)}


def lacking_text(ratio: Ratio) -> str:
    """How much of the time is known, where that is not all of it."""
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
