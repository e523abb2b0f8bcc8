"""Results from remote agents over HTTP: kept once, refused with the place of the fault. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from opengoc.app import House
from opengoc.base.instant import format_instant, utc_now
from opengoc.base.interval import Interval
from opengoc.monitoring import store
from opengoc.registry.store import import_tree
from opengoc.registry.tokens import Right, add_token, revoke_token
from opengoc.web.api.results import MAX_BODY
from opengoc.web.server import create_app

REGISTRY = Path(__file__).parents[1] / "data" / "registry" / "example"
NOW = utc_now().replace(microsecond=0)


class Agent:
    """An agent with a token, and the house it reports to."""

    def __init__(self, house: House) -> None:
        with house.database.begin() as conn:
            import_tree(conn, REGISTRY, "test")
            self.token = add_token(conn, "agent-1", rights=[Right.RESULTS], who="test")
            self.reader = add_token(conn, "reader", rights=[Right.DOWNTIMES], who="test")
        self.house = house
        self.client = TestClient(create_app(house), raise_server_exceptions=False)

    def send(self, batch: str, *results: dict[str, Any], token: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return self.client.post("/api/results", json={"batch": batch, "results": results}, headers=headers)

    def kept(self) -> list[store.ProbeResult]:
        return store.results(self.house.lake, Interval(NOW - timedelta(days=400), NOW + timedelta(days=400)))


def a_result(minute: int = 0, **other: Any) -> dict[str, Any]:
    return {
        "metric": "ce-ping",
        "resource": "ITB-CONDOR-CE",
        "service": "CE",
        "status": "OK",
        "at": format_instant(NOW - timedelta(minutes=minute)),
    } | other


@pytest.fixture
def agent(tmp_path: Path, database_url: str) -> Agent:
    (tmp_path / "goc.toml").write_text(f'[store]\nurl = "{database_url}"\n')
    house = House(tmp_path)
    return Agent(house)


def test_a_batch_is_kept_under_the_agent_s_name_when_it_is_answered(agent: Agent) -> None:
    answer = agent.send("b-1", a_result(2), a_result(1, status="CRITICAL", summary="refused"))
    assert (answer.status_code, answer.json()) == (201, {"batch": "b-1", "results": 2, "new": True})
    assert [(r.agent, r.status, r.summary) for r in agent.kept()] == [
        ("agent-1", "OK", ""),
        ("agent-1", "CRITICAL", "refused"),
    ]


def test_a_batch_sent_twice_is_kept_once_and_says_so(agent: Agent) -> None:
    agent.send("b-1", a_result())
    again = agent.send("b-1", a_result())
    assert (again.status_code, again.json()["new"]) == (200, False)
    assert len(agent.kept()) == 1


def test_an_id_that_comes_back_with_other_results_is_refused(agent: Agent) -> None:
    agent.send("b-1", a_result())
    other = agent.send("b-1", a_result(status="CRITICAL"))
    assert other.status_code == 409
    assert "use a new id" in other.json()["error"]
    assert [r.status for r in agent.kept()] == ["OK"]


def test_results_out_of_order_and_late_are_taken(agent: Agent) -> None:
    assert agent.send("b-1", a_result(5), a_result(90), a_result(60 * 24 * 40)).status_code == 201
    assert len(agent.kept()) == 3


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ({"at": format_instant(NOW + timedelta(hours=1))}, 422, "results.1.at: lies in the future"),
        ({"at": "1970-01-01T00:03:00Z"}, 422, "results.1.at: lies more than a year back"),
        ({"service": "SRM"}, 422, "results.1: the registry knows no service ITB-CONDOR-CE/SRM"),
        ({"resource": "nobody-s"}, 422, "knows no service nobody-s/CE"),
        ({"status": "DOWNTIME"}, 422, "must be one of"),
        ({"status": "FINE"}, 422, "Input should be"),
        ({"at": "2026-11-01T00:00:00"}, 422, "timezone"),
        ({"outcome": "timeout"}, 422, "must be UNKNOWN"),
        ({"metric": "rm -rf /"}, 422, "pattern"),
        ({"summary": "a\x00b"}, 422, "pattern"),
        ({"password": "x"}, 422, "Extra inputs"),
        ({"duration_seconds": -1}, 422, "greater than or equal"),
    ],
)
def test_one_bad_result_refuses_the_batch_and_names_the_place(
    agent: Agent, fault: dict[str, Any], code: int, words: str
) -> None:
    answer = agent.send("b-1", a_result(1), a_result() | fault)
    assert answer.status_code == code
    assert words in answer.json()["error"] + answer.json()["where"]
    assert "Traceback" not in answer.text
    assert agent.kept() == []


def test_a_body_that_is_no_json_and_one_that_is_too_large_are_refused(agent: Agent) -> None:
    headers = {"Authorization": f"Bearer {agent.token}"}
    assert agent.client.post("/api/results", content=b"{", headers=headers).status_code == 400
    assert (
        agent.client.post("/api/results", content=b"x" * (MAX_BODY + 1), headers=headers).status_code == 413
    )
    packed = headers | {"Content-Encoding": "gzip"}
    assert agent.client.post("/api/results", content=b"x", headers=packed).status_code == 415


def test_only_a_token_with_the_right_may_send(agent: Agent) -> None:
    assert agent.client.post("/api/results", json={}).status_code == 401
    assert agent.send("b-1", a_result(), token="goc_guess").status_code == 401
    assert agent.send("b-1", a_result(), token=agent.reader).status_code == 403
    with agent.house.database.begin() as conn:
        revoke_token(conn, "agent-1", who="test", why="lost")
    assert agent.send("b-1", a_result()).status_code == 401
    assert agent.kept() == []


def test_agents_that_send_at_once_are_all_kept(
    agent: Agent, together: Callable[[int, Callable[[int], object]], list[object]]
) -> None:
    answers = together(6, lambda n: agent.send(f"b-{n % 3}", a_result(n % 3)).status_code)
    # Three batches, each sent twice at the same moment.
    assert sorted(answers) == [200, 200, 200, 201, 201, 201]  # type: ignore[type-var]
    assert len(agent.kept()) == 3


def test_what_an_agent_sends_counts_in_availability(agent: Agent) -> None:
    from opengoc.monitoring import circumstances
    from opengoc.monitoring.assess import assess
    from opengoc.monitoring.availability import availability
    from opengoc.monitoring.profile import RSV_OSG

    agent.send("b-1", a_result(120, status="CRITICAL"), a_result(60))
    window = Interval(NOW - timedelta(minutes=120), datetime.now(UTC))
    with agent.house.database.read() as conn:
        known = circumstances.read(conn, window=window)
    end = window.end
    assert end is not None
    found = assess(agent.house.lake, known, window=window, profile=RSV_OSG, as_of=end, site="ITB-CONDOR")
    ratio = availability(found.sites["ITB-CONDOR"], RSV_OSG)
    assert ratio.total_seconds - ratio.up_seconds == 3600
