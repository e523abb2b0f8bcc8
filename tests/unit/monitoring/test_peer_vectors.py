"""Answers of the peers, reproduced: ARGO's slots, days, months and custom periods, whole days of RSV."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.monitoring.availability import endpoint_node
from opengoc.monitoring.model import Endpoint, Status
from opengoc.monitoring.profile import ARGO_EGI, CarriedDaily, Layer
from opengoc.monitoring.replay import Answer, replay
from opengoc.registry.downtime import Downtime, DowntimeClass, Severity


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def answers(shared_data: Path, name: str) -> list[Answer]:
    return replay(json.loads((shared_data / "ar" / name).read_text()))


@pytest.mark.parametrize(("name", "count"), [("discrete.json", 4), ("monthly.json", 175)])
def test_argo_s_answers_are_met_to_the_last_digit(shared_data: Path, name: str, count: int) -> None:
    found = answers(shared_data, name)
    assert [answer for answer in found if not answer.agrees] == []
    assert len(found) == count


def test_answers_in_json_and_in_xml_are_both_compared(shared_data: Path) -> None:
    cases = {answer.case.split()[1] for answer in answers(shared_data, "monthly.json")}
    assert cases == {"json", "xml"}


def test_whole_days_are_met_but_for_the_one_that_shows_a_defect_of_rsv(shared_data: Path) -> None:
    found = answers(shared_data, "days.json")
    (differing,) = [answer for answer in found if not answer.agrees]
    assert len(found) == 24
    assert differing.case == "rsv-osg: critical from 03 on, outage 05-07, no status change inside it"
    # Up 00-03, in downtime 05-07, critical else: five of twenty-four hours.
    assert float(differing.ours) == pytest.approx(100 * 5 / 24, abs=0.0005)
    assert "rsv-osg-as-built" in differing.because


def test_a_number_that_is_off_is_told() -> None:
    day = {"case": "up", "init": "OK", "changes_h": [], "downtimes_h": []}
    peers = {"availability": 99.5, "reliability": 100.0}
    found = replay([day | {"rsv": peers, "argo": peers}])
    assert {(a.quantity, a.agrees) for a in found} == {("availability", False), ("reliability", True)}


def test_vectors_of_no_known_kind_are_refused() -> None:
    for vectors in ([], {}, [{"queries": 3}], {"integrator": 1, "timeline": []}):
        with pytest.raises(InvalidInput):
            replay(vectors)


def test_of_a_feed_of_downtimes_scheduled_outages_alone_lay_over_the_day_clipped_to_it(
    shared_data: Path,
) -> None:
    """Two of the feed's three are outages; both begin long before this day and end long after it."""
    root = ElementTree.parse(shared_data / "ar" / "gocdb-downtimes.xml").getroot()
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
