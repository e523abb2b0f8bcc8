"""Sending usage records over HTTP: each batch stored once, nothing lost while the receiver is away."""

from __future__ import annotations

import gzip
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import uvicorn
from bench.records import jobs, json_line
from fastapi.testclient import TestClient
from tests.command import goc

from opengoc.accounting import quarantine
from opengoc.accounting.expected import Expectation, expect
from opengoc.accounting.gaps import Gap, What
from opengoc.accounting.model import Kind
from opengoc.accounting.sending import Spool
from opengoc.accounting.usage import Question, usage
from opengoc.app import House
from opengoc.base.errors import Temporary
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.flows.completeness import look
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


def test_a_source_sends_for_its_own_sites_and_batch_systems_alone_where_the_settings_name_them(
    client: TestClient, house: House
) -> None:
    one = json.loads(lines(0, 1))
    (house.home / "other").write_text(other := "a-token-of-the-other-source")
    with (house.home / "goc.toml").open("a") as settings:
        settings.write(
            '[[received]]\nname = "b"\ntoken_file = "other"\nsites = ["SITE-B"]\ninstances = ["ce-b"]\n'
        )
    with TestClient(create_app(House(house.home))) as strict:
        sent = [
            {"site": "SITE-B", "instance": "ce-b"},
            {"site": "SITE-B"},
            {"instance": "ce-b"},
            {"site": None},
        ]
        body = "".join(json.dumps({**one, "wall_seconds": 7, **each}) + "\n" for each in sent).encode()
        assert post(client, lines(0, 1)).json()["stored"] == 1
        answer = post(strict, body, batch="b-2", Authorization=f"Bearer {other}").json()
    assert (answer["stored"], answer["restated"], answer["quarantined"]) == (1, 0, 3)
    with house.database.read() as conn:
        reasons = [each.reason for each in quarantine.standing(conn)]
    assert sorted(reasons) == [
        "7000000 instance: 'ce1.site01.example.org': b speaks for ce-b alone",
        "7000000 site: 'SITE-01': b speaks for SITE-B alone",
        "7000000 site: None: b speaks for SITE-B alone",
    ]
    # What it may send is said in the settings, now as then: a slip there is mended and the rest comes in.
    text = (house.home / "goc.toml").read_text()
    (house.home / "goc.toml").write_text(text.replace('"ce-b"]', '"ce-b", "ce1.site01.example.org"]'))
    done = goc(house.home, "accounting", "quarantine", "retry", "--json")
    assert json.loads(done.stdout) == {"resolved": 1, "stored": 1, "remaining": 2}


def test_another_content_under_the_same_id_is_a_conflict(client: TestClient) -> None:
    post(client)
    assert post(client, LINES[: LINES.index(b"\n") + 1]).status_code == 409


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Bearer "])
def test_only_a_known_token_sends(client: TestClient, header: str) -> None:
    assert post(client, Authorization=header).status_code == 401


def test_senders_wait_while_the_tokens_of_the_receiver_are_damaged(client: TestClient, house: House) -> None:
    (house.home / "token").write_text("short\n")
    assert post(client).status_code == 503
    (house.home / "token").unlink()
    assert client.post("/accounting/heartbeats", json={}, headers=HEADERS).status_code == 503
    (house.home / "token").write_text(TOKEN)
    assert post(client).json()["stored"] == 50


def test_packed_bodies_are_unpacked_and_damaged_ones_refused(client: TestClient) -> None:
    packed = gzip.compress(LINES)
    assert post(client, packed, **{"Content-Encoding": "gzip"}).json()["stored"] == 50
    assert post(client, packed[:-20], batch="b-2", **{"Content-Encoding": "gzip"}).status_code == 400
    assert post(client, packed, batch="b-3", **{"Content-Encoding": "br"}).status_code == 400


def test_packed_bodies_that_were_joined_are_read_to_their_end(client: TestClient) -> None:
    joined = b"".join(gzip.compress(lines(start, 10)) for start in (0, 10, 20)) + b"\0" * 100
    assert post(client, joined, **{"Content-Encoding": "gzip"}).json()["stored"] == 30
    cut, junk = gzip.compress(lines(30, 10))[:-9], gzip.compress(lines(30, 10)) + b"no packing"
    flood = gzip.compress(b"") * 1_000
    for batch, body in (("b-2", joined + cut), ("b-3", junk), ("b-4", flood)):
        assert post(client, body, batch=batch, **{"Content-Encoding": "gzip"}).status_code == 400


def test_what_no_batch_is_read_from_is_refused_and_the_sender_unpacks(
    client: TestClient, tmp_path: Path
) -> None:
    columns = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"global_job_id": ["1"]}), columns)
    for batch, body in (("b-1", gzip.compress(LINES)), ("b-2", columns.getvalue())):
        assert post(client, body, batch=batch).status_code == 400
    spool = Spool(tmp_path / "spool")
    for name, content in (("packed", gzip.compress(LINES)), ("plain", LINES)):
        (tmp_path / name).write_bytes(content)
        spool.put(tmp_path / name)
    (waiting,) = spool.waiting()
    assert post(client, waiting.read_bytes(), **{"Content-Encoding": "zstd"}).json()["stored"] == 50


@pytest.mark.parametrize("huge", [{"jobs": 2**63 - 1}, {"bytes": 2**63 - 1}])
def test_no_record_makes_the_sums_of_others_overflow(
    client: TestClient, house: House, huge: dict[str, int]
) -> None:
    one = json.loads(lines(0, 1))
    strange = [{**one, "global_job_id": f"x{n}", **huge} for n in range(2)]
    body = b"".join(json.dumps(each).encode() + b"\n" for each in strange)
    answer = post(client, LINES + body).json()
    assert (answer["stored"], answer["quarantined"]) == (50, 2)
    ended = Interval(datetime(2020, 1, 1, tzinfo=UTC), utc_now())
    (row,) = usage(house.lake, Question(window=ended, by=(), kind=Kind.BATCH, as_of=utc_now())).rows
    assert row.jobs == 50


def test_a_bomb_and_a_flood_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opengoc.web.accounting.MOST_PLAIN", 100_000)
    bomb = gzip.compress(b"\0" * 10_000_000)
    assert post(client, bomb, **{"Content-Encoding": "gzip"}).status_code == 413
    monkeypatch.setattr("opengoc.web.accounting.MOST_PACKED", 1_000)
    assert post(client).status_code == 413


def lines(start: int, count: int) -> bytes:
    return b"".join(LINES.splitlines(keepends=True)[start : start + count])


def gaps_of(house: House) -> list[Gap]:
    as_of = utc_now()
    start = datetime(2020, 1, 1, tzinfo=UTC)
    looked = look(house.database, house.lake, (), window=Interval(start, as_of), as_of=as_of)
    return list(looked.gaps)


@pytest.fixture
def expecting(house: House) -> House:
    """The house, which expects the source since long, and minds a silence of an hour."""
    wanted = Expectation(
        source="site-a",
        records=Kind.BATCH,
        site="SITE-A",
        interval=Interval(datetime(2020, 1, 1, tzinfo=UTC)),
        silent_hours=1.0,
    )
    with house.database.begin() as conn:
        expect(conn, wanted, who="operator", why="test")
    return house


def test_a_batch_number_that_never_came_is_a_gap_until_it_comes(client: TestClient, expecting: House) -> None:
    for number in (1, 2, 5):
        body = lines(10 * (number - 1), 10)
        answer = post(client, body, batch=f"b-{number}", **{"Goc-Sequence": f"s/{number}"})
        assert answer.json()["stored"] == 10
    assert "batches 3 to 4 never came" in [gap.reason for gap in gaps_of(expecting)]
    post(client, lines(20, 10), batch="b-3", **{"Goc-Sequence": "s/3"})
    assert "batch 4 never came" in [gap.reason for gap in gaps_of(expecting)]
    # Sent again under a number of its own: the number came, its records are duplicates.
    post(client, lines(20, 10), batch="b-3", **{"Goc-Sequence": "s/4"})
    assert What.SEQUENCE not in {gap.what for gap in gaps_of(expecting)}
    assert post(client, batch="b-9", **{"Goc-Sequence": "s/x"}).status_code == 400


def test_a_spool_that_was_put_back_from_an_older_copy_is_a_gap(
    client: TestClient, expecting: House, tmp_path: Path
) -> None:
    def send(number: int) -> None:
        named = {**HEADERS, "Goc-Batch": f"b-{number}", "Goc-Sequence": numbers[number]}
        answer = client.post("/accounting/batches", content=lines(number, 1), headers=named)
        assert answer.status_code == 200

    numbers = {1: "s/1", 2: "s/2", 3: "s/3", 4: "s/2"}
    for number in (1, 2, 3, 3, 1):
        send(number)
    assert What.SEQUENCE not in {gap.what for gap in gaps_of(expecting)}
    send(4)
    (gap,) = (gap for gap in gaps_of(expecting) if gap.what is What.SEQUENCE)
    assert "went back from 3 to 2" in gap.reason


def test_a_heartbeat_says_that_silence_is_no_gap_and_a_failed_run_that_it_is(
    client: TestClient, expecting: House
) -> None:
    assert [gap.what for gap in gaps_of(expecting)] == [What.SILENT]

    def beat(**said: object):  # type: ignore[no-untyped-def]
        return client.post("/accounting/heartbeats", json=said, headers=HEADERS)

    assert beat().status_code == 200
    assert gaps_of(expecting) == []
    failed = {"since": "2026-01-01T00:00:00Z", "through": "2026-01-02T00:00:00Z", "outcome": "timeout"}
    assert beat(**failed, backlog=3).status_code == 200
    (gap,) = gaps_of(expecting)
    assert (gap.what, gap.evidence["backlog"]) == (What.RUN, 3)
    assert beat(**{**failed, "outcome": "ok"}).status_code == 200
    assert gaps_of(expecting) == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"outcome": "timeout"}, 400),
        ({"through": "2126-01-01T00:00:00Z"}, 400),
        ({"through": "2026-01-01T00:00:00"}, 422),
        ({"backlog": -1}, 422),
        ({"unknown": 1}, 422),
    ],
)
def test_a_heartbeat_that_means_nothing_is_refused(
    client: TestClient, said: dict[str, object], code: int
) -> None:
    assert client.post("/accounting/heartbeats", json=said, headers=HEADERS).status_code == code
    assert client.post("/accounting/heartbeats", json={}).status_code == 401


def test_numbers_of_a_spool_go_on_whatever_is_removed_from_it(tmp_path: Path) -> None:
    def numbers() -> list[str]:
        return [path.name[:12] for path in spool.waiting()]

    spool, path = Spool(tmp_path / "spool"), tmp_path / "records"
    for n in range(3):
        path.write_bytes(lines(n, 1))
        spool.put(path)
        spool.put(path)
    assert numbers() == ["000000000001", "000000000002", "000000000003"]
    spool.waiting()[2].unlink()
    path.write_bytes(lines(9, 1))
    Spool(tmp_path / "spool").put(path)
    assert numbers() == ["000000000001", "000000000002", "000000000004"]


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


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(house: House, port: int) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(create_app(house), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def stalled(port: int) -> socket.socket:
    """A sender that tells of a body and goes away without a word after a few bytes of it."""
    sender = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = f"Authorization: Bearer {TOKEN}\r\nGoc-Batch: stalled\r\nTransfer-Encoding: chunked\r\n"
    sender.sendall(f"POST /accounting/batches HTTP/1.1\r\nHost: x\r\n{head}\r\n5\r\nhello\r\n".encode())
    return sender


def test_senders_that_stop_in_the_middle_keep_nobody_out_and_leave_nothing(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opengoc.web.accounting._STALLED_SECONDS", 1.0)
    port = free_port()
    (path := tmp_path / "records").write_bytes(LINES)
    (spool := Spool(tmp_path / "spool")).put(path)
    with served(house, port):
        senders = [stalled(port) for _ in range(5)]
        answers = {sender.recv(12).decode() for sender in senders}
        assert answers <= {"HTTP/1.1 408", "HTTP/1.1 429"} and "HTTP/1.1 408" in answers
        stalled(port).close()
        sent = spool.deliver(f"http://127.0.0.1:{port}/accounting/batches", TOKEN)
    for sender in senders:
        sender.close()
    assert [receipt["stored"] for receipt in sent.receipts] == [50]


def test_batches_wait_in_the_spool_until_the_receiver_answers(house: House, tmp_path: Path) -> None:
    port = free_port()
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
    assert list(refused.refused.values()) == [
        refused.refused[spool.waiting()[0].name.split(".")[0].split("-")[1]]
    ]
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
