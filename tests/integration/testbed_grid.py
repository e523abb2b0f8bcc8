"""A running testbed as tests hold it."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.command import goc

from opengoc.testbed import lifecycle
from opengoc.testbed.configuration import client_environment
from opengoc.testbed.layout import Layout
from opengoc.testbed.lifecycle import Up
from opengoc.testbed.machines import login_sandbox
from opengoc.testbed.ports import Ports


@dataclass(frozen=True)
class Grid:
    """One testbed and the ways tests reach into it."""

    up: Up

    @property
    def home(self) -> Path:
        """Its $GOC_HOME: settings, entries, policy and registry are there."""
        return self.up.home

    @property
    def layout(self) -> Layout:
        """Where its files are."""
        return Layout(self.up.home)

    @property
    def ports(self) -> Ports:
        """Where its daemons listen, on 127.0.0.1."""
        return self.up.ports

    def address(self, pool: str) -> str:
        """Collector of ``pool``, ``factory`` or ``site-condor``."""
        return f"127.0.0.1:{getattr(self.ports, pool.replace('-', '_'))}"

    def schedd(self, pool: str) -> str:
        """Name of the schedd of ``pool``, ``factory`` or ``site-condor``."""
        return f"{pool}-schedd@itb.example.org"

    def tool(self, *command: str, pool: str = "pool", tokens: str = "operator", timeout: float = 60) -> str:
        """Output of a tool of HTCondor or Slurm on the login node, with one folder of tokens."""
        environment = client_environment(self.layout.condor_config(pool), self.layout.tokens / tokens)
        environment["SLURM_CONF"] = str(self.layout.slurm_conf)
        return login_sandbox(self.layout, self.up.root).run(list(command), environment, timeout=timeout)

    def submit(self, text: str, *, pool: str = "factory", tokens: str = "factory") -> int:
        """Queue a submit description in a schedd; the cluster."""
        folder = self.home / "submissions"
        folder.mkdir(exist_ok=True)
        file = folder / f"{time.monotonic_ns()}.sub"
        file.write_text(text, encoding="utf-8")
        said = self.tool("condor_submit", "-terse", str(file), pool=pool, tokens=tokens)
        return int(said.strip().splitlines()[-1].split(".")[0])

    def goc(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the command ``goc`` on the home."""
        return goc(self.home, *words, timeout=timeout)

    def status(self) -> dict[str, Any]:
        """What ``goc testbed status --json`` says."""
        said: dict[str, Any] = json.loads(self.goc("testbed", "status", "--json").stdout)
        return said


StartGrid = Callable[[Path], Grid]


@contextmanager
def grid_of_its_own(start: StartGrid) -> Iterator[Grid]:
    """A grid for one test, which ends with the block."""
    # A short name: Slurm keeps sockets below the home, and their paths have a limit of 108 bytes.
    with tempfile.TemporaryDirectory(prefix="goc-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        grid = start(Path(folder) / "home")
        try:
            yield grid
        finally:
            lifecycle.end_processes(grid.layout)


def put_in_force(grid: Grid) -> None:
    """Load the grid's registry, apply its entries and policy."""
    for words in (("registry", "import", str(grid.home / "registry")), ("factory", "apply", "--why", "test")):
        done = grid.goc(*words)
        assert done.returncode == 0, done.stderr


def wait_for(condition: Callable[[], object], what: str, *, seconds: float = 60) -> Any:
    """The first true answer of ``condition``; fails naming ``what`` when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.5)
