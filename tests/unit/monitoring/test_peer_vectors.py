"""Answers of the peers, reproduced: ARGO's slots and months, whole days under both profiles.

The data stands beside the project or in $GOC_SHARED_DATA. With CI=true these tests run, whatever is there.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from opengoc.base.instant import parse_instant
from opengoc.base.interval import Interval
from opengoc.monitoring import argo
from opengoc.monitoring.availability import Node, availability, endpoint_node, reliability
from opengoc.monitoring.model import Endpoint, Status
from opengoc.monitoring.profile import ARGO_EGI, RSV_AS_BUILT, RSV_OSG, CarriedDaily, Layer, Profile
from opengoc.monitoring.timeline import Timeline, combine, from_changes
from opengoc.registry.downtime import Downtime, DowntimeClass, Severity

DATA = Path(os.environ.get("GOC_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "ar"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir() and os.environ.get("CI") != "true",
    reason=f"no A/R vectors in {DATA}: set GOC_SHARED_DATA",
)

DAY = int(datetime(2026, 11, 16, tzinfo=UTC).timestamp())
HOUR = 3600


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def day_under(case: dict[str, Any], profile: Profile) -> Node:
    """The case as one endpoint of one metric whose results stand until the next one."""
    endpoint = Endpoint("SITE", "RESOURCE", "CE")
    samples = [(DAY - HOUR, Status(case["init"]))]
    samples += [(DAY + int(hour * HOUR), Status(state)) for hour, state in case["changes_h"]]
    # The vectors say what stood from hour to hour, not when probes ran: repeat each state every hour.
    hourly = {
        DAY + hour * HOUR: [state for at, state in samples if at <= DAY + hour * HOUR][-1]
        for hour in range(-1, 24)
        if any(at <= DAY + hour * HOUR for at, _ in samples)
    }
    downtimes = [
        Downtime(
            id=f"{start}",
            resource="RESOURCE",
            services=("CE",),
            interval=Interval(moment(DAY + start * HOUR), moment(DAY + end * HOUR)),
            severity=Severity.OUTAGE,
            declared_at=moment(DAY) - timedelta(days=7),
        )
        for start, end in case["downtimes_h"]
    ]
    return endpoint_node(
        endpoint, {"metric": list(hourly.items())}, downtimes, profile, start=DAY, end=DAY + 24 * HOUR
    )


def percents(case: dict[str, Any], profile: Profile) -> tuple[float | None, float | None]:
    node = day_under(case, profile)
    return availability(node, profile).percent, reliability(node, profile).percent


def test_whole_days_come_out_as_argo_answers_them() -> None:
    for case in load("days.json"):
        expected = (case["argo"]["availability"], case["argo"]["reliability"])
        assert percents(case, ARGO_EGI) == pytest.approx(expected, abs=0.0005), case["case"]


def test_whole_days_come_out_as_rsv_answered_them_with_its_defect() -> None:
    for case in load("days.json"):
        expected = (case["rsv"]["availability"], case["rsv"]["reliability"])
        assert percents(case, RSV_AS_BUILT) == pytest.approx(expected, abs=0.0005), case["case"]


def test_without_rsv_s_defect_only_the_day_that_shows_it_differs() -> None:
    differing = {}
    for case in load("days.json"):
        exact = percents(case, RSV_OSG)
        if exact != pytest.approx((case["rsv"]["availability"], case["rsv"]["reliability"]), abs=0.0005):
            differing[case["case"]] = exact
    name = "critical from 03 on, outage 05-07, no status change inside it"
    # Up 00-03, in downtime 05-07, critical else: five of twenty-four hours.
    assert differing == {name: pytest.approx((100 * 3 / 24, 100 * 5 / 24))}


def discrete(start: str, events: list[list[str]]) -> Timeline:
    changes = [(int(parse_instant(at).timestamp()), Status(state)) for at, state in events]
    day = changes[0][0] - changes[0][0] % 86_400
    return from_changes([(day, Status(start)), *changes], day, day + 86_400)


def test_argo_s_integrator_is_met_within_its_tolerance() -> None:
    (case,) = load("discrete.json")["integrator"]
    timeline = argo.sampled(discrete(case["start"], case["events"]), slot_minutes=case["sampling"][1])
    node = Node(level="endpoint", name=("", "", ""), measured=timeline, overlaid=timeline, metrics={})
    assert availability(node, ARGO_EGI).percent == pytest.approx(case["availability"], abs=case["tolerance"])
    assert reliability(node, ARGO_EGI).percent == pytest.approx(case["reliability"], abs=case["tolerance"])


def test_argo_s_slots_are_met() -> None:
    (case,) = load("discrete.json")["timeline"]
    states = argo.slots(argo.sampled(discrete(case["start"], case["events"])))
    assert len(states) == 288
    for state, first, last in case["expected_runs"]:
        assert set(states[first:last]) == {Status(state)}


def test_argo_s_aggregation_is_met() -> None:
    data = load("discrete.json")
    (case,) = data["aggregate"]
    assert case["op"] == "OR"
    width = case["sampling"][1]
    inputs = [argo.sampled(discrete(i["start"], i["events"]), slot_minutes=width) for i in case["inputs"]]
    states = argo.slots(combine(inputs, ARGO_EGI.levels[0].table), slot_minutes=width)
    assert [data["states"].index(state) for state in states] == case["expected"]


def answers(expected: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], dict[str, str]]:
    """(names from the group down, timestamp) → numbers of one JSON answer of ARGO."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    if isinstance(expected, list):
        for item in expected:
            found |= answers(item, path)
    elif isinstance(expected, dict):
        if "availability" in expected:
            return {(*path, expected.get("timestamp", "")): expected}
        here = (*path, expected["name"]) if "name" in expected else path
        for value in expected.values():
            if isinstance(value, list):
                found |= answers(value, here)
    return found


def test_argo_s_months_and_custom_periods_are_met() -> None:
    met = 0
    for group in load("monthly.json"):
        for query in group["queries"]:
            if "xml" in query["accept"] or not query["get"].endswith(("=monthly", "=custom")):
                continue
            for path, numbers in answers(json.loads(query["expected"])).items():
                # path: supergroup, [service,] name, timestamp
                rows = [r for r in group["rows"] if r["name"] == path[-2] and r["supergroup"] == path[0]]
                month = argo.monthly(
                    [argo.DailyFractions(up=r["up"], down=r["down"], unknown=r["unknown"]) for r in rows]
                )
                assert month.availability == pytest.approx(float(numbers["availability"]), rel=1e-12)
                assert month.reliability == pytest.approx(float(numbers["reliability"]), rel=1e-12)
                assert month.up == pytest.approx(float(numbers["uptime"]), rel=1e-12)
                assert month.unknown == pytest.approx(float(numbers["unknown"]), abs=1e-12)
                assert month.down == pytest.approx(float(numbers["downtime"]), abs=1e-12)
                met += 1
    assert met == 8


def test_argo_s_daily_rows_follow_from_their_fractions() -> None:
    for group in load("monthly.json"):
        for row in group["rows"]:
            day = argo.monthly([argo.DailyFractions(up=row["up"], down=row["down"], unknown=row["unknown"])])
            # The rows carry five decimals, so A and R follow to about three.
            assert day.availability == pytest.approx(row["availability"], abs=0.002)
            assert day.reliability == pytest.approx(row["reliability"], abs=0.002)


def test_of_a_feed_of_downtimes_scheduled_outages_alone_lay_over_the_day_clipped_to_it() -> None:
    """Two of the feed's three are outages; both begin long before this day and end long after it."""
    root = ElementTree.parse(DATA / "gocdb-downtimes.xml").getroot()
    day = int(datetime(2023, 2, 1, tzinfo=UTC).timestamp())
    overlaid = {}
    for entry in root.iter("DOWNTIME"):
        text = {child.tag: child.text or "" for child in entry}
        downtime = Downtime(
            id=entry.attrib["ID"],
            resource=text["HOSTNAME"],
            services=(text["SERVICE_TYPE"],),
            interval=Interval(moment(int(text["START_DATE"])), moment(int(text["END_DATE"]))),
            severity=Severity.OUTAGE if text["SEVERITY"] == "OUTAGE" else Severity.NO_OUTAGE,
            declared_at=moment(int(text["INSERT_DATE"])),
            claimed_class=DowntimeClass(entry.attrib["CLASSIFICATION"]),
        )
        node = endpoint_node(
            Endpoint("SITE", downtime.resource, downtime.services[0]),
            {"metric": [(day, Status.OK)]},
            [downtime],
            ARGO_EGI,
            start=day,
            end=day + 86_400,
        )
        overlaid[downtime.id] = dict(node.timeline(Layer.OVERLAID).seconds())
    assert isinstance(ARGO_EGI.standing, CarriedDaily)
    assert overlaid == {
        "11111": {Status.OK: 86_400},
        "22222": {Status.DOWNTIME: 86_400},
        "33333": {Status.DOWNTIME: 86_400},
    }
