"""The page of accounting: figures with how good they are, gaps and quarantine, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from opengoc.accounting.expected import Expectation, expect
from opengoc.accounting.importing import import_file
from opengoc.accounting.model import Kind
from opengoc.accounting.runs import report
from opengoc.accounting.source import Source
from opengoc.app import House
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval, week, week_name
from opengoc.registry.store import import_tree
from opengoc.web.server import create_app

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"
#: The last whole week.
WEEK = week_name(utc_now() - timedelta(days=7))
MONDAY = week(WEEK).start


def line(number: int, ended: datetime, **more: Any) -> str:
    said = {
        "global_job_id": str(number),
        "instance": "test",
        "ended_at": ended.isoformat(),
        "wall_seconds": 7200.0,
        "processors": 8,
        "vo": "cms",
        "site": "ITB-CONDOR",
    }
    return json.dumps(said | more) + "\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Ten pilots of cms, of a source that told all; another that is silent; two lines that are no records."""
    house = House(tmp_path_factory.mktemp("accounting") / "home", who="operator")
    path = house.home.parent / "records.jsonl"
    records = [line(n, MONDAY + timedelta(hours=10 * n)) for n in range(10)]
    bad = ['{"user": "/DC=org/CN=Somebody"}\n', line(99, MONDAY, wall_seconds=-1.0, user_name="/CN=Somebody")]
    path.write_text("".join([*records, *bad]))
    source = Source(name="condor-site", format="auto", path=path, kind=Kind.PILOT, site="ITB-CONDOR")
    with house.database.begin() as conn:
        import_tree(conn, EXAMPLE, "operator")
        for name, site in (("condor-site", "ITB-CONDOR"), ("slurm-site", "ITB-SLURM")):
            wanted = Expectation(source=name, records=Kind.PILOT, site=site, interval=Interval(MONDAY))
            expect(conn, wanted, who="operator", why="test")
    import_file(source, house.accounting_stores(), who="operator")
    with house.database.begin() as conn:
        now = utc_now()
        report(conn, source, start=None, end=now, now=now, who="operator")
    yield house
    house.close()


@pytest.fixture(scope="module")
def client(house: House) -> TestClient:
    return TestClient(create_app(house), raise_server_exceptions=False)


def figures(client: TestClient, **asked: str) -> dict[tuple[str, ...], dict[str, Any]]:
    said = client.get("/accounting.json", params={"last": WEEK, "weeks": "2", **asked}).json()
    return {(f["name"], *sorted(f["dimensions"].values())): f for f in said["figures"]}


def test_every_figure_says_how_good_it_is_and_as_of_when(client: TestClient) -> None:
    found = figures(client)
    whole = found["pilot_core_hours", WEEK]
    assert (whole["value"], whole["state"]) == (160.0, "partial")
    assert whole["reason"].startswith("slurm-site: 0 of 7 days (nothing came of it yet")
    at_site = found["pilot_core_hours", WEEK, "ITB-CONDOR"]
    assert (at_site["value"], at_site["state"], at_site["reason"]) == (160.0, "value", "")
    assert {f["as_of"][:10] for f in found.values()} == {utc_now().date().isoformat()}
    assert at_site["evidence"]["version"] is not None
    # In the week before nobody was expected to report.
    before = week_name(MONDAY - timedelta(days=1))
    assert found["pilot_core_hours", before, "cms"]["state"] == "missing"


def test_the_page_shows_plots_tables_gaps_and_the_quarantine(client: TestClient) -> None:
    page = client.get("/accounting", params={"last": WEEK, "weeks": "2"}).text
    assert page.count("<svg") == 2
    assert "≥ 160" in page
    assert "slurm-site: 0 of 7 days" in page
    assert page.count('class="square none"') == 7
    assert "nothing came since it is expected" in page
    assert "wall_seconds must be a number, not negative" in page
    assert "2 entries of which no record could be made" in page


def test_what_the_quarantine_quotes_of_people_is_not_shown(client: TestClient) -> None:
    for address in ("/accounting", "/accounting.json"):
        assert "Somebody" not in client.get(address).text


def test_the_filters_narrow_the_figures_and_keep_what_was_asked(client: TestClient) -> None:
    found = figures(client, site="ITB-SLURM")
    assert found["pilot_jobs", WEEK, "ITB-SLURM"]["state"] == "missing"
    page = client.get("/accounting", params={"site": "ITB-SLURM", "vo": "cms", "last": WEEK}).text
    assert "<option selected>ITB-SLURM</option>" in page
    assert "<option selected>cms</option>" in page
    assert figures(client, vo="cms")["pilot_jobs", WEEK, "cms"]["value"] == 10
    assert "slurm-site" not in client.get("/accounting", params={"site": "ITB-CONDOR", "last": WEEK}).text


def test_a_kind_that_nobody_reports_is_missing_and_never_nought(client: TestClient) -> None:
    found = figures(client, kind="transfer")
    assert {(f["state"], f["value"]) for f in found.values()} == {("missing", None)}
    assert {f["reason"] for f in found.values()} == {"no source of transfer records"}


@pytest.mark.parametrize("query", ["kind=all", "weeks=3", "last=soon", "page=0", "last=2026-W60"])
def test_a_query_that_means_nothing_is_refused_in_words(client: TestClient, query: str) -> None:
    answer = client.get(f"/accounting?{query}")
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text


def test_names_are_shown_as_text_whatever_they_hold(client: TestClient) -> None:
    page = client.get("/accounting", params={"vo": "<b>", "last": WEEK}).text
    assert "<b>" not in page
