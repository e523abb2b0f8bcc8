"""Whether A/R of a day costs as much more as there are more results: 1, 2 and 4 times as many, two ways.

More results of each metric, and more resources. Prints CPU seconds from the lake to the counters (the best
of three), and how many times those of the first: 1, 2, 4 where the cost is in line with the results, less
where a part of it is fixed.
Run: python -m bench.availability_series
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.availability import (
    DAY,
    METRICS,
    RESOURCES,
    RESULTS,
    START,
    day_of_results,
    fill,
    registry_of,
)

from opengoc.base.interval import Interval
from opengoc.monitoring.assess import assess
from opengoc.monitoring.availability import day_counts
from opengoc.monitoring.circumstances import of_registry
from opengoc.monitoring.profile import PROFILES, Profile
from opengoc.store.lake import Lake

WINDOW = Interval(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + DAY, UTC))
#: Resources and results of each metric, the first of them half the usual day.
SERIES = {
    "more results of each metric": [(RESOURCES, RESULTS // 2 * times) for times in (1, 2, 4)],
    "more resources": [(RESOURCES // 2 * times, RESULTS) for times in (1, 2, 4)],
}
PROFILE_NAMES = ("argo-egi", "rsv-osg")


def cpu_seconds(resources: int, a_day: int) -> dict[str, float]:
    """The best of three of each profile."""
    samples = day_of_results(seed=1, resources=resources, a_day=a_day)
    known = of_registry(registry_of(samples), {})
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        fill(lake, samples)

        def once(rules: Profile) -> float:
            begun = time.process_time()
            found = assess(lake, known, window=WINDOW, profile=rules, as_of=WINDOW.start + timedelta(days=2))
            assert all(day_counts(node) for node in found.sites.values())
            return time.process_time() - begun

        return {name: min(once(PROFILES[name]) for _ in range(3)) for name in PROFILE_NAMES}


def main() -> None:
    """Print the series."""
    for what, sizes in SERIES.items():
        print(what)
        first: dict[str, float] = {}
        for resources, a_day in sizes:
            found = cpu_seconds(resources, a_day)
            first = first or found
            told = "".join(f"  {name} {cpu:6.2f} s {cpu / first[name]:5.2f}x" for name, cpu in found.items())
            print(f"  {resources * METRICS * a_day:>9,} results{told}", flush=True)


if __name__ == "__main__":
    main()
