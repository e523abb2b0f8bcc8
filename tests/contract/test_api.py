"""The JSON API: what it answers, and that it keeps to its description whatever a client sends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from starlette.testclient import TestClient
from tests.contract.example_house import example_house

from opengoc.app import House
from opengoc.base.instant import parse_instant
from opengoc.base.interval import Interval
from opengoc.registry.store import cancel_downtime, change_downtime
from opengoc.registry.tokens import Right, add_token, revoke_token
from opengoc.store import facts
from opengoc.web.server import create_app

START, END = "2026-12-01T00:00:00Z", "2026-12-01T06:00:00Z"
EARLIER = parse_instant("2026-11-30T00:00:00Z")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with the example registry."""
    with example_house(tmp_path_factory.mktemp("api") / "home") as house:
        yield house


@pytest.fixture(scope="module")
def client(house: House) -> TestClient:
    """The application over it; nothing looks at the grid."""
    return TestClient(create_app(house), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def secrets(house: House) -> dict[str, str]:
    """Tokens by name."""
    rights: dict[str, dict[str, Any]] = {
        "reader": {"rights": [Right.CONTACTS]},
        "operator": {"rights": [Right.DOWNTIMES]},
        "agent": {"rights": [Right.RESULTS]},
        "site": {"rights": [Right.DOWNTIMES], "sites": ["ITB-CONDOR"]},
    }
    with house.database.begin() as conn:
        return {name: add_token(conn, name, who="operator", **given) for name, given in rights.items()}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_entries_are_listed_chosen_and_shown(client: TestClient) -> None:
    sites = client.get("/api/sites", params={"country": "United States"}).json()
    assert {site["name"] for site in sites["items"]} >= {"ITB-CONDOR", "ITB-SLURM"}
    resource = client.get("/api/resources/ITB-SLURM-CE").json()
    assert (resource["site"], resource["services"][0]["kind"]) == ("ITB-SLURM", "CE")
    assert client.get("/api/resources", params={"service": "CE", "site": "ITB-SLURM"}).json()["next"] is None
    assert client.get("/api/sites/nowhere").json() == {
        "error": "the registry holds no such entry",
        "where": "",
    }


def test_a_list_comes_in_parts(client: TestClient) -> None:
    names, after = [], None
    for _ in range(10):
        part = client.get("/api/resources", params={"limit": 1} | ({"after": after} if after else {})).json()
        names += [each["name"] for each in part["items"]]
        after = part["next"]
        if after is None:
            break
    assert names == sorted(names)
    assert len(names) == len(client.get("/api/resources").json()["items"])


def test_no_person_is_in_what_the_public_sees(client: TestClient) -> None:
    text = "".join(client.get(f"/api/{kind}").text for kind in ("sites", "resources", "vos", "changes"))
    assert "person-" in text
    assert "administrator" not in text and "@" not in text


def test_a_person_is_shown_to_who_may_see_one_and_that_is_written_down(
    client: TestClient, house: House, secrets: dict[str, str]
) -> None:
    resource = client.get("/api/resources/ITB-SLURM-CE").json()
    path = f"/api/contacts/{resource['contacts'][0]['contact']}?why=ticket+17"
    assert client.get(path).status_code == 401
    assert client.get(path, headers=bearer("wrong")).status_code == 401
    assert client.get(path, headers=bearer(secrets["operator"])).status_code == 403
    shown = client.get(path, headers=bearer(secrets["reader"]))
    assert shown.json()["email"].endswith("@itb.example.org")
    assert shown.headers["cache-control"] == "no-store"
    from opengoc.store import vault

    with house.database.read() as conn:
        assert vault.accesses(conn, limit=1)[0].who == "reader"


def test_the_old_addresses_name_persons_to_who_may_see_them(
    client: TestClient, secrets: dict[str, str]
) -> None:
    public = client.get("/rgsummary/xml")
    assert "<ContactRank>" in public.text and "administrator" not in public.text
    named = client.get("/rgsummary/xml", headers=bearer(secrets["reader"]))
    assert "<Name>Site administrator of the testbed</Name>" in named.text
    assert named.headers["cache-control"] == "no-store"
    for secret, code in (("wrong", 401), (secrets["operator"], 403)):
        refused = client.get("/rgsummary/xml", headers=bearer(secret))
        assert (refused.status_code, "administrator" in refused.text) == (code, False)
    assert client.get("/rgsummary/xml").text == public.text
    assert client.post("/rgsummary/xml").status_code == 405


def test_an_answer_as_of_a_moment_does_not_change_later(
    client: TestClient, house: House, secrets: dict[str, str]
) -> None:
    added = client.post(
        "/api/downtimes",
        json={"resources": ["ITB-SLURM-CE"], "start": START, "end": END, "severity": "Outage"},
        headers=bearer(secrets["operator"]),
    ).json()[0]
    with house.database.begin() as conn:
        moment = facts.known_now(conn).isoformat()
    before = client.get("/api/downtimes", params={"as_of": moment}).json()
    changed = client.patch(
        f"/api/downtimes/{added['id']}",
        json={"why": "done early", "end": "2026-12-01T01:00:00Z"},
        headers=bearer(secrets["operator"]),
    )
    assert changed.json()["end"] == "2026-12-01T01:00:00Z"
    assert client.get("/api/downtimes", params={"as_of": moment}).json() == before
    assert client.get("/api/resources", params={"as_of": "2001-01-01T00:00:00Z"}).json()["items"] == []


def test_a_change_of_one_end_keeps_the_other_as_somebody_else_has_just_set_it(
    client: TestClient, house: House, secrets: dict[str, str]
) -> None:
    """The second change is sent, and has read what stands, while the first is not yet committed."""
    said = {"resources": ["ITB-SLURM-CE"], "start": START, "end": END, "severity": "Outage"}
    (added,) = client.post("/api/downtimes", json=said, headers=bearer(secrets["operator"])).json()
    address, earlier = f"/api/downtimes/{added['id']}", Interval(EARLIER, parse_instant(END))
    later = {"why": "takes longer", "end": "2026-12-02T00:00:00Z"}
    with ThreadPoolExecutor(1) as other:
        with house.database.begin() as conn:
            sent = other.submit(client.patch, address, json=later, headers=bearer(secrets["operator"]))
            wait([sent], timeout=0.5)
            change_downtime(conn, added["id"], who="operator", why="begins earlier", interval=earlier)
        answer = sent.result().json()
    assert (answer["start"], answer["end"]) == ("2026-11-30T00:00:00Z", "2026-12-02T00:00:00Z")


def test_a_site_may_not_touch_the_downtime_of_a_resource_whose_name_it_has_taken(
    client: TestClient, house: House, secrets: dict[str, str]
) -> None:
    said = {"resources": ["ITB-CONDOR-CE"], "start": START, "end": END, "severity": "Outage"}
    (added,) = client.post("/api/downtimes", json=said, headers=bearer(secrets["operator"])).json()
    with house.database.begin() as conn:
        fact = facts.get(conn, "downtime", added["id"])
        assert fact is not None and fact.value is not None
        of_one_that_is_gone = fact.value | {"resource_id": "4711"}
        facts.supersede(
            conn, kind="downtime", key=fact.key, value=of_one_that_is_gone, who="operator", expect=1
        )
    address = f"/api/downtimes/{added['id']}"
    assert client.get(address).json()["site"] is None
    answer = client.post(f"{address}/cancel", json={"why": "x"}, headers=bearer(secrets["site"]))
    assert answer.status_code == 403


def test_a_calendar_holds_no_control_characters(client: TestClient, secrets: dict[str, str]) -> None:
    said = {"resources": ["ITB-SLURM-CE"], "start": START, "end": END, "severity": "Outage"}
    odd = said | {"description": "bell\a, esc\x1b[0m; vt\v\rline\r\nnext\tand"}
    assert client.post("/api/downtimes", json=odd, headers=bearer(secrets["operator"])).status_code == 201
    lines = client.get("/rgdowntime/ical", params={"downtime_attrs_showpast": "all"}).content.split(b"\r\n")
    assert not [line for line in lines if any((octet < 32 and octet != 9) or octet == 127 for octet in line)]
    unfolded = b"\r\n".join(lines).replace(b"\r\n ", b"").decode()
    assert "bell\ufffd\\, esc\ufffd[0m\\; vt\ufffdline\\nnext\tand\r\n" in unfolded


def test_a_result_from_before_the_calendar_is_refused(client: TestClient, secrets: dict[str, str]) -> None:
    result = {"metric": "ping", "resource": "ITB-SLURM-CE", "service": "CE", "status": "OK"}
    batch = {"batch": "year-0", "results": [result | {"at": "0001-01-01T00:00:00+14:00"}]}
    answer = client.post("/api/results", json=batch, headers=bearer(secrets["agent"]))
    assert answer.status_code == 422
    assert "lies beyond the calendar" in answer.text


def test_the_feed_tells_of_a_cancellation(client: TestClient, house: House) -> None:
    cursor = client.get("/api/changes", params={"limit": 5000}).json()["cursor"]
    assert client.get("/api/changes", params={"cursor": cursor}).json()["items"] == []
    with house.database.begin() as conn:
        cancel_downtime(conn, "9001", who="operator", why="not needed")
    news = client.get("/api/changes", params={"cursor": cursor}).json()
    assert [(each["id"], each["change"]) for each in news["items"]] == [("9001", "cancelled")]
    assert news["items"][0]["downtime"]["state"] == "cancelled"
    assert news["cursor"] > cursor


def test_several_resources_are_announced_at_once_or_not_at_all(
    client: TestClient, secrets: dict[str, str]
) -> None:
    said = {"start": START, "end": END, "severity": "Outage", "description": "cooling, ask a@example.org"}
    both = {"resources": ["ITB-SLURM-CE", "ITB-CONDOR-CE"]} | said
    made = client.post("/api/downtimes", json=both, headers=bearer(secrets["operator"]))
    assert made.status_code == 201
    assert {each["resource"] for each in made.json()} == {"ITB-SLURM-CE", "ITB-CONDOR-CE"}
    assert "a@example.org" not in made.text
    count = len(client.get("/api/downtimes").json()["items"])
    bad = client.post(
        "/api/downtimes",
        json=both | {"resources": ["ITB-SLURM-CE", "nowhere"]},
        headers=bearer(secrets["operator"]),
    )
    assert (bad.status_code, len(client.get("/api/downtimes").json()["items"])) == (422, count)


def test_a_token_of_a_site_touches_that_site_alone(client: TestClient, secrets: dict[str, str]) -> None:
    said = {"start": START, "end": END, "severity": "Outage"}
    codes = [
        client.post(
            "/api/downtimes", json={"resources": [name]} | said, headers=bearer(secrets["site"])
        ).status_code
        for name in ("ITB-CONDOR-CE", "ITB-SLURM-CE")
    ]
    assert codes == [201, 403]
    refused = client.post("/api/downtimes/9001/cancel", json={"why": "x"}, headers=bearer(secrets["site"]))
    assert refused.status_code == 403


def test_a_revoked_token_opens_nothing(client: TestClient, house: House) -> None:
    with house.database.begin() as conn:
        secret = add_token(conn, "brief", rights=[Right.DOWNTIMES], who="operator")
        revoke_token(conn, "brief", who="operator", why="over")
    refused = client.post("/api/downtimes/9001/cancel", json={"why": "x"}, headers=bearer(secret))
    assert refused.status_code == 401


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"end": START, "start": END}, 422),
        ({"start": "0001-01-01T00:00:00+14:00"}, 422),
        ({"resources": []}, 422),
        ({"severity": "Earthquake"}, 422),
        ({"services": ["Squid"]}, 422),
        ({"unknown": 1}, 422),
        ({"description": "x" * 70_000}, 413),
    ],
)
def test_a_bad_announcement_is_refused_in_words(
    client: TestClient, secrets: dict[str, str], body: dict[str, Any], code: int
) -> None:
    good = {"resources": ["ITB-SLURM-CE"], "start": START, "end": END, "severity": "Outage"}
    answer = client.post("/api/downtimes", json=good | body, headers=bearer(secrets["operator"]))
    assert answer.status_code == code
    assert answer.json()["error"]
    assert "Traceback" not in answer.text and len(answer.text) < 2000


def test_a_known_answer_is_told_by_its_tag(client: TestClient) -> None:
    first = client.get("/api/sites")
    assert client.get("/api/sites", headers={"If-None-Match": first.headers["etag"]}).status_code == 304


OPERATIONS = [
    ("GET", f"/api/{path}")
    for path in (
        "facilities",
        "facilities/{name}",
        "sites",
        "sites/{name}",
        "resources",
        "resources/{name}",
        "vos",
        "vos/{name}",
        "projects",
        "projects/{name}",
        "contacts/{contact}",
        "downtimes",
        "downtimes/{downtime}",
        "changes",
    )
] + [
    ("POST", "/api/downtimes"),
    ("PATCH", "/api/downtimes/{downtime}"),
    ("POST", "/api/downtimes/{downtime}/cancel"),
    ("POST", "/api/downtimes/{downtime}/reinstate"),
    ("POST", "/api/results"),
]
#: Operations that describe no more than what they are asked: no answer may be a fault of the server's.
OTHERS = [
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("POST", "/accounting/batches"),
    ("POST", "/accounting/heartbeats"),
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS + OTHERS)
def test_whatever_is_sent_the_answer_is_as_described(
    client: TestClient, secrets: dict[str, str], method: str, path: str
) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", client.app)[path][method]
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]))
    def ask(case: Case) -> None:
        holder = "agent" if path == "/api/results" else "operator"
        case.headers = {**(case.headers or {}), **bearer(secrets[holder])}
        described = [status_code_conformance, response_schema_conformance]
        case.call_and_validate(checks=[not_a_server_error, *(described if path.startswith("/api") else ())])

    ask()


def test_every_operation_that_is_described_is_asked(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == set(OPERATIONS + OTHERS)
