"""Figures of availability and reliability: partial and missing where they must be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.monitoring.small_registry import registry

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure, FigureState
from opengoc.base.interval import Interval
from opengoc.monitoring import store
from opengoc.monitoring.assess import assess
from opengoc.monitoring.circumstances import UNREGISTERED, of_registry
from opengoc.monitoring.model import ProbeResult, Status, Target
from opengoc.monitoring.profile import profile
from opengoc.monitoring.table import TABLE
from opengoc.registry.downtime import Downtime, Severity
from opengoc.registry.snapshot import Registry
from opengoc.store.database import Database
from opengoc.store.lake import Lake

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
DAY = Interval(MONDAY, MONDAY + timedelta(days=1))
LATER = MONDAY + timedelta(days=9)
CE = Target("alpha-ce1", "CE")
EXPECTED = {CE: {"job"}, Target("beta-ce", "CE"): {"job"}}


class Centre:
    """A lake with results in it."""

    def __init__(self, home: Path, database: Database) -> None:
        self.lake, self.database = Lake(home / "lake"), database
        store.declare(self.lake)

    def hear(
        self, status: Status, hours: range, *, resource: str = "alpha-ce1", known: datetime = LATER
    ) -> None:
        """A result at each of these hours of Monday."""
        results = [
            ProbeResult(
                metric="job",
                resource=resource,
                service="CE",
                status=status,
                at=MONDAY + timedelta(hours=hour),
                summary="",
                agent="goc",
            )
            for hour in hours
        ]
        batch = f"{resource} {status} {hours} {known}"
        store.record(self.lake, self.database, results, batch_id=batch, known_at=known, who="prober")

    def figures(
        self,
        site: str = "ALPHA",
        *,
        name: str = "argo-egi",
        window: Interval = DAY,
        as_of: datetime = LATER,
        held: Registry | None = None,
    ) -> tuple[Figure, Figure]:
        known = of_registry(held or registry(), EXPECTED)
        assessed = assess(self.lake, known, window=window, profile=profile(name), as_of=as_of)
        availability, reliability = assessed.figures(site)
        assert (availability.name, reliability.name) == ("availability", "reliability")
        return availability, reliability


@pytest.fixture
def centre(tmp_path: Path, sqlite_database: Database) -> Centre:
    return Centre(tmp_path, sqlite_database)


def test_a_day_that_is_known_throughout_is_a_value(centre: Centre) -> None:
    centre.hear(Status.OK, range(18))
    centre.hear(Status.CRITICAL, range(18, 24))
    availability, reliability = centre.figures()
    assert (availability.state, availability.value, availability.unit) == (FigureState.VALUE, 75, "percent")
    assert reliability.value == 75
    assert availability.evidence["profile"] == "argo-egi"
    assert availability.evidence["table_version"] == centre.lake.version(TABLE)


def test_a_day_that_was_down_throughout_is_a_measured_zero(centre: Centre) -> None:
    centre.hear(Status.CRITICAL, range(24))
    assert centre.figures()[0].state is FigureState.ZERO


@pytest.mark.parametrize("name", ["argo-egi", "rsv-osg"])
def test_without_results_there_is_a_reason_and_no_number(centre: Centre, name: str) -> None:
    for figure in centre.figures(name=name):
        assert (figure.state, figure.value) == (FigureState.MISSING, None)
        assert figure.reason == "no probe result says anything about this window"


@pytest.mark.parametrize("name", ["argo-egi", "rsv-osg"])
def test_probes_that_found_out_nothing_make_no_number_either(centre: Centre, name: str) -> None:
    centre.hear(Status.UNKNOWN, range(24))
    assert {figure.state for figure in centre.figures(name=name)} == {FigureState.MISSING}


def test_a_day_that_is_known_in_part_says_so(centre: Centre) -> None:
    centre.hear(Status.OK, range(6, 24))
    availability, _ = centre.figures()
    assert (availability.state, availability.value) == (FigureState.PARTIAL, 100)
    assert availability.reason == "known for 18.0 of 24.0 h"


def test_a_window_that_is_not_over_ends_now(centre: Centre) -> None:
    centre.hear(Status.OK, range(6), known=MONDAY + timedelta(hours=6))
    week = Interval(MONDAY, MONDAY + timedelta(days=7))
    availability, _ = centre.figures(window=week, as_of=MONDAY + timedelta(hours=6))
    assert (availability.state, availability.value) == (FigureState.VALUE, 100)
    assert availability.evidence["total_seconds"] == 6 * 3600


def test_a_window_that_has_not_begun_is_missing(centre: Centre) -> None:
    availability, _ = centre.figures(as_of=MONDAY)
    assert (availability.state, availability.reason) == (FigureState.MISSING, "the window has not begun")


def test_what_came_late_is_not_in_an_answer_as_of_before(centre: Centre) -> None:
    centre.hear(Status.OK, range(12), known=MONDAY + timedelta(days=1))
    centre.hear(Status.CRITICAL, range(12, 24), known=MONDAY + timedelta(days=3))
    assert centre.figures(as_of=MONDAY + timedelta(days=2))[0].value == 100
    assert centre.figures()[0].value == 50


def test_a_whole_day_in_downtime_leaves_no_reliability_to_tell(centre: Centre) -> None:
    centre.hear(Status.CRITICAL, range(24))
    outage = Downtime(
        id="dt-1",
        resource="alpha-ce1",
        services=("CE",),
        interval=DAY,
        severity=Severity.OUTAGE,
        declared_at=MONDAY - timedelta(days=7),
    )
    availability, reliability = centre.figures(held=registry([outage]))
    assert availability.state is FigureState.ZERO
    assert (reliability.state, reliability.reason) == (
        FigureState.MISSING,
        "in downtime for all of the time that is known",
    )


def test_the_spells_of_a_site_cover_the_window(centre: Centre) -> None:
    centre.hear(Status.OK, range(12))
    centre.hear(Status.CRITICAL, range(12, 24))
    known = of_registry(registry(), EXPECTED)
    assessed = assess(centre.lake, known, window=DAY, profile=profile("argo-egi"), as_of=LATER)
    noon = MONDAY + timedelta(hours=12)
    assert assessed.spells("ALPHA") == [
        (Interval(MONDAY, noon), Status.OK),
        (Interval(noon, MONDAY + timedelta(days=1)), Status.CRITICAL),
    ]


def test_a_resource_out_of_use_by_now_counts_for_the_time_it_was_probed(centre: Centre) -> None:
    centre.hear(Status.CRITICAL, range(24))
    centre.hear(Status.OK, range(24), resource="alpha-ce2")
    assert centre.figures()[0].value == 100


def test_results_about_what_the_registry_does_not_hold_stand_apart(centre: Centre) -> None:
    centre.hear(Status.OK, range(24), resource="nobody-s-ce")
    assert centre.figures(UNREGISTERED)[0].value == 100
    assert centre.figures()[0].state is FigureState.MISSING


def test_an_open_window_is_refused(centre: Centre) -> None:
    with pytest.raises(InvalidInput, match="must end"):
        centre.figures(window=Interval(MONDAY))
