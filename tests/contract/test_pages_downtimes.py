"""Downtimes on the pages: listed, laid out by month, told version by version, and announced in forms."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.contract.example_house import example_house

from opengoc.app import House
from opengoc.registry.store import load_registry
from opengoc.registry.tokens import Right, add_token, revoke_token
from opengoc.store import facts
from opengoc.web.server import create_app

#: What a browser sends of a form filled in.
FILLED = {
    "site": "ITB-CONDOR",
    "resource": "ITB-CONDOR-CE",
    "start": "2030-03-04T06:00",
    "end": "2030-03-04T18:00",
    "severity": "Outage",
    "description": "Scheduler upgrade",
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with the example registry."""
    with example_house(tmp_path / "home") as house:
        yield house


@pytest.fixture
def client(house: House) -> TestClient:
    """A visitor of the application over it; nothing looks at the grid."""
    return TestClient(create_app(house), raise_server_exceptions=False, follow_redirects=False)


def made_token(house: House, name: str, *sites: str, right: Right = Right.DOWNTIMES) -> str:
    with house.database.begin() as conn:
        return add_token(conn, name, rights=[right], sites=sites, who="operator")


def hidden(page: str, name: str = "csrf") -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return found[1]


def log_in(client: TestClient, secret: str, next: str = "") -> str:
    """Paste a token; gives where it leads."""
    csrf = hidden(client.get("/login").text)
    answer = client.post("/login", data={"csrf": csrf, "token": secret, "next": next})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def announced(client: TestClient) -> str:
    """Announce what FILLED says; gives the address of the downtime."""
    csrf = hidden(client.get("/downtimes/new?site=ITB-CONDOR").text)
    answer = client.post("/downtimes/new", data={**FILLED, "csrf": csrf})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def number_of_downtimes(house: House) -> int:
    with house.database.read() as conn:
        return len(load_registry(conn).downtimes)


def test_a_downtime_is_announced_changed_cancelled_and_reinstated_in_the_name_of_the_token(
    client: TestClient, house: House
) -> None:
    log_in(client, made_token(house, "site operator", "ITB-CONDOR"))
    address = announced(client)
    form = client.get(f"{address}/change").text
    changed = {
        "csrf": hidden(form),
        "version": hidden(form, "version"),
        "service": "CE",
        "start": "2030-03-04T06:00",
        "end": "2030-03-05T06:00",
        "severity": "Severe",
        "description": "Scheduler upgrade",
        "why": "firmware fails",
    }
    assert client.post(f"{address}/change", data=changed).status_code == 303
    for verb, why in (("cancel", "vendor postponed"), ("reinstate", "cancelled the wrong one")):
        form = client.get(f"{address}/change").text
        sent = {"csrf": hidden(form), "version": hidden(form, "version"), "why": why}
        assert client.post(f"{address}/{verb}", data=sent).headers["location"] == address
    with house.database.read() as conn:
        history = facts.history(conn, "downtime", address.removeprefix("/downtimes/"))
    assert [fact.who for fact in history] == ["site operator"] * 4
    assert [fact.why for fact in history[1:]] == [
        "firmware fails",
        "vendor postponed",
        "cancelled the wrong one",
    ]
    page = client.get(address).text
    assert "2030-03-04 18:00 UTC → 2030-03-05 06:00 UTC" in page
    assert "Outage → Severe" in page
    assert "vendor postponed" in page and "site operator" in page


def test_who_is_not_logged_in_is_led_to_the_login_and_back(client: TestClient, house: House) -> None:
    answer = client.get("/downtimes/new?site=ITB-SLURM")
    assert answer.headers["location"] == "/login?next=%2Fdowntimes%2Fnew%3Fsite%3DITB-SLURM"
    assert client.post("/downtimes/new", data=FILLED).headers["location"].startswith("/login")
    back = log_in(client, made_token(house, "operator"), next="/downtimes/new?site=ITB-SLURM")
    assert back == "/downtimes/new?site=ITB-SLURM"
    assert "ITB-SLURM-CE" in client.get(back).text


@pytest.mark.parametrize(
    "next", ["https://elsewhere.example.org/", "//elsewhere.example.org", "/\\elsewhere", "/\t/x", "nowhere"]
)
def test_the_login_leads_nowhere_else(client: TestClient, house: House, next: str) -> None:
    assert log_in(client, made_token(house, "operator"), next=next) == "/downtimes"


def test_the_cookie_is_for_this_site_alone_and_holds_no_token(client: TestClient, house: House) -> None:
    secret = made_token(house, "operator")
    csrf = hidden(client.get("/login").text)
    answer = client.post("/login", data={"csrf": csrf, "token": secret})
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("goc_session="))
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert secret not in cookie and secret.removeprefix("goc_") not in cookie


def test_a_token_that_is_wrong_or_has_not_the_right_opens_nothing(client: TestClient, house: House) -> None:
    for secret in ("wrong", "", made_token(house, "reader", right=Right.CONTACTS)):
        csrf = hidden(client.get("/login").text)
        answer = client.post("/login", data={"csrf": csrf, "token": secret})
        assert answer.status_code == 403
        assert "not known" in answer.text
        assert client.get("/downtimes/new").status_code == 303


def test_a_form_without_its_csrf_token_does_nothing(client: TestClient, house: House) -> None:
    secret = made_token(house, "operator")
    assert client.post("/login", data={"token": secret}).status_code == 403
    log_in(client, secret)
    address, before = announced(client), number_of_downtimes(house)
    other = TestClient(client.app, follow_redirects=False)
    log_in(other, secret)
    foreign = hidden(other.get("/downtimes/new?site=ITB-CONDOR").text)
    for csrf in ({}, {"csrf": ""}, {"csrf": "é"}, {"csrf": foreign}):
        assert client.post("/downtimes/new", data={**FILLED, **csrf}).status_code == 403
        sent = {"version": "1", "why": "attack", **csrf}
        assert client.post(f"{address}/cancel", data=sent).status_code == 403
        assert client.post("/logout", data={"x": "", **csrf}).status_code == 403
    assert number_of_downtimes(house) == before
    assert "attack" not in client.get(address).text


def test_a_site_does_not_touch_the_downtime_of_a_resource_whose_name_it_has_taken(
    client: TestClient, house: House
) -> None:
    log_in(client, made_token(house, "condor operator", "ITB-CONDOR"))
    address = announced(client)
    with house.database.begin() as conn:
        fact = facts.get(conn, "downtime", address.rpartition("/")[2])
        assert fact is not None and fact.value is not None
        of_one_that_is_gone = fact.value | {"resource_id": "4711"}
        facts.supersede(
            conn, kind="downtime", key=fact.key, value=of_one_that_is_gone, who="operator", expect=1
        )
    assert client.get(f"{address}/change").status_code == 403
    assert "Change or cancel" not in client.get(address).text


def test_a_token_of_one_site_touches_no_other(client: TestClient, house: House) -> None:
    log_in(client, made_token(house, "operator"))
    address = announced(client)
    site = TestClient(client.app, follow_redirects=False)
    log_in(site, made_token(house, "slurm operator", "ITB-SLURM"))
    csrf, before = hidden(site.get("/downtimes/new").text), number_of_downtimes(house)
    assert site.get("/downtimes/new?site=ITB-CONDOR").status_code == 403
    assert site.post("/downtimes/new", data={**FILLED, "csrf": csrf}).status_code == 403
    both = {**FILLED, "csrf": csrf, "resource": ["ITB-SLURM-CE", "ITB-CONDOR-CE"]}
    assert site.post("/downtimes/new", data=both).status_code == 403
    assert site.get(f"{address}/change").status_code == 403
    for verb in ("change", "cancel", "reinstate"):
        sent = {"csrf": csrf, "version": "1", "why": "mischief"}
        assert site.post(f"{address}/{verb}", data=sent).status_code == 403
    assert number_of_downtimes(house) == before
    assert "Change or cancel" not in site.get(address).text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"end": "2030-03-04T05:00"}, "end: must be after the start"),
        ({"end": FILLED["start"]}, "end: must be after the start"),
        ({"start": ""}, "start: is needed"),
        ({"start": "tomorrow"}, "start: must be an ISO 8601 time"),
        ({"start": "0001-01-01T00:00+14:00"}, "start: lies beyond the calendar"),
        ({"severity": "Awful"}, "severity: must be one of"),
        ({"resource": []}, "resource: tick one resource or more"),
        ({"service": "Submit Node"}, "service: none of those ticked is a service of ITB-CONDOR-CE"),
        ({"description": "x" * 5001}, "description: must hold 5000 characters at most"),
    ],
)
def test_what_is_wrong_is_said_on_the_form_with_what_was_filled_in(
    client: TestClient, house: House, wrong: dict[str, str | list[str]], words: str
) -> None:
    log_in(client, made_token(house, "operator"))
    before = number_of_downtimes(house)
    csrf = hidden(client.get("/downtimes/new?site=ITB-CONDOR").text)
    answer = client.post("/downtimes/new", data={**FILLED, "csrf": csrf, **wrong})
    assert answer.status_code == 422
    assert words in answer.text
    kept = "2030-03-04T06:00" if "end" in wrong else "2030-03-04T18:00"
    assert f'value="{kept}"' in answer.text
    assert number_of_downtimes(house) == before


def test_one_form_announces_for_several_sites_or_for_none(client: TestClient, house: House) -> None:
    log_in(client, made_token(house, "operator"))
    form = client.get("/downtimes/new?site=ITB-CONDOR&site=ITB-SLURM").text
    assert "Resources of ITB-CONDOR" in form and "Resources of ITB-SLURM" in form
    assert "<option>ITB-SLURM</option>" not in form
    both = {**FILLED, "csrf": hidden(form), "resource": ["ITB-CONDOR-CE", "ITB-SLURM-CE"]}
    both |= {"site": ["ITB-CONDOR", "ITB-SLURM"], "service": ["CE"]}
    before = number_of_downtimes(house)
    refused = client.post("/downtimes/new", data={**both, "resource": ["ITB-CONDOR-CE", "nowhere"]})
    assert (refused.status_code, number_of_downtimes(house)) == (422, before)
    assert 'value="ITB-CONDOR-CE" checked' in refused.text and "Resources of ITB-SLURM" in refused.text
    assert client.post("/downtimes/new", data=both).status_code == 303
    with house.database.read() as conn:
        made = [
            each
            for each in load_registry(conn).downtimes.values()
            if each.description == "Scheduler upgrade" and each.interval.start.year == 2030
        ]
    assert {each.resource for each in made} == {"ITB-CONDOR-CE", "ITB-SLURM-CE"}
    assert len({each.announcement for each in made}) == 1


def test_a_change_of_what_was_changed_meanwhile_is_refused(client: TestClient, house: House) -> None:
    log_in(client, made_token(house, "operator"))
    address = announced(client)
    form = client.get(f"{address}/change").text
    sent = {"csrf": hidden(form), "version": hidden(form, "version"), "why": "postponed"}
    assert client.post(f"{address}/cancel", data=sent).status_code == 303
    answer = client.post(f"{address}/reinstate", data=sent)
    assert answer.status_code == 409
    assert "was changed by operator meanwhile" in answer.text


def test_a_change_needs_a_reason(client: TestClient, house: House) -> None:
    log_in(client, made_token(house, "operator"))
    address = announced(client)
    form = client.get(f"{address}/change").text
    sent = {"csrf": hidden(form), "version": hidden(form, "version"), "why": "  "}
    answer = client.post(f"{address}/cancel", data=sent)
    assert answer.status_code == 422
    assert "say why" in answer.text


def test_a_session_ends_with_its_token_and_with_the_logout(client: TestClient, house: House) -> None:
    secret = made_token(house, "operator")
    log_in(client, secret)
    csrf = hidden(client.get("/downtimes/new?site=ITB-CONDOR").text)
    assert client.post("/logout", data={"csrf": csrf}).status_code == 303
    assert client.get("/downtimes/new").status_code == 303
    log_in(client, secret)
    assert client.get("/downtimes/new").status_code == 200
    with house.database.begin() as conn:
        revoke_token(conn, "operator", who="operator", why="left the site")
    assert client.get("/downtimes/new").status_code == 303


def test_a_form_that_is_too_large_or_no_form_is_refused(client: TestClient, house: House) -> None:
    log_in(client, made_token(house, "operator"))
    assert client.post("/downtimes/new", data={"why": "x" * 70_000}).status_code == 413
    assert client.post("/downtimes/new", json={"why": "x"}).status_code == 415
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/downtimes/new", content=b"a=%ff", headers=form).status_code == 400
    assert client.post("/downtimes/new", content=b"a=1&" * 3000, headers=form).status_code == 400


def test_every_input_has_a_label(client: TestClient, house: House) -> None:
    log_in(client, made_token(house, "operator"))
    address = announced(client)
    for path in (
        "/status",
        "/downtimes",
        "/downtimes/calendar",
        "/downtimes/new?site=ITB-CONDOR",
        f"{address}/change",
    ):
        page = re.sub(r'<input type="hidden"[^>]*>', "", client.get(path).text)
        unlabelled = re.sub(r"<label.*?</label>", "", page, flags=re.DOTALL)
        assert not re.findall(r"<(?:input|select|textarea)", unlabelled), path


def test_the_list_and_the_calendar_show_what_is_announced(client: TestClient, house: House) -> None:
    log_in(client, made_token(house, "operator"))
    address = announced(client)
    link = f'href="{address}"'
    for when, shown in (("current and future", True), ("future", True), ("current", False), ("past", False)):
        assert (link in client.get("/downtimes", params={"when": when}).text) is shown, when
    assert link not in client.get("/downtimes", params={"place": "ITB-SLURM"}).text
    month = client.get("/downtimes/calendar?month=2030-03").text
    assert month.count(link) == 1
    assert month.count("<tr>") == 6  # Its head, and the five weeks of 25 February to 31 March.
    assert link not in client.get("/downtimes/calendar?month=2030-04").text


@pytest.mark.parametrize("month", ["9999-12", "0001-01", "2026-13", "2026-W40", "x", "' OR 1=1"])
def test_a_month_that_the_calendar_has_not_is_refused_in_words(client: TestClient, month: str) -> None:
    answer = client.get("/downtimes/calendar", params={"month": month})
    assert answer.status_code == 400
    assert "must be" in answer.text


def test_an_unknown_downtime_has_no_page(client: TestClient) -> None:
    answer = client.get("/downtimes/<b>none</b>")
    assert answer.status_code == 404
    assert "&lt;b&gt;none&lt;/b&gt;" in answer.text
