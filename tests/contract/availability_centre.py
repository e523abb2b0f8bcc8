"""A centre for tests of A/R: a registry held as facts, results, downtimes, and both ways to compute a day."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opengoc.base.interval import Interval
from opengoc.monitoring import circumstances, store
from opengoc.monitoring.assess import assess
from opengoc.monitoring.availability import DayCount, Node, day_counts
from opengoc.monitoring.model import ProbeResult, Status
from opengoc.monitoring.profile import Profile
from opengoc.monitoring.refresh import Availability
from opengoc.registry.downtime import Downtime, Severity
from opengoc.registry.model import Facility, Resource, ResourceGroup, Service, Site
from opengoc.registry.rows import encode
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.lake import Lake

DAY = 86_400
MONDAY = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())
#: Facts of the tests are learned within these days; the days that are computed are over.
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def a_resource(name: str, site: str, *kinds: str, active: bool = True) -> Resource:
    return Resource(
        id=f"r-{name}",
        name=name,
        group=site,
        site=site,
        fqdn=f"{re.sub('[^a-z0-9]', '', name.lower())}.example.org",
        services=tuple(Service(kind=kind) for kind in kinds or ("CE",)),
        active=active,
    )


class Centre:
    """A lake and a database with two sites: ALPHA (two CEs), BETA (a CE and an SE)."""

    def __init__(self, home: Path, database: Database) -> None:
        self.lake, self.database = Lake(home / "lake"), database
        store.declare(self.lake)
        self._batches = 0
        self._home = home
        for kind, value in (
            ("facility", Facility(id="u", name="U")),
            *(("site", Site(id=f"s-{name}", name=name, facility="U")) for name in ("ALPHA", "BETA")),
            *(("group", ResourceGroup(id=f"g-{name}", name=name, site=name)) for name in ("ALPHA", "BETA")),
        ):
            self._state(kind, value, None)
        self.hold(a_resource("ce1", "ALPHA"), known=moment(MONDAY - 30 * DAY))
        self.hold(a_resource("ce2", "ALPHA"), known=moment(MONDAY - 30 * DAY))
        self.hold(a_resource("ce3", "BETA", "CE", "SRM"), known=moment(MONDAY - 30 * DAY))

    def _state(self, kind: str, value: object, known: datetime | None) -> None:
        ids = {
            "facility": {"U": "u"},
            "site": {name: f"s-{name}" for name in ("ALPHA", "BETA")},
            "group": {name: f"g-{name}" for name in ("ALPHA", "BETA")},
            "resource": {name: f"r-{name}" for name in ("ce1", "ce2", "ce3", "new")},
        }
        row = encode(kind, value, ids)  # type: ignore[arg-type]
        key = value.id  # type: ignore[attr-defined]
        valid = value.interval if isinstance(value, Downtime) else Interval(moment(MONDAY))
        with self.database.begin() as conn:
            standing = facts.get(conn, kind, key)
            if standing is None:
                facts.assert_fact(
                    conn, kind=kind, key=key, value=row, valid=valid, who="test", known_at=known
                )
            else:
                facts.supersede(
                    conn,
                    kind=kind,
                    key=key,
                    value=row,
                    valid=valid,
                    who="test",
                    known_at=known,
                    expect=standing.version,
                )

    def hold(self, resource: Resource, *, known: datetime) -> None:
        """The registry says this of a resource from now on."""
        self._state("resource", resource, known)

    def vanish(self, resource: str, *, known: datetime) -> None:
        """The registry no longer holds a resource."""
        with self.database.begin() as conn:
            fact = facts.get(conn, "resource", f"r-{resource}")
            if fact is not None:
                facts.retract(
                    conn, kind="resource", key=fact.key, who="test", known_at=known, expect=fact.version
                )

    def announce(
        self,
        id: str,
        resource: str,
        start: int,
        end: int,
        *,
        notice: timedelta = timedelta(days=3),
        cancelled: bool = False,
        severity: Severity = Severity.OUTAGE,
    ) -> None:
        """Announce a downtime, or say better what it is."""
        downtime = Downtime(
            id=id,
            resource=resource,
            resource_id=f"r-{resource}",
            services=("CE", "SRM"),
            interval=Interval(moment(start), moment(end)),
            severity=severity,
            declared_at=moment(start) - notice,
        )
        if cancelled:
            downtime = replace(downtime, cancelled_at=moment(end))
        self._state("downtime", downtime, None)

    def hear(
        self, resource: str, *answers: tuple[int, Status], metric: str = "job", service: str = "CE"
    ) -> None:
        """Results at these seconds, as one batch."""
        results = [
            ProbeResult(
                metric=metric,
                resource=resource,
                service=service,
                status=status,
                at=moment(at),
                summary="",
                agent="test",
            )
            for at, status in answers
        ]
        self._batches += 1
        store.keep(
            self.lake,
            self.database,
            results,
            batch_id=f"batch-{self._batches}",
            known_at=NOW - timedelta(days=1),
            who="test",
        )

    def from_cells(
        self, profile: Profile, *, days: int = 4, sites: set[str] | None = None
    ) -> dict[tuple[str, int], set[DayKey]]:
        """Every counter of every day by way of the cells."""
        found = Availability(self.lake, self.database).days(
            profile,
            start=MONDAY,
            end=MONDAY + days * DAY,
            now=NOW,
            sites=sites,
        )
        return {key: {day_key(count) for count in cell.counts} for key, cell in found.items()}

    def from_scratch(self, profile: Profile, *, days: int = 4) -> dict[tuple[str, int], set[DayKey]]:
        """The same from nothing but lake and facts, all days at once."""
        with self.database.read() as conn:
            known = circumstances.read(conn)
        window = Interval(moment(MONDAY), moment(MONDAY + days * DAY))
        assessed = assess(self.lake, known, window=window, profile=profile, as_of=NOW)
        found: dict[tuple[str, int], set[DayKey]] = {}
        for site, node in assessed.sites.items():
            for each in nodes(node):
                for count in day_counts(each):
                    found.setdefault((site, count.day), set()).add(day_key(count))
        return found


DayKey = tuple[str, tuple[str, ...], int, tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]


def day_key(count: DayCount) -> DayKey:
    """A counter as a value that can be compared and kept in sets."""
    measured, overlaid = (
        tuple(sorted((state.value, seconds) for state, seconds in layer.items() if seconds))
        for layer in (count.measured, count.overlaid)
    )
    return count.level, count.name, count.day, measured, overlaid


def nodes(node: Node) -> list[Node]:
    """A node and all below it."""
    return [node, *(below for child in node.children for below in nodes(child))]
