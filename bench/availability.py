"""How long the A/R of one day takes: 1,100 resources × 3 metrics × 96 results. Goal: 2 s on one core.

Run: python bench/availability.py
"""

from __future__ import annotations

import random
import time

from opengoc.monitoring.availability import availability, day_counts, sites
from opengoc.monitoring.model import Endpoint, Status
from opengoc.monitoring.profile import PROFILES

DAY = 86_400
START = 20_000 * DAY
RESOURCES, METRICS, RESULTS = 1_100, 3, 96

#: Mostly OK, as probes answer; a tenth of the results differ from the one before.
ANSWERS = [Status.OK] * 18 + [Status.WARNING, Status.CRITICAL]


def day_of_results(seed: int) -> dict[Endpoint, dict[str, list[tuple[int, Status]]]]:
    """Results in random order, of resources on 405 sites."""
    chance = random.Random(seed)
    samples = {}
    for number in range(RESOURCES):
        endpoint = Endpoint(f"site-{number % 405}", f"resource-{number}", "CE")
        metrics = {}
        for metric in range(METRICS):
            results = [
                (START + 900 * n + chance.randrange(900), chance.choice(ANSWERS)) for n in range(RESULTS)
            ]
            chance.shuffle(results)
            metrics[f"metric-{metric}"] = results
        samples[endpoint] = metrics
    return samples


def main() -> None:
    samples = day_of_results(seed=1)
    count = RESOURCES * METRICS * RESULTS
    for name, profile in sorted(PROFILES.items()):
        begun = time.perf_counter()
        found = sites(samples, [], profile, start=START, end=START + DAY)
        counted = sum(len(day_counts(node)) for node in found.values())
        mean = [r for r in (availability(node, profile).percent for node in found.values()) if r is not None]
        seconds = time.perf_counter() - begun
        print(
            f"{name}: {count} results, {counted} site-days in {seconds:.2f} s"
            f" (mean availability {sum(mean) / len(mean):.1f} %)"
        )


if __name__ == "__main__":
    main()
