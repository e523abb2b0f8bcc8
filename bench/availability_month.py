"""A month of the whole grid: from scratch, read again, corrected after a cancelled downtime, and in reports.

1,100 resources × 3 metrics × 96 results a day × 31 days = 9.8 million results. Goals: from scratch 30 s, the
corrected month of one site 0.2 s, memory below 1 GiB, cost linear in results; of the month's page 0.8 s, of a
weekly draft 2 s in a server that has made one before.
Run: python -m bench.availability_month [days] [sqlite url]
"""

from __future__ import annotations

import resource as limits
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
from bench.availability import DAY, SITES, START, day_of_results

from opengoc.base.interval import Interval, week_name
from opengoc.cli.serve import collect_seldom
from opengoc.flows.publication import draft
from opengoc.flows.weekly import Stores
from opengoc.monitoring import store
from opengoc.monitoring.period import assess_period
from opengoc.monitoring.profile import ARGO_EGI
from opengoc.monitoring.refresh import Availability
from opengoc.monitoring.table import SCHEMA, TABLE
from opengoc.registry.downtime import Downtime, Severity
from opengoc.registry.model import Facility, Resource, ResourceGroup, Service, Site
from opengoc.registry.past import PastRegistries
from opengoc.registry.rows import encode
from opengoc.reports.render import html
from opengoc.store import facts
from opengoc.store.database import Database, open_database
from opengoc.store.lake import Lake

NOW = datetime.fromtimestamp(START + 60 * DAY, UTC)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds of processor and wall that a block took, and the most memory so far."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    peak = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:44} CPU {time.process_time() - cpu:6.2f} s  wall {time.perf_counter() - wall:6.2f} s"
        f"  peak {peak:,.0f} MiB",
        flush=True,
    )


def fill(lake: Lake, days: int) -> None:
    """One batch a day, every day the same answers."""
    store.declare(lake)
    columns: dict[str, list[Any]] = {"metric": [], "resource": [], "status": [], "at": []}
    for endpoint, metrics in day_of_results(seed=1).items():
        for metric, results in metrics.items():
            for at, status in results:
                columns["metric"].append(metric)
                columns["resource"].append(endpoint.resource)
                columns["status"].append(status.value)
                columns["at"].append(at)
    count = len(columns["at"])
    seconds = pyarrow.array(columns["at"], pyarrow.int64())
    for day in range(days):
        moved = pyarrow.compute.multiply(pyarrow.compute.add(seconds, day * DAY), 1_000_000)
        times = moved.cast(pyarrow.timestamp("us", tz="UTC"))
        table = pyarrow.table(
            {
                "metric": columns["metric"],
                "resource": columns["resource"],
                "service": ["CE"] * count,
                "status": columns["status"],
                "probed_at": times,
                "summary": ["a line of some forty characters, as they are"] * count,
                "detail": [""] * count,
                "duration_seconds": [1.0] * count,
                "agent": ["bench"] * count,
                "outcome": ["done"] * count,
                "known_at": times,
                "day": [datetime.fromtimestamp(START + day * DAY, UTC).date()] * count,
            },
            schema=SCHEMA,
        )
        lake.append(TABLE, table, batch_id=f"bench-{day}", partition_by=["day"])


def register(database: Database) -> None:
    """The registry's facts, and three expected metrics a resource."""
    since = Interval(datetime.fromtimestamp(START - DAY, UTC))
    sites = [f"site-{number}" for number in range(SITES)]
    ids: dict[str, dict[str, str]] = {
        "facility": {"U": "u"},
        "site": {name: f"s-{name}" for name in sites},
        "group": {name: f"g-{name}" for name in sites},
    }
    values: dict[str, list[Any]] = {
        "facility": [Facility(id="u", name="U")],
        "site": [Site(id=f"s-{name}", name=name, facility="U") for name in sites],
        "group": [ResourceGroup(id=f"g-{name}", name=name, site=name) for name in sites],
        "resource": [
            Resource(
                id=f"r-{endpoint.resource}",
                name=endpoint.resource,
                group=endpoint.site,
                site=endpoint.site,
                fqdn=f"{endpoint.resource}.example.org",
                services=(Service(kind="CE"),),
            )
            for endpoint in day_of_results(seed=1)
        ],
        # As many as the real registry has, spread over eight years.
        "downtime": [
            Downtime(
                id=f"dt-{number}",
                resource=f"resource-{number % 1100}",
                resource_id=f"r-resource-{number % 1100}",
                services=("CE",),
                interval=Interval(
                    datetime.fromtimestamp(START + 40 * DAY - number * 66_000, UTC),
                    datetime.fromtimestamp(START + 40 * DAY - number * 66_000 + 40_000, UTC),
                ),
                severity=Severity.OUTAGE,
                declared_at=datetime.fromtimestamp(START - 3_000 * DAY, UTC),
            )
            for number in range(3_800)
        ],
    }
    with database.begin() as conn:
        for kind, several in values.items():
            assertions = [
                facts.Assertion(
                    key=value.id,
                    value=encode(kind, value, ids),
                    valid=value.interval if kind == "downtime" else since,
                )
                for value in several
            ]
            facts.assert_many(conn, kind=kind, assertions=assertions, who="bench")


def cancel(database: Database, downtime: str) -> None:
    """Withdraw a downtime, as ``goc downtime cancel`` does."""
    with database.begin() as conn:
        fact = facts.get(conn, "downtime", downtime)
        assert fact is not None and fact.value is not None
        value = fact.value | {"cancelled_at": "2026-11-22T12:00:00Z"}
        facts.supersede(conn, kind="downtime", key=downtime, value=value, who="bench", expect=fact.version)


def reports(lake: Lake, database: Database, availability: Availability) -> None:
    """What reports and pages take, as a server does it: with what it holds from the time before."""
    collect_seldom()
    month = f"{datetime.fromtimestamp(START, UTC):%Y-%m}"
    for _ in range(2):
        with timed(f"figures of {month}"):
            assess_period(lake, database, ARGO_EGI, month, now=NOW, availability=availability).figures()
    week = week_name(datetime.fromtimestamp(START + 7 * DAY, UTC))
    past = PastRegistries(database)
    stores = Stores(
        database=database, lake=lake, registries=past, intervals={}, profile=ARGO_EGI, entry_sites={}
    )
    made = None
    for _ in range(4):
        with timed(f"draft of {week}"):
            made = draft(stores, week, as_of=datetime.now(UTC), now=datetime.now(UTC))
    assert made is not None
    with timed("its page"):
        html.render(made)


def main() -> None:
    """Print the figures."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{folder}/goc.db")
        lake = Lake(Path(folder) / "lake")
        with timed(f"fill the lake with {days} days"):
            fill(lake, days)
        register(database)

        availability = Availability(lake, database)

        def month(sites: set[str] | None = None) -> Callable[[], object]:
            return lambda: availability.days(
                ARGO_EGI, start=START, end=START + days * DAY, now=NOW, sites=sites
            )

        with timed("from scratch, all sites"):
            month()()
        with timed("read again, all sites"):
            month()()
        number = next(n for n in range(3_800) if 0 <= 40 * DAY - n * 66_000 < (days - 1) * DAY)
        site = f"site-{number % 1100 % SITES}"
        with timed("one site, nothing new"):
            month({site})()
        cancel(database, f"dt-{number}")
        with timed("its corrected month after a cancelled downtime"):
            corrected = month({site})()
        fresh = sum(cell.fresh for cell in corrected.values())  # type: ignore[attr-defined]
        print(f"computed again: {fresh} of {days} days of the site")
        reports(lake, database, availability)
        database.dispose()


if __name__ == "__main__":
    main()
