"""The chores of a serving process, on real stores and a real mail server that counts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from opengoc.app import House
from opengoc.store import ledger
from opengoc.web.upkeep import Upkeep

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Inbox(Message):
    """Keeps what arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.subjects: list[str] = []

    def handle_message(self, message: object) -> None:
        self.subjects.append(str(message["Subject"]))  # type: ignore[index]


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    keeper = Inbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(keeper, hostname="127.0.0.1", port=port)
    controller.start()
    yield keeper, port
    controller.stop()


def test_a_mail_that_is_due_is_sent_once(tmp_path: Path, inbox: tuple[Inbox, int]) -> None:
    keeper, port = inbox
    (tmp_path / "goc.toml").write_text(f'[mail]\nsmtp = "127.0.0.1:{port}"\nsender = "goc@example.org"\n')
    house = House(tmp_path)
    payload = {
        "week": "2026-W46",
        "revision": 1,
        "recipient": "coordinator@example.org",
        "sender": "goc@example.org",
        "subject": "Production report",
        "text": "30 jobs",
        "html": "<p>30 jobs</p>",
    }
    with house.database.begin() as conn:
        ledger.owe(conn, kind="report-mail", key="2026-W46/1/x/coordinator@example.org", payload=payload)
    upkeep = Upkeep(house)
    upkeep.once(NOON)
    upkeep.once(NOON)
    assert keeper.subjects == ["Production report"]
    house.close()


def test_small_files_are_joined_once_a_day_and_nothing_is_lost(tmp_path: Path) -> None:
    house = House(tmp_path)
    for number in range(5):
        house.lake.append("numbers", pyarrow.table({"n": [number]}), batch_id=f"b{number}")
    upkeep = Upkeep(house)
    upkeep.once(NOON)
    joined = house.lake.version("numbers")
    assert joined is not None
    upkeep.once(NOON + timedelta(hours=1))
    assert house.lake.version("numbers") == joined
    upkeep.once(NOON + timedelta(days=1))
    total = house.lake.query("SELECT sum(n) AS total FROM numbers", tables=["numbers"]).to_pylist()
    assert total == [{"total": 10}]
    house.close()
