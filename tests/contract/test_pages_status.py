"""The page of current status: chosen by plain queries, in parts, with nothing said that is not known."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from tests.contract.example_house import example_house

from opengoc.app import House
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Severity
from opengoc.registry.store import add_downtime
from opengoc.web.server import create_app

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "monitoring.md"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with the example registry, in which one resource is down."""
    now = utc_now()
    with example_house(tmp_path_factory.mktemp("status") / "home") as house:
        with house.database.begin() as conn:
            add_downtime(
                conn,
                resource="ITB-SLURM-CE",
                interval=Interval(now - timedelta(hours=1), now + timedelta(hours=1)),
                severity=Severity.OUTAGE,
                description="ask someone@example.org",
                who="operator",
            )
        yield house


@pytest.fixture(scope="module")
def client(house: House) -> TestClient:
    """The application over it; nothing looks at the grid."""
    return TestClient(create_app(house), raise_server_exceptions=False)


def test_what_no_probe_looks_at_is_called_neither_up_nor_down(client: TestClient) -> None:
    page = client.get("/status", params={"place": "ITB-CONDOR"}).text
    assert "ITB-CONDOR-CE" in page and "ITB-SLURM-CE" not in page
    assert "state not-probed" in page and "state ok" not in page and "state critical" not in page


def test_an_outage_is_shown_and_can_be_asked_for(client: TestClient) -> None:
    page = client.get("/status", params={"status": "DOWNTIME"}).text
    assert "ITB-SLURM-CE" in page and "ITB-CONDOR-CE" not in page
    assert "someone@example.org" not in page and "address withheld" in page


def test_a_service_and_a_vo_that_nobody_has_leave_an_empty_page_that_says_so(client: TestClient) -> None:
    for asked in ({"service": "No such kind"}, {"vo": "no such vo"}):
        answer = client.get("/status", params=asked)
        assert answer.status_code == 200
        assert "Nothing in the registry is like that." in answer.text


def test_the_filters_keep_what_was_asked(client: TestClient) -> None:
    page = client.get("/status", params={"place": '"><b>', "active": "all"}).text
    assert 'value="&#34;&gt;&lt;b&gt;"' in page
    assert "<option selected>all</option>" in page


@pytest.mark.parametrize("query", ["status=FINE", "active=perhaps", "page=0", "page=x"])
def test_a_query_that_means_nothing_is_refused_in_words(client: TestClient, query: str) -> None:
    answer = client.get(f"/status?{query}")
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text


def test_the_metrics_are_those_of_the_reference_and_what_is_unknown_is_absent(client: TestClient) -> None:
    served = {
        family.name: [sample.value for sample in family.samples]
        for family in text_string_to_metric_families(client.get("/metrics").text)
    }
    assert served.keys() == set(re.findall(r"^\| `(goc_\w+)` \|", REFERENCE.read_text(), re.M))
    assert served["goc_look_complete"] == [0.0]
    assert served["goc_payload_jobs"] == served["goc_pilots"] == served["goc_pilots_joined"] == []


def test_a_page_beyond_the_last_shows_the_last(client: TestClient) -> None:
    assert "ITB-CONDOR-CE" in client.get("/status", params={"page": 999}).text


def test_the_pages_show_a_downtime_as_soon_as_it_is_announced(client: TestClient, house: House) -> None:
    assert "Cooling repair" not in client.get("/").text
    now = utc_now()
    with house.database.begin() as conn:
        add_downtime(
            conn,
            resource="ITB-CONDOR-CE",
            interval=Interval(now + timedelta(days=3), now + timedelta(days=4)),
            severity=Severity.OUTAGE,
            description="Cooling repair",
            who="operator",
        )
    assert "Cooling repair" in client.get("/").text
    assert "Cooling repair" in client.get("/sites/ITB-CONDOR").text
