"""Sending usage records over HTTP: each batch stored once, nothing lost while the receiver is away."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from bench.records import jobs, json_line
from fastapi.testclient import TestClient

from opengoc.accounting.sending import Spool
from opengoc.app import House
from opengoc.base.errors import Temporary
from opengoc.store.hold import hold
from opengoc.web.server import create_app

TOKEN = "a-token-of-one-source-only"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
LINES = "".join(json_line(job) for job in jobs(50)).encode()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").write_text(TOKEN + "\n")
    (home / "goc.toml").write_text('[[received]]\nname = "site-a"\ntoken_file = "token"\nsite = "SITE-A"\n')
    house = House(home)
    yield house
    house.close()


@pytest.fixture
def client(house: House) -> TestClient:
    return TestClient(create_app(house))


def post(client: TestClient, body: bytes = LINES, batch: str = "b-1", **headers: str):  # type: ignore[no-untyped-def]
    return client.post(
        "/accounting/batches", content=body, headers={**HEADERS, "Goc-Batch": batch, **headers}
    )


def test_a_batch_is_stored_once_however_often_it_is_sent(client: TestClient) -> None:
    first = post(client)
    assert (first.status_code, first.json()["stored"], first.json()["again"]) == (200, 50, False)
    assert post(client).json() == {**first.json(), "again": True}
    other = post(client, batch="b-2").json()
    assert (other["stored"], other["duplicate"]) == (0, 50)


def test_what_is_no_record_is_quarantined_and_the_rest_is_stored(client: TestClient) -> None:
    answer = post(client, LINES + b'{"global_job_id": "x"}\n').json()
    assert (answer["read"], answer["stored"], answer["quarantined"]) == (51, 50, 1)


def test_another_content_under_the_same_id_is_a_conflict(client: TestClient) -> None:
    post(client)
    assert post(client, LINES[: LINES.index(b"\n") + 1]).status_code == 409


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Bearer "])
def test_only_a_known_token_sends(client: TestClient, header: str) -> None:
    assert post(client, Authorization=header).status_code == 401


def test_packed_bodies_are_unpacked_and_damaged_ones_refused(client: TestClient) -> None:
    packed = gzip.compress(LINES)
    assert post(client, packed, **{"Content-Encoding": "gzip"}).json()["stored"] == 50
    assert post(client, packed[:-20], batch="b-2", **{"Content-Encoding": "gzip"}).status_code == 400
    assert post(client, packed, batch="b-3", **{"Content-Encoding": "br"}).status_code == 400


def test_a_bomb_and_a_flood_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opengoc.web.accounting.MOST_PLAIN", 100_000)
    bomb = gzip.compress(b"\0" * 10_000_000)
    assert post(client, bomb, **{"Content-Encoding": "gzip"}).status_code == 413
    monkeypatch.setattr("opengoc.web.accounting.MOST_PACKED", 1_000)
    assert post(client).status_code == 413


def test_a_batch_without_an_id_is_refused(client: TestClient) -> None:
    assert post(client, batch="").status_code == 400


def test_while_somebody_else_collects_the_sender_is_told_when_to_come_again(
    client: TestClient, house: House
) -> None:
    with hold(house.home, "accounting"):
        answer = post(client)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert post(client).json()["stored"] == 50


@contextmanager
def served(house: House, port: int) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(create_app(house), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield
    server.should_exit = True
    thread.join()


def test_batches_wait_in_the_spool_until_the_receiver_answers(house: House, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/accounting/batches"
    path = tmp_path / "records.jsonl"
    path.write_bytes(LINES)
    spool = Spool(tmp_path / "spool")
    spool.put(path)
    away = spool.deliver(url, TOKEN)
    assert (away.waiting, away.receipts) == (1, [])
    assert "does not answer" in away.reason
    with served(house, port):
        sent = spool.deliver(url, TOKEN)
        assert [receipt["stored"] for receipt in sent.receipts] == [50]
        assert spool.waiting() == []
        spool.put(path)
        refused = spool.deliver(url, "some-other-token-that-is-not-known")
    assert list(refused.refused.values()) == [refused.refused[spool.waiting()[0].name.split(".")[0]]]
    assert len(spool.waiting()) == 1


def test_a_full_spool_refuses_new_work_and_drops_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", most_bytes=4_000)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(LINES)
    second.write_bytes(json.dumps(list(range(5_000))).encode())
    spool.put(first)
    with pytest.raises(Temporary, match="is full"):
        spool.put(second)
    assert len(spool.waiting()) == 1
