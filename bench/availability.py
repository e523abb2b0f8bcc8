"""How long the A/R of one day takes: 1,100 resources × 3 metrics × 96 results. Goal: 2 s of one core.

Prints for each profile the pure computation alone, and the whole way from the lake to the counters.
Run: python -m bench.availability
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow

from opengoc.base.interval import Interval
from opengoc.monitoring import store
from opengoc.monitoring.assess import assess
from opengoc.monitoring.availability import Node, availability, day_counts, sites
from opengoc.monitoring.circumstances import of_registry
from opengoc.monitoring.model import Endpoint, Status
from opengoc.monitoring.profile import PROFILES
from opengoc.monitoring.table import SCHEMA, TABLE
from opengoc.registry.model import Facility, Resource, ResourceGroup, Service, Site
from opengoc.registry.snapshot import Registry
from opengoc.store.lake import Lake

DAY = 86_400
START = 20_000 * DAY
RESOURCES, METRICS, RESULTS, SITES = 1_100, 3, 96, 405

#: Mostly OK, as probes answer.
ANSWERS = [Status.OK] * 18 + [Status.WARNING, Status.CRITICAL]

Results = dict[Endpoint, dict[str, list[tuple[int, Status]]]]


def day_of_results(seed: int, *, resources: int = RESOURCES, a_day: int = RESULTS) -> Results:
    """Results in random order, ``a_day`` of each metric."""
    chance = random.Random(seed)
    samples: Results = {}
    step = DAY // a_day
    for number in range(resources):
        metrics = samples.setdefault(Endpoint(f"site-{number % SITES}", f"resource-{number}", "CE"), {})
        for metric in range(METRICS):
            results = [
                (START + step * n + chance.randrange(step), chance.choice(ANSWERS)) for n in range(a_day)
            ]
            chance.shuffle(results)
            metrics[f"metric-{metric}"] = results
    return samples


def registry_of(endpoints: Iterable[Endpoint]) -> Registry:
    """A registry that holds these endpoints."""
    endpoints = list(endpoints)
    names = sorted({endpoint.site for endpoint in endpoints})
    resources = [
        Resource(
            id=endpoint.resource,
            name=endpoint.resource,
            group=endpoint.site,
            site=endpoint.site,
            fqdn=f"{endpoint.resource}.example.org",
            services=(Service(kind=endpoint.service),),
        )
        for endpoint in endpoints
    ]
    held: dict[str, Any] = {item.name: {} for item in fields(Registry)}
    held |= {
        "known_at": None,
        "facilities": {"U": Facility(id="U", name="U")},
        "sites": {name: Site(id=name, name=name, facility="U") for name in names},
        "groups": {name: ResourceGroup(id=name, name=name, site=name) for name in names},
        "resources": {resource.name: resource for resource in resources},
    }
    return Registry(**held)


def fill(lake: Lake, samples: Results) -> None:
    """Keep the results as one batch."""
    store.declare(lake)
    rows = [
        {
            "metric": metric,
            "resource": endpoint.resource,
            "service": endpoint.service,
            "status": status.value,
            "probed_at": datetime.fromtimestamp(at, UTC),
            "summary": "a line of some forty characters, as they are",
            "detail": "",
            "duration_seconds": 1.0,
            "agent": "bench",
            "outcome": "done",
            "known_at": datetime.fromtimestamp(at, UTC),
            "day": datetime.fromtimestamp(at, UTC).date(),
        }
        for endpoint, metrics in samples.items()
        for metric, results in metrics.items()
        for at, status in results
    ]
    table = pyarrow.Table.from_pylist(rows, schema=SCHEMA)
    lake.append(TABLE, table, batch_id="bench", partition_by=["day"])


def timed(what: str, name: str, compute: Callable[[], dict[str, Node]]) -> None:
    """Run, count every site-day, print the seconds of processor and wall."""
    begun, cpu_begun = time.perf_counter(), time.process_time()
    nodes = compute()
    counted = sum(len(day_counts(node)) for node in nodes.values())
    mean = [a for a in (availability(n, PROFILES[name]).percent for n in nodes.values()) if a is not None]
    cpu, wall = time.process_time() - cpu_begun, time.perf_counter() - begun
    print(
        f"{name:9} {what:14} {counted} site-days  CPU {cpu:5.2f} s  wall {wall:5.2f} s"
        f"  mean A {sum(mean) / len(mean):.1f} %"
    )


def main() -> None:
    """Print the figures."""
    samples = day_of_results(seed=1)
    registry = registry_of(samples)
    window: dict[str, Any] = {"start": START, "end": START + DAY}
    day = Interval(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + DAY, UTC))
    print(f"{RESOURCES * METRICS * RESULTS} results")
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        fill(lake, samples)
        for name, rules in sorted(PROFILES.items()):
            timed("pure", name, lambda rules=rules: sites(samples, [], rules, **window))
            timed(
                "from the lake",
                name,
                lambda rules=rules: dict(
                    assess(
                        lake,
                        of_registry(registry, {}),
                        window=day,
                        profile=rules,
                        as_of=day.start + timedelta(days=2),
                    ).sites
                ),
            )


if __name__ == "__main__":
    main()
