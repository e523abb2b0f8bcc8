"""Login by a provider of OpenID Connect, against a real one; sessions in the database, for every process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from starlette.testclient import TestClient
from tests.contract.example_house import example_house
from tests.contract.login_provider import CLIENT, SECRET, LoginProvider, login_provider
from tests.contract.registry_trees import EXAMPLE

from opengoc.app import House
from opengoc.base.instant import utc_now
from opengoc.store import sessions, vault
from opengoc.web.server import create_app

SETTINGS = """
[login]
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "login.secret"
address = "https://testserver"
contact_claim = "email"

[[login.grants]]
name = "operators"
claim = "groups"
value = "goc-operators"
rights = ["downtimes", "reports"]

[[login.grants]]
name = "slurm-operators"
claim = "groups"
value = "slurm"
rights = ["downtimes"]
sites = ["ITB-SLURM"]
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[LoginProvider]:
    """The provider."""
    with login_provider() as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, provider: LoginProvider) -> Iterator[House]:
    """A house with the example registry, which lets in by the provider."""
    provider.claims, provider.spoil, provider.ends_with = {}, dict, ""
    home = tmp_path / "home"
    home.mkdir()
    (home / "login.secret").write_text(SECRET)
    (home / "goc.toml").write_text(SETTINGS.format(issuer=provider.issuer, client=CLIENT))
    with example_house(home) as house:
        yield house


def visitor(house: House) -> TestClient:
    """A browser at a process of its own."""
    return TestClient(create_app(house), raise_server_exceptions=False, follow_redirects=False)


def go(client: TestClient, next: str = "/downtimes/new") -> Any:
    """Log in at the provider; what the way back answers."""
    away = client.get("/login/provider", params={"next": next})
    assert away.status_code == 303
    return client.get(returned(away.headers["location"]))


def returned(address: str) -> str:
    """Where the provider sends a browser."""
    back = urlsplit(requests.get(address, allow_redirects=False, timeout=10).headers["location"])
    return f"{back.path}?{back.query}"


def test_who_the_provider_puts_in_a_group_may_do_what_the_grant_says(
    house: House, provider: LoginProvider
) -> None:
    provider.claims = {"groups": ["goc-operators", "others"]}
    client = visitor(house)
    assert "Log in with your organisation" in client.get("/login").text
    back = go(client, "/downtimes/new?site=ITB-SLURM")
    assert (back.status_code, back.headers["refresh"]) == (200, "0; url=/downtimes/new?site=ITB-SLURM")
    assert "Logged in as operators" in client.get("/downtimes/new?site=ITB-SLURM").text


def test_a_provider_may_write_its_name_with_a_slash_at_the_end_and_no_other_way(
    house: House, provider: LoginProvider
) -> None:
    provider.claims = {"groups": "goc-operators"}
    for ending, code in (("/", 200), ("/other", 503)):
        provider.ends_with = ending
        client = visitor(house)
        assert (go(client).status_code if code == 200 else client.get("/login/provider").status_code) == code


def test_a_session_holds_in_every_process_and_after_a_restart_until_it_ends(
    house: House, provider: LoginProvider
) -> None:
    provider.claims = {"groups": "goc-operators"}
    first = visitor(house)
    go(first)
    cookie = {"goc_session": first.cookies["goc_session"]}
    again = House(house.home, who="operator")
    second = TestClient(create_app(again), follow_redirects=False, cookies=cookie)
    assert second.get("/downtimes/new").status_code == 200
    with house.database.read() as conn:
        (kept,) = sessions.standing(conn, now=utc_now())
        assert sessions.standing(conn, now=utc_now() + timedelta(hours=9)) == []
    assert cookie["goc_session"] not in str(kept)
    with house.database.begin() as conn:
        assert sessions.end_all(conn, "operators") == 1
    assert [each.get("/downtimes/new").status_code for each in (first, second)] == [303, 303]
    again.close()


def test_a_contact_announces_for_the_sites_of_their_resources_and_no_fact_names_them(
    house: House, provider: LoginProvider
) -> None:
    contacts = (EXAMPLE / "contacts.yaml").read_text()
    address = re.search(r"c-admin:.*?Email: ([^\s}]+)", contacts, re.DOTALL)
    assert address is not None
    provider.claims = {"email": address[1].upper(), "email_verified": True}
    client = visitor(house)
    assert go(client).status_code == 200
    page = client.get("/downtimes/new?site=ITB-SLURM").text
    who = re.search(r"Logged in as (person-[0-9a-f]+)", page)
    assert who is not None
    assert address[1] not in page.lower()
    with house.database.read() as conn:
        assert [each.person for each in vault.accesses(conn) if each.who == "login"] == [who[1]]
    provider.claims["email_verified"] = False
    refused = go(visitor(house))
    assert (refused.status_code, "nothing here is yours" in refused.text) == (403, True)


def test_a_grant_for_one_site_is_for_no_other(house: House, provider: LoginProvider) -> None:
    provider.claims = {"groups": ["slurm"]}
    client = visitor(house)
    go(client)
    assert client.get("/downtimes/new?site=ITB-SLURM").status_code == 200
    assert client.get("/downtimes/new?site=ITB-CONDOR").status_code == 403


def _without(name: str) -> Any:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda claims: claims | {"iss": "https://elsewhere.example.org"},
        lambda claims: claims | {"aud": "another"},
        lambda claims: claims | {"aud": [CLIENT, "another"], "azp": "another"},
        lambda claims: claims | {"nonce": "of another login"},
        lambda claims: claims | {"exp": claims["iat"] - 3600},
        lambda claims: claims | {"iat": claims["iat"] + 3600},
        _without("nonce"),
        _without("exp"),
        _without("sub"),
    ],
)
def test_an_id_token_that_is_not_for_this_login_opens_nothing(
    house: House, provider: LoginProvider, spoil: Any
) -> None:
    provider.claims, provider.spoil = {"groups": "goc-operators"}, spoil
    client = visitor(house)
    refused = go(client)
    assert refused.status_code == 403
    assert "goc_session" not in client.cookies
    assert client.get("/downtimes/new").status_code == 303


def test_a_token_that_another_key_signed_opens_nothing_and_a_new_key_is_found(
    house: House, provider: LoginProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.claims = {"groups": "goc-operators"}
    client, published = visitor(house), provider.key
    assert go(client).status_code == 200
    provider.rotate()
    provider.key = published
    assert go(visitor(house)).status_code == 403
    provider.key = provider.signing_key
    monkeypatch.setattr("opengoc.web.provider._KEYS_AT_MOST_EVERY", 0.0)
    assert go(client).status_code == 200


def test_a_way_back_that_this_browser_did_not_begin_opens_nothing(
    house: House, provider: LoginProvider
) -> None:
    provider.claims = {"groups": "goc-operators"}
    attacker, victim = visitor(house), visitor(house)
    away = attacker.get("/login/provider").headers["location"]
    back = returned(away)
    assert victim.get(back).status_code == 403
    victim.get("/login/provider")
    assert victim.get(back).status_code == 403
    assert attacker.get(back).status_code == 200
    # A code is good for once.
    attacker.get("/login/provider")
    assert attacker.get(back).status_code == 403
    for query in ("", "?code=x", "?state=x", "?error=access_denied&state=x", "?code=%00&state=%00"):
        victim.get("/login/provider")
        assert victim.get(f"/login/callback{query}").status_code == 403
    assert "goc_session" not in victim.cookies


def test_without_its_provider_people_are_told_and_tokens_go_on(house: House) -> None:
    text = (house.home / "goc.toml").read_text()
    (house.home / "goc.toml").write_text(re.sub(r'issuer = ".*?"', 'issuer = "http://127.0.0.1:9"', text))
    away = visitor(House(house.home, who="operator"))
    answer = away.get("/login/provider")
    assert (answer.status_code, "log in with a token" in answer.text) == (503, True)
    assert away.get("/login").status_code == 200


def test_where_no_provider_is_set_up_the_login_is_by_token_alone(house: House) -> None:
    (house.home / "goc.toml").unlink()
    client = visitor(House(house.home, who="operator"))
    assert client.get("/login/provider").status_code == 404
    assert "Log in with" not in client.get("/login").text
