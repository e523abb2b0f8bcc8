"""Plots on the pages of a site and of a VO: the report's own, with its rules served beside them."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from tests.contract.example_house import example_house

from opengoc.app import House
from opengoc.web.server import create_app


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with the example registry, in which nothing was accounted and nothing probed."""
    with example_house(tmp_path_factory.mktemp("plots") / "home") as house:
        yield house


@pytest.fixture(scope="module")
def client(house: House) -> TestClient:
    """The application over it; nothing looks at the grid."""
    return TestClient(create_app(house), raise_server_exceptions=False)


def test_the_page_of_a_vo_draws_its_own_hours_and_jobs_by_day(client: TestClient) -> None:
    page = client.get("/vos/cms").text
    assert page.count("<svg") == 2
    assert "wall hours" in page.lower() and "payload jobs" in page.lower()
    assert 'class="series" text-anchor="start">cms<' in page
    assert 'class="series" text-anchor="start">ligo<' not in page


def test_a_day_of_which_nothing_is_known_is_drawn_as_unknown_and_not_as_nought(client: TestClient) -> None:
    page = client.get("/vos/cms").text
    assert page.count('class="unknown"') == 14
    assert '<rect class="bar"' not in page


def test_the_page_of_a_site_draws_the_week_of_that_site_alone(client: TestClient) -> None:
    page = client.get("/sites/ITB-CONDOR").text
    assert page.count("<svg") == 1
    assert 'class="series" text-anchor="start">ITB-CONDOR<' in page
    assert 'class="series" text-anchor="start">ITB-SLURM<' not in page


def test_the_rules_of_the_plots_are_those_of_the_report(client: TestClient) -> None:
    assert '<link rel="stylesheet" href="/plot.css">' in client.get("/sites/ITB-CONDOR").text
    rules = client.get("/plot.css")
    assert rules.headers["content-type"].startswith("text/css")
    listed = client.get("/report").text
    week = listed.split("/report/", 1)[1].split(".", 1)[0]
    assert rules.text.strip() in client.get(f"/report/{week}.html").text
