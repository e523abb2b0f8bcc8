"""From endpoints to sites, and from seconds to A/R."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opengoc.base.interval import Interval
from opengoc.monitoring.availability import (
    Node,
    availability,
    day_counts,
    endpoint_node,
    over_days,
    ratio,
    reliability,
    sites,
)
from opengoc.monitoring.explain import Cause, losses, seconds_by_cause
from opengoc.monitoring.model import MEASURED, Endpoint, Status
from opengoc.monitoring.profile import ARGO_EGI, PROFILES, RSV_OSG, profile
from opengoc.monitoring.timeline import Sample
from opengoc.registry.downtime import Downtime, DowntimeClass, Severity

DAY = 86_400
HOUR = 3600
START = 20_000 * DAY
CE1, CE2 = Endpoint("SITE", "ce1", "CE"), Endpoint("SITE", "ce2", "CE")
SE = Endpoint("SITE", "se", "SRM")
NODES = (CE1, CE2, SE)


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def downtime(
    resource: str = "ce1",
    start: int = START,
    end: int = START + DAY,
    *,
    id: str = "dt",
    services: tuple[str, ...] = ("CE",),
    severity: Severity = Severity.OUTAGE,
    notice: timedelta | None = timedelta(days=3),
    claimed: DowntimeClass | None = None,
    cancelled: bool = False,
) -> Downtime:
    return Downtime(
        id=id,
        resource=resource,
        services=services,
        interval=Interval(moment(start), moment(end)),
        severity=severity,
        declared_at=None if notice is None else moment(start) - notice,
        claimed_class=claimed,
        cancelled_at=moment(start) if cancelled else None,
    )


def hourly(state: Status, start: int = START, hours: int = 24) -> list[Sample]:
    return [(start + hour * HOUR, state) for hour in range(hours)]


def site(
    samples: dict[Endpoint, dict[str, list[Sample]]], *downtimes: Downtime, name: str = "argo-egi"
) -> Node:
    return sites(samples, downtimes, profile(name), start=START, end=START + DAY)["SITE"]


def test_one_good_ce_of_two_keeps_the_service_up_under_argo_and_not_under_rsv() -> None:
    samples = {CE1: {"m": hourly(Status.OK)}, CE2: {"m": hourly(Status.CRITICAL)}}
    assert availability(site(samples), ARGO_EGI).percent == 100
    assert availability(site(samples, name="rsv-osg"), RSV_OSG).percent == 0


def test_a_site_needs_every_function() -> None:
    samples = {CE1: {"m": hourly(Status.OK)}, SE: {"m": hourly(Status.CRITICAL)}}
    assert availability(site(samples), ARGO_EGI).percent == 0


def test_nothing_known_is_undefined_under_argo_and_down_under_rsv() -> None:
    samples: dict[Endpoint, dict[str, list[Sample]]] = {CE1: {"m": []}}
    under_argo = availability(site(samples), ARGO_EGI)
    assert (under_argo.percent, under_argo.known_seconds) == (None, 0)
    under_rsv = availability(site(samples, name="rsv-osg"), RSV_OSG)
    assert (under_rsv.percent, under_rsv.known_seconds) == (0, 0)


def test_a_whole_day_in_downtime_leaves_reliability_undefined() -> None:
    samples = {CE1: {"m": hourly(Status.CRITICAL)}}
    node = site(samples, downtime())
    assert availability(node, ARGO_EGI).percent == 0
    assert reliability(node, ARGO_EGI).percent is None


@pytest.mark.parametrize(
    ("announced", "counts"),
    [
        (downtime(), True),
        (downtime(notice=timedelta(hours=24)), True),
        (downtime(notice=timedelta(hours=23, minutes=59)), False),
        (downtime(notice=timedelta(hours=-2)), False),
        (downtime(severity=Severity.INTERMITTENT), False),
        (downtime(notice=None, claimed=DowntimeClass.SCHEDULED), True),
        (downtime(notice=None), False),
        (downtime(cancelled=True), False),
        (downtime(services=("SRM",)), False),
        (downtime(resource="ce2"), False),
    ],
)
def test_argo_uses_scheduled_outages_of_the_endpoint_only(announced: Downtime, counts: bool) -> None:
    node = endpoint_node(CE1, {"m": hourly(Status.OK)}, [announced], ARGO_EGI, start=START, end=START + DAY)
    assert (node.overlaid.seconds() == {Status.DOWNTIME: DAY}) is counts


def test_rsv_lays_over_every_downtime_that_stands() -> None:
    late = downtime(notice=timedelta(hours=-2), severity=Severity.NO_OUTAGE)
    samples = {CE1: {"m": hourly(Status.CRITICAL)}}
    assert reliability(site(samples, late, name="rsv-osg"), RSV_OSG).percent == 100
    withdrawn = downtime(cancelled=True)
    assert reliability(site(samples, withdrawn, name="rsv-osg"), RSV_OSG).percent == 0


def test_several_days_are_the_ratio_of_sums_not_the_mean_of_percents() -> None:
    # Day one: known for one hour, and up in it. Day two: known throughout, half of it up.
    results = [
        *hourly(Status.UNKNOWN, START - HOUR, 24),
        (START + 23 * HOUR, Status.OK),
        *hourly(Status.OK, START + DAY, 12),
        *hourly(Status.CRITICAL, START + DAY + 12 * HOUR, 12),
    ]
    node = sites({CE1: {"m": results}}, [], ARGO_EGI, start=START, end=START + 2 * DAY)["SITE"]
    counts = day_counts(node)
    assert [count.ratio(ARGO_EGI.availability).percent for count in counts] == [100, 50]
    assert over_days(counts, ARGO_EGI.availability).percent == pytest.approx(100 * 13 / 25)
    assert over_days(counts, ARGO_EGI.availability) == availability(node, ARGO_EGI)


def test_an_endpoint_without_metrics_is_left_out_in_a_downtime_too() -> None:
    samples = {CE1: {"m": hourly(Status.OK)}, SE: {}}
    node = site(samples, downtime(resource="se", services=("SRM",)))
    assert availability(node, ARGO_EGI).percent == 100


def test_every_lost_second_is_explained_down_to_the_metric_and_the_downtime() -> None:
    samples = {
        CE1: {
            "submit": [
                *hourly(Status.OK, START, 6),
                *hourly(Status.CRITICAL, START + 6 * HOUR, 6),
                *hourly(Status.OK, START + 12 * HOUR, 12),
            ],
            "ping": hourly(Status.OK),
        }
    }
    node = site(samples, downtime(start=START + 8 * HOUR, end=START + 14 * HOUR, id="dt-1"))
    pieces = losses(node, ARGO_EGI.availability)
    assert seconds_by_cause(pieces) == {
        (Status.DOWNTIME, (Cause("ce1", "CE", "dt-1", True),)): 6 * HOUR,
        (Status.CRITICAL, (Cause("ce1", "CE", "submit"),)): 2 * HOUR,
    }
    assert [piece.counts for piece in losses(node, ARGO_EGI.reliability)] == [True, False]


states = st.sampled_from(sorted(MEASURED))
results = st.lists(st.tuples(st.integers(START - DAY, START + 2 * DAY), states), max_size=12)
measured = st.fixed_dictionaries(
    {}, optional={node: st.fixed_dictionaries({"a": results}, optional={"b": results}) for node in NODES}
).filter(bool)
announcements = st.lists(
    st.builds(
        lambda resource, start, length, notice, severity, id: downtime(
            resource,
            start,
            start + length,
            id=id,
            services=("CE", "SRM"),
            notice=timedelta(hours=notice),
            severity=severity,
        ),
        st.sampled_from(["ce1", "ce2", "se"]),
        st.integers(START - DAY, START + 2 * DAY),
        st.integers(1, 2 * DAY),
        st.integers(-48, 72),
        st.sampled_from(list(Severity)),
        st.sampled_from(["dt-1", "dt-2", "dt-3"]),
    ),
    max_size=4,
)
profiles = st.sampled_from(sorted(PROFILES))


@given(measured, announcements, profiles, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_arrival_makes_no_difference_to_any_counter(
    samples: dict[Endpoint, dict[str, list[Sample]]],
    announced: list[Downtime],
    name: str,
    random: st.Random,
) -> None:
    def shuffled(items: list) -> list:
        again = [*items, *items[:2]]
        random.shuffle(again)
        return again

    late = {
        node: {metric: shuffled(got) for metric, got in metrics.items()}
        for node, metrics in reversed(samples.items())
    }
    window = {"start": START - 1000, "end": START + DAY + 1000}
    one = sites(samples, announced, profile(name), **window)
    two = sites(late, shuffled(announced), profile(name), **window)
    assert day_counts(one["SITE"]) == day_counts(two["SITE"])


@given(measured, announcements, profiles)
@settings(max_examples=60)
def test_a_window_is_the_sum_of_its_days_and_its_explanation_covers_what_was_lost(
    samples: dict[Endpoint, dict[str, list[Sample]]], announced: list[Downtime], name: str
) -> None:
    rules = profile(name)
    node = sites(samples, announced, rules, start=START, end=START + 2 * DAY)["SITE"]
    for formula, whole in (
        (rules.availability, availability(node, rules)),
        (rules.reliability, reliability(node, rules)),
    ):
        assert over_days(day_counts(node), formula) == whole
        alone = [
            ratio(day.timeline(formula.layer).seconds(), formula)
            for day in (
                sites(samples, announced, rules, start=begin, end=begin + DAY)["SITE"]
                for begin in (START, START + DAY)
            )
        ]
        assert alone[0] + alone[1] == whole
        assert whole.percent is None or 0 <= whole.percent <= 100
        pieces = losses(node, formula)
        assert sum(piece.seconds for piece in pieces) == whole.total_seconds - whole.up_seconds
        assert all(piece.causes for piece in pieces)
        assert all(one.end <= two.start for one, two in pairwise(pieces))
