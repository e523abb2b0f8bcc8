"""Two factories on a real grid that run one bundle and share an entry's limit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_factory_run import payloads, queue_jobs, session
from tests.integration.testbed_grid import Grid, wait_for

from opengoc.app import House
from opengoc.cli.factory import factory_loop
from opengoc.factory import mirror_store
from opengoc.factory.cycle import Cycle
from opengoc.testbed import lifecycle

pytestmark = pytest.mark.integration

ENTRY = "ITB-CONDOR-2core"
#: Most pilots of the entry; the jobs of the test would fill twice as many.
CAP = 4
JOBS = 16
#: Waiting, running, held, or leaving: it takes up room at the site.
TAKES_UP_ROOM = (1, 2, 5, 6, 7)


@dataclass
class Samples:
    """What the factory's queue showed while the mirrors ran."""

    #: Pilots at once, by mirror.
    at_once: list[Counter[str]] = field(default_factory=list)

    @property
    def most(self) -> int:
        """Most pilots of all mirrors together."""
        return max(sum(each.values()) for each in self.at_once)

    @property
    def mirrors(self) -> set[str]:
        """Those that had pilots."""
        return {name for each in self.at_once for name in each}


@dataclass(frozen=True)
class Mirror:
    """One home with a factory in it."""

    home: Path

    def goc(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``goc`` on the home, from outside."""
        command = [sys.executable, "-m", "opengoc", "--home", str(self.home), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def status(self) -> dict[str, Any]:
        """The last cycle; empty before the first."""
        file = self.home / "factory" / "status.json"
        said: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return said

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """``goc factory run`` for the length of a block."""
        command = [sys.executable, "-m", "opengoc", "--home", str(self.home), "factory", "run"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def mirrors(private_grid: Callable[[Path], Grid]) -> Iterator[tuple[Grid, Mirror, Mirror]]:
    """A grid, and two homes that share its database, schedd and entries; nothing is applied."""
    with tempfile.TemporaryDirectory(prefix="goc-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        grid = private_grid(Path(folder) / "home")
        one, other = Mirror(grid.home), Mirror(Path(folder) / "mirror")
        _edit(one.home / "goc.toml", "cycle_seconds = 5", "cycle_seconds = 2")
        entries = one.home / "entries.toml"
        _edit(entries, "max_pilots = 6\nmax_idle = 3", f"max_pilots = {CAP}\nmax_idle = {CAP}")
        _edit(entries, "idle_seconds = 20", "idle_seconds = 5")
        other.home.mkdir(mode=0o700)
        for name in ("entries.toml", "policy.toml"):
            shutil.copy(one.home / name, other.home / name)
        settings = (one.home / "goc.toml").read_text().replace('"testbed/', f'"{one.home}/testbed/')
        settings = settings.replace("[factory]", '[factory]\nname = "mirror"\ngroup = "factory"')
        (other.home / "goc.toml").write_text(
            f'{settings}\n[store]\nurl = "sqlite:///{one.home / "goc.db"}"\n'
        )
        done = grid.goc("registry", "import", str(grid.home / "registry"))
        assert done.returncode == 0, done.stderr
        try:
            yield grid, one, other
        finally:
            lifecycle.end_processes(grid.layout)


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@contextmanager
def sampled(grid: Grid) -> Iterator[Samples]:
    """Sample the factory's queue for the length of a block."""
    found, over = Samples(), threading.Event()

    def sample() -> None:
        with session(grid, "factory", "factory") as each:
            while not over.wait(0.2):
                jobs = each.jobs(grid.schedd("factory"), "true", ["JobStatus", "GLIDEIN_Factory"])
                if jobs.complete:
                    there = [ad for ad in jobs.items if ad["JobStatus"] in TAKES_UP_ROOM]
                    found.at_once.append(Counter(str(ad["GLIDEIN_Factory"]) for ad in there))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def test_two_factories_share_a_limit_and_what_is_applied_and_one_outlives_the_other(
    mirrors: tuple[Grid, Mirror, Mirror],
) -> None:
    grid, one, other = mirrors
    applied = one.goc("factory", "apply", "--why", "first")
    assert applied.returncode == 0, applied.stderr
    with one.running() as survivor, other.running() as victim, sampled(grid) as samples:
        wait_for(lambda: one.status() and other.status(), "both ran a cycle")
        assert one.status()["digest"] == other.status()["digest"]

        queue_jobs(grid, "cms", JOBS, desired_sites="ITB-CONDOR", seconds=10)
        wait_for(lambda: samples.mirrors == {"factory", "mirror"}, "both sent pilots")
        wait_for(lambda: samples.most == CAP, "together they use the whole limit")
        shown = wait_for(
            lambda: _limits(one, "mirror") or _limits(other, "factory"), "a limit names the other"
        )
        assert f"{CAP} pilots" in shown
        lives = json.loads(one.goc("factory", "mirrors", "--json").stdout)
        assert [(each["mirror"], each["silent_since"]) for each in lives] == [
            ("factory", None),
            ("mirror", None),
        ]
        assert {(held["entry"], held["vo"]) for each in lives for held in each["holds"]} == {(ENTRY, "cms")}

        _edit(other.home / "entries.toml", f"max_idle = {CAP}", f"max_idle = {CAP - 1}")
        applied = other.goc("factory", "apply", "--why", "second", "--json")
        assert applied.returncode == 0, applied.stderr
        digest = json.loads(applied.stdout)["digest"]
        for mirror in (one, other):
            wait_for(lambda mirror=mirror: mirror.status()["digest"] == digest, "it took what was applied")

        victim.kill()
        victim.wait()
        wait_for(lambda: len(payloads(grid)) == JOBS, "all jobs ran", seconds=120)
        survivor.send_signal(signal.SIGTERM)
        assert survivor.wait(timeout=30) == 0
    assert {job["ExitCode"] for job in payloads(grid)} == {0}
    assert samples.most == CAP

    # The one that was killed starts again, and looks after the pilots of the one that ended.
    with closing(House(other.home)) as house:
        loop = factory_loop(house)
        cycles: list[Cycle] = []

        def watch(cycle: Cycle) -> None:
            cycles.append(cycle)
            if len(cycles) == 2:
                loop.stop.set()

        loop.run(watch=watch)
        with house.database.read() as connection:
            known = {each.name: each for each in mirror_store.mirrors(connection, "factory")}
    assert [cycle.failures for cycle in cycles] == [(), ()]
    ended = known["factory"]
    assert ended.counted_at is not None
    assert ended.counted_at >= ended.expires_at


def _limits(mirror: Mirror, other: str) -> str:
    """The limit of the entry as the last cycle showed it, where it names the other mirror."""
    rows = [row for row in mirror.status().get("rows", ()) if row["entry"] == ENTRY]
    said = [row["detail"] for row in rows if f"held by mirror {other}" in row["detail"]]
    return said[0] if said else ""
