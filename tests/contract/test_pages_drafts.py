"""A late correction on the pages: read by anybody, approved or rejected in the name of who may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.contract.late_correction import NOW, PROFILE, SITE, WEEK, published_week, shorten

from opengoc.app import House
from opengoc.flows import availability
from opengoc.flows.availability import Centre
from opengoc.registry.tokens import Right, add_token
from opengoc.web.server import create_app

PAGE = f"/availability/{WEEK}/drafts/{PROFILE}"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house in which a correction waits."""
    house = House(tmp_path / "home", who="operator")
    _, downtime = published_week(house.lake, house.database)
    shorten(house.database, downtime, 4)
    availability.review(Centre.of(house.database, house.lake), now=NOW)
    yield house
    house.close()


def client_of(house: House, right: Right) -> TestClient:
    """Somebody who is logged in."""
    client = TestClient(create_app(house), raise_server_exceptions=False, follow_redirects=False)
    with house.database.begin() as conn:
        secret = add_token(conn, right.value, rights=[right], who="operator")
    csrf = hidden(client.get("/login").text, "csrf")
    assert client.post("/login", data={"csrf": csrf, "token": secret, "next": ""}).status_code == 303
    return client


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return found[1]


def sent(page: str, **more: str) -> dict[str, str]:
    return {"csrf": hidden(page, "csrf"), "content": hidden(page, "content"), "why": "seen", **more}


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_decision_is_on_record_with_who_and_why(house: House, decision: str) -> None:
    client = client_of(house, Right.REPORTS)
    month = client.get(f"/availability/{WEEK}?profile={PROFILE}").text
    assert f'href="{PAGE}"' in month
    page = client.get(PAGE).text
    assert SITE in page and "ended early" in page
    answer = client.post(PAGE, data=sent(page, decision=decision, why="the log agrees"))
    assert answer.headers["location"] == f"/availability/{WEEK}"
    centre = Centre.of(house.database, house.lake)
    published = availability.latest(centre, WEEK, PROFILE)
    assert published is not None
    assert published.report.revision == (2 if decision == "approve" else 1)
    after = client.get(f"/availability/{WEEK}?profile={PROFILE}").text
    assert ("by reports: the log agrees" in after) is (decision == "reject")
    assert client.get(PAGE).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"why": ""}, 422, "say why"),
        ({"decision": "burn"}, 422, "must be approve or reject"),
        ({"content": "0" * 64}, 409, "has changed since it was read"),
        ({"csrf": "x"}, 403, "not of your session"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_decided(
    house: House, wrong: dict[str, str], code: int, words: str
) -> None:
    client = client_of(house, Right.REPORTS)
    answer = client.post(PAGE, data=sent(client.get(PAGE).text, **{"decision": "reject", **wrong}))
    assert answer.status_code == code
    assert words in answer.text
    assert client.get(PAGE).status_code == 200


def test_who_may_not_decide_is_offered_nothing_and_refused(house: House) -> None:
    anybody = TestClient(create_app(house), follow_redirects=False)
    page = anybody.get(PAGE).text
    assert "Log in</a> to approve" in page and "Decide" not in page
    assert anybody.post(PAGE, data={"decision": "approve"}).headers["location"].startswith("/login")
    client = client_of(house, Right.DOWNTIMES)
    page = client.get(PAGE).text
    assert "Decide" not in page
    csrf = hidden(page, "csrf")
    assert client.post(PAGE, data={"csrf": csrf, "decision": "approve", "why": "x"}).status_code == 403
