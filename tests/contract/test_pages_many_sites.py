"""The pages of a grid of many sites: what needs a look on top, from each figure a way to its evidence."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from starlette.testclient import TestClient
from tests.contract.late_correction import NOW, PROFILE, SITE, WEEK, published_week, shorten

from opengoc.app import House
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval, week, week_name
from opengoc.flows import availability
from opengoc.flows.availability import Centre
from opengoc.flows.publication import draft
from opengoc.monitoring import store
from opengoc.monitoring.model import ProbeResult, Status
from opengoc.monitoring.profile import PROFILES
from opengoc.registry.downtime import Severity
from opengoc.registry.live import LiveRegistry
from opengoc.registry.past import PastRegistries
from opengoc.registry.store import add_downtime
from opengoc.reports.render import json
from opengoc.web.drafts import Drafts
from opengoc.web.server import create_app


def answered(resource: str, service: str, status: Status) -> ProbeResult:
    return ProbeResult(
        metric="ce-job",
        resource=resource,
        service=service,
        status=status,
        at=utc_now() - timedelta(minutes=5),
        summary="",
        agent="test",
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A late correction waits; now one site is critical, another not probed."""
    house = House(tmp_path_factory.mktemp("many") / "home", who="operator")
    _, downtime = published_week(house.lake, house.database)
    shorten(house.database, downtime, 4)
    availability.review(Centre.of(house.database, house.lake), now=NOW)
    results = [answered("ITB-SLURM-CE", "CE", Status.CRITICAL)]
    store.record(house.lake, house.database, results, batch_id="now", known_at=utc_now(), who="test")
    yield house
    house.close()


@pytest.fixture(scope="module")
def client(house: House) -> TestClient:
    return TestClient(create_app(house), raise_server_exceptions=False)


def test_what_needs_a_look_stands_above_what_does_not(client: TestClient) -> None:
    page = client.get("/").text
    assert re.search(r'class="state critical">CRITICAL</span> 1', page)
    assert page.index(">ITB-SLURM<") < page.index(">ITB-CONDOR<")


def test_from_the_figures_of_a_site_a_link_leads_to_its_services_in_that_week(client: TestClient) -> None:
    address = f"/availability/{week_name(utc_now())}/sites/{SITE}"
    assert f'href="{address}"' in client.get(f"/sites/{SITE}").text
    assert client.get(address).status_code == 200


def test_the_strips_of_a_site_name_their_days_and_the_command_names_the_same_time(client: TestClient) -> None:
    page = html.unescape(client.get(f"/availability/{WEEK}/sites/{SITE}?profile={PROFILE}").text)
    window = week(WEEK)
    assert f">{window.start:%m-%d}<" in page
    bounds = f"--from {window.start:%Y-%m-%d} --to {window.end:%Y-%m-%d}"
    assert f"goc ar show {SITE} {bounds} --profile {PROFILE} --explain" in page


def test_the_cause_of_a_correction_leads_to_its_downtime(client: TestClient) -> None:
    page = client.get(f"/availability/{WEEK}/drafts/{PROFILE}").text
    found = re.search(r'downtime <a href="(/downtimes/[^"]+)">', page)
    assert found is not None
    assert client.get(found[1]).status_code == 200


def test_a_month_can_be_seen_under_every_profile(client: TestClient) -> None:
    page = client.get(f"/availability/{WEEK}").text
    assert all(f'href="/availability/{WEEK}?profile={name}"' in page for name in PROFILES)


def test_the_command_that_publishes_a_week_names_a_week(client: TestClient) -> None:
    other = week_name(utc_now() - timedelta(days=14))
    assert f"goc report publish-ar --week {other}" in client.get(f"/availability/{other}").text


@pytest.mark.parametrize("address", ["/accounting?last=soon", "/status?active=perhaps"])
def test_a_choice_that_means_nothing_is_no_missing_page_and_leads_back(
    client: TestClient, address: str
) -> None:
    answer = client.get(address, headers={"accept": "text/html"})
    assert answer.status_code == 400
    assert "There is no such page" not in answer.text
    assert f'<a href="{address.partition("?")[0]}">' in answer.text


def test_who_looks_while_a_draft_is_built_is_shown_the_one_before(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, past = LiveRegistry(house.database), PastRegistries(house.database)
    drafts = Drafts(house=house, live=live, past=past)
    before = drafts.this_week()
    moment = utc_now() + timedelta(minutes=5)
    monkeypatch.setattr("opengoc.web.drafts.utc_now", lambda: moment)
    found = []
    with drafts._lock:
        looking = threading.Thread(target=lambda: found.append(drafts.of(before.week)))
        looking.start()
        looking.join(timeout=20)
        assert found == [before]
    assert drafts.of(before.week).as_of == moment


def test_a_draft_says_what_was_known_when_it_was_made(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    live, past = LiveRegistry(house.database), PastRegistries(house.database)
    drafts = Drafts(house=house, live=live, past=past)
    moment = utc_now() + timedelta(minutes=10)
    week = week_name(utc_now())
    for minute, resource in enumerate(("", "ITB-CONDOR-CE", "ITB-SLURM-CE")):
        if resource:
            with house.database.begin() as conn:
                add_downtime(
                    conn,
                    resource=resource,
                    interval=Interval(moment, moment + timedelta(hours=1)),
                    severity=Severity.OUTAGE,
                    description=f"work at {resource}",
                    who="test",
                )
        at = moment + timedelta(minutes=minute)
        monkeypatch.setattr("opengoc.web.drafts.utc_now", lambda at=at: at)
        # Each time anew: what was shown before is not asked for.
        drafts._kept = {}
        said = json.render(drafts.of(week))
        assert said == json.render(draft(house.report_stores(), week, as_of=at, now=at))
        assert f"work at {resource}" in said or not resource


def test_a_public_page_does_not_say_where_the_settings_lie(house: House) -> None:
    with TestClient(create_app(house)) as client:
        said = client.get("/").text
    assert "no factory is set up here" in said
    assert str(house.home) not in said
