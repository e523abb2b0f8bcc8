"""``goc report`` from outside: a home, the command, what it prints and how it ends."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from tests import command

pytestmark = pytest.mark.acceptance

REGISTRY = Path(__file__).parents[1] / "data/registry/example"
WEEK = "2026-W46"


class Inbox(Message):  # type: ignore[misc]
    """Keeps the mails it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.subjects: list[str] = []

    def handle_message(self, message: Any) -> None:
        self.subjects.append(message["Subject"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Goc:
    """The command in one home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return command.goc(self.home, *words, environment={"GOC_WHO": "production coordinator"})

    def json(self, *words: str) -> Any:
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def inbox() -> Iterator[tuple[Inbox, int]]:
    """An SMTP server and its port."""
    got = Inbox()
    controller = Controller(got, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield got, controller.port
    controller.stop()


@pytest.fixture(scope="module")
def goc(tmp_path_factory: pytest.TempPathFactory, inbox: tuple[Inbox, int]) -> Goc:
    """A home with a registry, a mail server and nothing else; its reports are full of reasons."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(REGISTRY, home / "registry")
    (home / "goc.toml").write_text(
        f'[mail]\nsmtp = "127.0.0.1:{inbox[1]}"\nsender = "report@goc.example.org"\n'
        'recipients = ["production@grid.example.org"]\n'
    )
    made = Goc(home)
    assert made("registry", "import", str(home / "registry")).returncode == 0
    return made


@pytest.mark.parametrize(
    ("form", "begins", "holds"),
    [
        ("text", "Production report, week 2026-W46\n====", "¹ no source of payload records"),
        (
            "markdown",
            "# Production report, week 2026-W46\n",
            "| Jobs | missing ¹ |",
        ),
        (
            "twiki",
            "---+ Production report, week 2026-W46\n",
            "| Jobs |  missing ¹ |",
        ),
        ("html", "<!DOCTYPE html>", "missing: no source of pilot records"),
        ("json", "{", '"reason": "no source of pilot records"'),
    ],
)
def test_every_format_is_written_to_standard_output_or_a_file(
    goc: Goc, form: str, begins: str, holds: str
) -> None:
    printed = goc("report", "weekly", "--week", WEEK, "--format", form)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.startswith(begins)
    assert holds in printed.stdout
    file = goc.home / f"report.{form}"
    written = goc("report", "weekly", "--week", WEEK, "--format", form, "--output", str(file))
    assert (written.returncode, written.stdout) == (0, "")
    assert holds in file.read_text()


def test_all_formats_are_written_in_one_go(goc: Goc) -> None:
    folder = goc.home / "reports" / "new"
    done = goc("report", "weekly", "--week", WEEK, "--format", "all", "--output", str(folder))
    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(file.name for file in folder.iterdir()) == [
        f"weekly-{WEEK}.{suffix}" for suffix in ("html", "json", "md", "twiki", "txt")
    ]
    assert str(folder / f"weekly-{WEEK}.html") in done.stderr
    assert (folder / f"weekly-{WEEK}.txt").read_text().startswith("Production report")


def test_some_formats_are_written_into_a_folder(goc: Goc) -> None:
    folder = goc.home / "reports" / "some"
    words = ("report", "weekly", "--week", WEEK, "--format", "text", "--format", "html")
    assert goc(*words, "--output", str(folder)).returncode == 0
    assert (
        goc("report", "weekly", "--week", WEEK, "--format", "json", "--output", str(folder)).returncode == 0
    )
    assert sorted(file.suffix for file in folder.iterdir()) == [".html", ".json", ".txt"]


def test_json_is_for_programs(goc: Goc) -> None:
    report = goc.json("report", "weekly", "--week", WEEK)
    assert (report["week"], report["revision"], report["week_is_over"]) == (WEEK, 0, True)
    states = {figure["state"] for figure in report["figures"]}
    assert states == {"missing"}


def test_publish_note_and_revisions(goc: Goc) -> None:
    first = goc.json("report", "publish", "--week", "2026-W40")
    assert (first["revision"], first["new"]) == (1, True)
    assert goc.json("report", "publish", "--week", "2026-W40")["new"] is False
    note = goc.json("report", "note", "add", "Ask <b>LIGO</b>.", "--section", "vo-ligo", "--week", "2026-W40")
    assert note["who"] == "production coordinator"
    assert goc.json("report", "publish", "--week", "2026-W40")["revision"] == 2
    old = goc("report", "weekly", "--week", "2026-W40", "--revision", "1").stdout
    new = goc("report", "weekly", "--week", "2026-W40").stdout
    assert "revision 1" in old
    assert "Ask" not in old
    assert "revision 2" in new
    assert "* Ask <b>LIGO</b>. (production coordinator," in new
    assert goc("report", "note", "withdraw", note["id"], "--why", "answered").returncode == 0
    assert goc.json("report", "note", "list", "--week", "2026-W40") == []


def test_mail_is_sent_once_and_its_state_is_known(goc: Goc, inbox: tuple[Inbox, int]) -> None:
    sent = goc.json(
        "report", "mail", "--week", WEEK, "--to", "a@grid.example.org", "--to", "b@grid.example.org"
    )
    assert {d["recipient"]: d["state"] for d in sent["deliveries"]} == {
        "a@grid.example.org": "sent",
        "b@grid.example.org": "sent",
    }
    assert goc("report", "mail", "--week", WEEK, "--to", "a@grid.example.org").returncode == 0
    assert inbox[0].subjects == ["Production report, week 2026-W46, revision 1"] * 2


def test_a_report_that_nobody_got_is_an_alarm(goc: Goc) -> None:
    assert goc("report", "publish", "--week", "2026-W47").returncode == 0
    done = goc("report", "deliveries")
    assert done.returncode == 1
    assert "report 2026-W47 revision 1 was never mailed to production@grid.example.org" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("weekly", "--week", "2026-W54"), 3, "must be an ISO week such as 2026-W47"),
        (("weekly", "--week", WEEK, "--revision", "9"), 3, "is no published revision of 2026-W46"),
        (("weekly", "--format", "pdf"), 2, "is not one of"),
        (("weekly", "--format", "all"), 2, "several formats need --output FOLDER"),
        (("weekly", "--revision", "1", "--as-of", "2026-11-17"), 2, "exclude each other"),
        (("note", "add", "Text.", "--section", "nowhere"), 3, "must be one of overview, actions, attendance"),
        (("publish", "--week", "2099-W10"), 3, "2099-W10': has not begun"),
        (("mail", "--week", "2099-W10"), 3, "2099-W10': has not begun"),
        (("mail", "--week", WEEK, "--to", "nobody"), 3, "must be a plain address"),
        (
            ("weekly", "--week", WEEK, "--output", "/nonexistent/report"),
            1,
            "cannot write /nonexistent/report",
        ),
    ],
)
def test_what_is_wrong_is_said(goc: Goc, words: tuple[str, ...], code: int, said: str) -> None:
    done = goc("report", *words)
    assert done.returncode == code
    assert said in " ".join(done.stderr.split())
