"""The command itself: what it says of itself, and how it answers what it cannot do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.command import goc

from opengoc.cli.main import NOUNS

pytestmark = pytest.mark.acceptance


def test_help_names_every_noun_without_importing_one(tmp_path: Path) -> None:
    program = (
        "import sys; from opengoc.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('duckdb', 'htcondor', 'deltalake', 'fastapi')\n"
        "assert not [name for name in sys.modules if name.startswith(heavy)]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(noun in done.stdout for noun in NOUNS)


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_every_noun_explains_itself(noun: str, tmp_path: Path) -> None:
    done = goc(tmp_path, noun, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: goc" in done.stdout
    assert "completion" not in done.stdout


def test_an_unknown_noun_is_a_usage_error(tmp_path: Path) -> None:
    assert goc(tmp_path, "frobnicate").returncode == 2


def test_settings_with_faults_are_refused_with_every_fault(tmp_path: Path) -> None:
    (tmp_path / "goc.toml").write_text(
        'nome = "x"\n[[pools]]\nname = "a pool"\ncollector = "c"\nschedds = []\ntoken_directory = "t"\n'
    )
    done = goc(tmp_path, "config", "check")
    assert done.returncode == 3
    for fault in ("nome: is not a known key", "pools.0.name", "pools.0.schedds"):
        assert fault in done.stderr


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("[probes]\ninterval_seconds = inf", "probes.interval_seconds"),
        ("[probes]\ntimeout_seconds = 1e300", "probes.timeout_seconds"),
        ('[store]\nurl = "mysql://goc@db/goc"', "store.url"),
        (
            '[[accounting]]\nname = "a"\nkind = "condor-live"\npool = "a-pool"\nschedd = "s"\n'
            'records = "payload"',
            "accounting.pool: 'a-pool' of a is none of the pools",
        ),
    ],
)
def test_settings_that_no_command_could_use_are_faults(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "goc.toml").write_text(line)
    done = goc(tmp_path, "config", "check")
    assert done.returncode == 3
    assert fault in done.stderr


def test_settings_that_are_no_toml_name_the_line(tmp_path: Path) -> None:
    (tmp_path / "goc.toml").write_text("name = \n")
    done = goc(tmp_path, "config", "check")
    assert done.returncode == 3
    assert "line 1" in done.stderr


def test_a_home_whose_role_another_process_holds_is_refused_by_name(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from opengoc.store.hold import hold\n"
            "with hold(Path(sys.argv[1]), 'demo'): print('held', flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        refused = goc(tmp_path, "demo")
        assert refused.returncode == 4
        assert str(holder.pid) in refused.stderr
    finally:
        holder.kill()
        holder.wait()
    # The kernel let go of the lock with its holder: nothing has to be cleaned up by hand.
    assert "held by" not in goc(tmp_path, "demo", "--stop").stderr


def test_a_home_on_a_file_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    done = goc(tmp_path / "home", "registry", "show")
    assert done.returncode == 1
    assert "cannot make the home" in done.stderr


def test_a_home_on_a_file_is_no_crash_of_commands_that_ask_no_database(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    done = goc(tmp_path / "home", "factory", "status")
    assert done.returncode == 1
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["probe", "list"], ["registry", "show", "--json"]])
def test_a_full_disk_behind_standard_output_is_told(tmp_path: Path, words: list[str]) -> None:
    program = "from opengoc.cli.main import run; run()"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "--home", str(tmp_path), *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 4
    assert "No space left on device; free some space" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_from_a_home_that_was_not_there_says_so(tmp_path: Path) -> None:
    asked = goc(tmp_path / "hmoe", "downtime", "list")
    assert asked.returncode == 0
    assert "hmoe was not there and was made" in asked.stderr
    assert goc(tmp_path / "hmoe", "downtime", "list").stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        # Of a variable of a script that is not set.
        (["report", "publish", "--week", ""], "must be an ISO week"),
        (["report", "mail", "--week", ""], "must be an ISO week"),
        (["serve", "--host", ""], "must be an address"),
        (["report", "deliveries", "--week", "2026-W54"], "must be an ISO week"),
        (["accounting", "send", "--to", "http://[::1", "--token-file", "token"], "address of a receiver"),
        (["accounting", "send", "--to", "http://a:99999/", "--token-file", "token"], "address of a receiver"),
        (["accounting", "send", "--to", "http://a/", "--token-file", "token"], "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "goc.toml").write_text('[mail]\nsender = "a@example.org"\nrecipients = ["b@example.org"]\n')
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    done = goc(tmp_path, *[str(tmp_path / "token") if word == "token" else word for word in words])
    assert done.returncode == 3
    assert said in done.stderr


def test_days_beyond_the_calendar_are_a_usage_error(tmp_path: Path) -> None:
    assert goc(tmp_path, "accounting", "vacuum", "--older-than-days", "9" * 20, "--dry-run").returncode == 2


def test_a_terminal_of_few_letters_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "goc.toml").write_text('name = "Łódź – Grid"\n')
    program = "from opengoc.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--home", str(tmp_path), "config", "check", "--json"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("latin-1"))["name"] == "Łódź – Grid"


def test_an_argument_that_is_no_text_is_refused(tmp_path: Path) -> None:
    done = goc(tmp_path, "registry", "accesses", "M\udcfcller")
    assert done.returncode == 3
    assert "must be UTF-8" in done.stderr


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = goc(tmp_path / "home", "accounting", "export", "--week", "2026-W40", str(pipe))
    assert done.returncode == 3
    assert "must be a plain file" in done.stderr
    assert pipe.is_fifo()


def test_a_file_behind_a_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    link = tmp_path / "latest.json"
    link.symlink_to(tmp_path / "records.json")
    assert goc(tmp_path / "home", "accounting", "export", "--week", "2026-W40", str(link)).returncode == 0
    assert link.is_symlink()
    assert (tmp_path / "records.json").is_file()


def test_the_command_answers_quickly(tmp_path: Path) -> None:
    began = time.monotonic()
    assert json.loads(goc(tmp_path, "config", "check", "--json").stdout)["name"] == "OpenGOC"
    assert time.monotonic() - began < 60
