"""Federations: what sites and their weights make, and what is said where they make nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from opengoc.monitoring.availability import DayCount
from opengoc.monitoring.federation import Federation
from opengoc.monitoring.model import Status
from opengoc.monitoring.period import Period, period
from opengoc.monitoring.profile import profile

UP, DOWN = {Status.OK: 86_400}, {Status.CRITICAL: 86_400}
SILENT, ANNOUNCED = {Status.MISSING: 86_400}, {Status.DOWNTIME: 86_400}


def figures(rules: str, days: Mapping[str, Mapping[Status, int]], **weights: float) -> dict[str, str | None]:
    """Availability and reliability of one federation: the number, or why there is none."""
    begin = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
    month = Period(
        name="2026-10",
        window=period("2026-10"),
        as_of=datetime(2026, 11, 2, tzinfo=UTC),
        profile=profile(rules),
        days={
            site: (DayCount(level="site", name=(site,), day=begin, measured=seconds, overlaid=seconds),)
            for site, seconds in days.items()
        },
        federations=(Federation(name="F", weights=weights),),
        inputs={},
        table_version=None,
    )
    found = [each for each in month.figures() if "federation" in each.dimensions]
    return {each.name: each.reason if each.value is None else f"{each.value:.1f}" for each in found}


def test_sites_count_by_their_weight() -> None:
    assert figures("rsv-osg", {"A": UP, "B": DOWN}, A=3, B=1)["availability"] == "75.0"


def test_a_site_of_weight_0_counts_under_the_profiles_of_argo() -> None:
    assert figures("argo-egi", {"A": UP, "B": DOWN}, A=0, B=0)["availability"] == "50.0"


@pytest.mark.parametrize(
    ("rules", "days", "weight", "reason"),
    [
        ("rsv-osg", UP, 0, "those of its sites of which anything is known weigh 0"),
        ("argo-egi", SILENT, 1, "nothing is known of any of its sites"),
        ("argo-egi", ANNOUNCED, 1, "no second of its sites counts"),
    ],
)
def test_a_federation_without_a_figure_says_why(
    rules: str, days: Mapping[Status, int], weight: float, reason: str
) -> None:
    assert figures(rules, {"A": days}, A=weight)["reliability"] == reason
