"""All that decides A/R besides results and profile, as known at one moment.

Where endpoints stand, which metrics are expected, downtimes, and requests to recompute.

What the registry says of a resource counts from the moment it said so, and what it said first counts from the
beginning: a resource that moves, goes out of use or vanishes leaves its past where it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from opengoc.base.interval import Interval
from opengoc.monitoring import expectation, recomputation
from opengoc.monitoring.model import Endpoint, Target
from opengoc.monitoring.terms import ALWAYS, BEGINNING, FOREVER, Request, Terms
from opengoc.monitoring.timeline import Spans
from opengoc.registry.downtime import Downtime
from opengoc.registry.rows import decode
from opengoc.registry.snapshot import Registry
from opengoc.store import facts
from opengoc.store.facts import Fact

#: Site of what is probed and the registry does not hold.
UNREGISTERED = "(unregistered)"

#: Kinds of facts of the registry that say where an endpoint stands.
TOPOLOGY = ("site", "group", "resource")
DOWNTIME = "downtime"


@dataclass(frozen=True, kw_only=True)
class Presence:
    """A spell in which a resource stood in use at a site under a name, and what it offered."""

    resource: str
    resource_id: str
    #: Empty: out of use.
    site: str
    services: frozenset[str]
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """See the module."""

    #: By name of the resource, in order of time.
    presences: Mapping[str, tuple[Presence, ...]]
    expected: Mapping[Target, Mapping[str, Spans]] = field(default_factory=dict)
    #: By name of the resource.
    downtimes: Mapping[str, tuple[Downtime, ...]] = field(default_factory=dict)
    #: The stronger ones last.
    requests: tuple[Request, ...] = ()
    #: Id of a resource → every name it had.
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Id of a group → names of its resources.
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def names_of(self, resource_id: str) -> frozenset[str]:
        """Every name that a resource had."""
        return self.names.get(resource_id, frozenset())

    def of_group(self, group_id: str) -> frozenset[str]:
        """Every name of every resource that a group ever had."""
        return self.groups.get(group_id, frozenset())

    def endpoints(self, probed: Iterable[Target] = (), *, site: str | None = None) -> dict[Endpoint, Terms]:
        """Every endpoint (of one site if asked) with its terms: what is offered, expected or was probed."""
        if site is not None and site != UNREGISTERED:
            here = {name for name, spells in self.presences.items() if any(p.site == site for p in spells)}
        else:
            here = self.presences.keys() | {t.resource for t in (*self.expected, *probed)}
        offered = {
            Target(name, kind)
            for name in here
            for presence in self.presences.get(name, ())
            for kind in presence.services
        }
        asked = {target for target in (*self.expected, *probed) if target.resource in here}
        found: dict[Endpoint, Terms] = {}
        for target in offered | asked:
            for at, present in self._where(target).items():
                if site is not None and at != site:
                    continue
                endpoint = Endpoint(at, target.resource, target.service)
                found[endpoint] = Terms(
                    present=present,
                    expected=self.expected.get(target, {}),
                    requests=tuple(r for r in self.requests if r.concerns(endpoint)),
                )
        return found

    def site_names(self, probed: Iterable[Target] = ()) -> set[str]:
        """Every site that an endpoint stands at or stood at."""
        names = {p.site for spells in self.presences.values() for p in spells if p.services}
        if any(target.resource not in self.presences for target in (*self.expected, *probed)):
            names.add(UNREGISTERED)
        return names

    def _where(self, target: Target) -> dict[str, Spans]:
        """Sites at which a target stood, and when."""
        spells = self.presences.get(target.resource)
        if spells is None:
            return {UNREGISTERED: ALWAYS}
        found: dict[str, list[tuple[int, int]]] = {}
        offered = False
        for presence in spells:
            offers = target.service in presence.services
            # What the registry never yet said it offers, and is probed all the same, stands where its
            # resource does; what it offered once stands while it does.
            if offers or not offered:
                found.setdefault(presence.site, []).append((presence.start, presence.end))
            offered = offered or offers
        return {site: tuple(spans) for site, spans in found.items()}


def read(
    conn: Connection, *, window: Interval | None = None, known_at: datetime | None = None
) -> Circumstances:
    """The circumstances as known at ``known_at`` (None: now); downtimes that touch the window, or all."""
    return with_downtimes(conn, without_downtimes(conn, known_at=known_at), window=window, known_at=known_at)


def without_downtimes(conn: Connection, *, known_at: datetime | None = None) -> Circumstances:
    """The circumstances but for downtimes: what changes seldom."""
    by_name: dict[str, list[Presence]] = {}
    names: defaultdict[str, set[str]] = defaultdict(set)
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for group, presence in _presences(conn, known_at):
        names[presence.resource_id].add(presence.resource)
        groups[group].add(presence.resource)
        # Out of use it is known all the same, and stands nowhere.
        spells = by_name.setdefault(presence.resource, [])
        if presence.site:
            spells.append(presence)
    return Circumstances(
        presences={name: _joined(several) for name, several in by_name.items()},
        expected=expectation.expected(conn, known_at=known_at),
        requests=recomputation.requests(conn, known_at=known_at),
        names={key: frozenset(several) for key, several in names.items()},
        groups={key: frozenset(several) for key, several in groups.items()},
    )


def with_downtimes(
    conn: Connection,
    known: Circumstances,
    *,
    window: Interval | None = None,
    known_at: datetime | None = None,
    sites: Collection[str] | None = None,
) -> Circumstances:
    """The same with the downtimes that touch a window (None: all), of some sites or of all."""
    resources = None if sites is None else {e.resource for site in sites for e in known.endpoints(site=site)}
    if window is None:
        announced = facts.standing(conn, DOWNTIME, known_at=known_at)
    else:
        announced = facts.standing_within(conn, DOWNTIME, window, known_at=known_at)
    laid_over: dict[str, list[Downtime]] = {}
    for fact in announced:
        row = fact.value or {}
        # A resource that was renamed takes its downtimes along, and leaves them in its past.
        names = known.names_of(row["resource_id"] or "") or {row["resource"]}
        if resources is not None and not names & resources:
            continue
        downtime: Downtime = decode(DOWNTIME, fact.key, row)
        for name in sorted(names):
            laid_over.setdefault(name, []).append(replace(downtime, resource=name))
    return replace(known, downtimes={name: tuple(several) for name, several in laid_over.items()})


def of_registry(registry: Registry, expected: Mapping[Target, Collection[str]]) -> Circumstances:
    """The circumstances of a registry that never changed, with metrics expected throughout."""
    downtimes: dict[str, list[Downtime]] = {}
    for downtime in registry.downtimes.values():
        downtimes.setdefault(downtime.resource, []).append(downtime)
    return Circumstances(
        presences={
            resource.name: (
                Presence(
                    resource=resource.name,
                    resource_id=resource.id,
                    site=resource.site,
                    # What is out of use offers nothing; if it is probed all the same, it counts.
                    services=frozenset(s.kind for s in resource.services if resource.in_use),
                    start=BEGINNING,
                    end=FOREVER,
                ),
            )
            for resource in registry.resources.values()
        },
        expected={target: dict.fromkeys(metrics, ALWAYS) for target, metrics in expected.items()},
        downtimes={name: tuple(several) for name, several in downtimes.items()},
    )


def _presences(conn: Connection, known_at: datetime | None) -> Iterator[tuple[str, Presence]]:
    """Every spell of every resource, with the id of its group."""
    histories: dict[str, dict[str, list[Fact]]] = {kind: {} for kind in TOPOLOGY}
    for fact in facts.versions(conn, TOPOLOGY, known_at=known_at):
        histories[fact.kind].setdefault(fact.key, []).append(fact)
    for key, versions in histories["resource"].items():
        for index, fact in enumerate(versions):
            row = fact.value
            if row is None:
                continue
            start = BEGINNING if index == 0 else _second(fact)
            end = FOREVER if index + 1 == len(versions) else _second(versions[index + 1])
            in_use = row["active"] and not row["disabled"]
            where = _sites(histories, row["group"], start, end) if in_use else [("", start, end)]
            for site, since, until in where:
                yield (
                    row["group"],
                    Presence(
                        resource=row["name"],
                        resource_id=key,
                        site=site,
                        services=frozenset(service["kind"] for service in row["services"]),
                        start=since,
                        end=until,
                    ),
                )


def _sites(
    histories: Mapping[str, Mapping[str, list[Fact]]], group: str, start: int, end: int
) -> Iterable[tuple[str, int, int]]:
    """The name of the site of a group over [start, end): a site renamed is another name for the same past."""
    versions = [fact for fact in histories["group"].get(group, ()) if fact.value is not None]
    for index, fact in enumerate(versions):
        since = start if index == 0 else max(start, _second(fact))
        until = end if index + 1 == len(versions) else min(end, _second(versions[index + 1]))
        if since < until:
            yield _site_name(histories, (fact.value or {})["site"]), since, until


def _site_name(histories: Mapping[str, Mapping[str, list[Fact]]], site: str) -> str:
    rows: list[dict[str, Any]] = [f.value for f in histories["site"].get(site, ()) if f.value is not None]
    return str(rows[-1]["name"]) if rows else UNREGISTERED


def _second(fact: Fact) -> int:
    return int(fact.known_from.timestamp())


def _joined(spells: Iterable[Presence]) -> tuple[Presence, ...]:
    """In order, neighbours that differ in nothing but time made one."""
    joined: list[Presence] = []
    for presence in sorted(spells, key=lambda each: (each.start, each.end)):
        if presence.start >= presence.end:
            continue
        last = joined[-1] if joined else None
        if last is not None and replace(presence, start=last.start) == replace(last, end=presence.end):
            touches = last.end == presence.start
            presence = replace(presence, start=last.start) if touches else presence
            joined = joined[:-1] if touches else joined
        joined.append(presence)
    return tuple(joined)
