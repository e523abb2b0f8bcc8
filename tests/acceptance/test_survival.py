"""Everything that can be killed is killed while real jobs run; then every job has run, and counts once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.acceptance.demo_run import processes_of
from tests.command import answer, goc

from opengoc.base.instant import utc_now
from opengoc.base.interval import week_name

pytestmark = [pytest.mark.acceptance, pytest.mark.integration]

JOBS = 16


@pytest.fixture
def home() -> Iterator[Path]:
    """A testbed of its own with 16 jobs of two VOs in the queue."""
    with tempfile.TemporaryDirectory(prefix="goc-", dir="/tmp") as folder:
        home = Path(folder) / "h"
        try:
            for words in (
                ("testbed", "up"),
                ("registry", "import", str(home / "registry")),
                ("factory", "apply"),
                ("testbed", "submit", "--jobs", str(JOBS)),
            ):
                done = goc(home, *words)
                assert done.returncode == 0, done.stderr
            yield home
        finally:
            down = goc(home, "testbed", "down")
            left = processes_of(home)
            assert down.returncode == 0, down.stderr
            assert not left, f"processes are left after down: {left}"


def start(home: Path, *words: str) -> subprocess.Popen[bytes]:
    """A command that goes on by itself; its messages go to a file in the home."""
    with (home / f"{words[0]}.log").open("ab") as log:
        command = [sys.executable, "-m", "opengoc", "--home", str(home), *words]
        return subprocess.Popen(command, stdout=log, stderr=log)


def wait_until(what: str, seconds: float, happened: Callable[[], bool]) -> None:
    """Look every second until it has happened; fail in words when it does not."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s"
        time.sleep(1)


def running_pilots(home: Path, entry: str) -> int:
    """Pilots of an entry that run, as of the factory's last cycle; 0 before the first."""
    if not (home / "factory" / "status.json").exists():
        return 0
    rows = answer(home, "factory", "status")["rows"]
    return sum(row["running"] for row in rows if row["entry"].startswith(entry))


def fault(home: Path, *words: str) -> None:
    done = goc(home, "testbed", "fault", *words)
    assert done.returncode == 0, done.stderr


def test_all_jobs_finish_and_count_once_whatever_is_killed(home: Path) -> None:
    factory = start(home, "factory", "run", "--until-done")
    wait_until("pilots run at both sites", 180, lambda: all(
        running_pilots(home, entry) for entry in ("ITB-CONDOR", "ITB-SLURM")
    ))  # fmt: skip

    factory.kill()
    factory.wait()
    fault(home, "kill-schedd", "site-condor")
    fault(home, "kill-node", "site-slurm", "--node", "wn1", "--down-seconds", "5")
    for _ in range(4):
        # Killed at whatever line it has come to.
        reader = start(home, "accounting", "collect")
        time.sleep(1.2)
        reader.kill()
        reader.wait()

    factory = start(home, "factory", "run", "--until-done")
    assert factory.wait(timeout=540) == 0, (home / "factory.log").read_text()[-2000:]

    collected = goc(home, "accounting", "collect")
    assert collected.returncode == 0, collected.stderr
    week = week_name(utc_now())
    by_vo = answer(home, "accounting", "usage", "--week", week, "--by", "vo", "--kind", "payload")["rows"]
    assert {row["vo"]: row["jobs"] for row in by_vo} == {"cms": JOBS // 2, "ligo": JOBS // 2}
    pilots = answer(home, "accounting", "usage", "--week", week, "--by", "site", "--kind", "pilot")["rows"]
    assert all(row["wall_hours"] > 0 for row in pilots)
    assert {row["site"] for row in pilots} == {"ITB-CONDOR", "ITB-SLURM"}
    assert answer(home, "factory", "status")["pilots"] == 0

    again = goc(home, "accounting", "collect")
    assert again.returncode == 0
    assert (
        answer(home, "accounting", "usage", "--week", week, "--by", "vo", "--kind", "payload")["rows"]
        == by_vo
    )
