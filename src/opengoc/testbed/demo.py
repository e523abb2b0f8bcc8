"""The demo: from an idle job to the week's report, by the same commands an operator types.

Each step is one ``goc`` command run as a process of its own, so what the demo shows is what the product does.
Its output goes to ``$GOC_HOME/demo/NN-….log``; the testbed is taken down in the end, unless it is to stay.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opengoc.base.errors import GocError, InvalidInput, Temporary
from opengoc.base.instant import utc_now
from opengoc.base.interval import week_name
from opengoc.store.hold import hold
from opengoc.testbed.ports import is_free
from opengoc.testbed.processes import process

#: File that marks a home as one the demo made: only such a home does it start afresh.
MARK = "demo.json"
#: The pages end their open requests, then themselves.
_SERVE_END_SECONDS = 10.0


class StepFailed(GocError):
    """A command of the demo failed; the message carries the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of the demo."""

    #: What it does, in a few words.
    title: str
    #: Words after ``goc --home H``.
    words: tuple[str, ...]


def steps(*, jobs: int, week: str) -> tuple[Step, ...]:
    """The commands between ``testbed up`` and ``testbed down``, in order."""
    downtime = ("--start", "+1d", "--end", "+2d", "--severity", "Outage")
    return (
        Step(title="Load the registry of sites and VOs", words=("registry", "import", "{home}/registry")),
        Step(
            title="Put the factory's entries and policy in force",
            words=("factory", "apply", "--why", "first grid"),
        ),
        Step(
            title=f"Put {jobs} jobs of two VOs into the queue",
            words=("testbed", "submit", "--jobs", str(jobs)),
        ),
        Step(
            title="Announce a downtime",
            words=(
                "downtime",
                "add",
                "ITB-SLURM-CE",
                *downtime,
                "--description",
                "Scheduler upgrade",
                "--json",
            ),
        ),
        Step(title="Probe the services", words=("probe", "run")),
        Step(title="Send pilots until every job is done", words=("factory", "run", "--until-done")),
        Step(
            title="Cancel the downtime",
            words=("downtime", "cancel", "{downtime}", "--why", "upgrade postponed"),
        ),
        Step(title="Probe the services again", words=("probe", "run")),
        Step(title="Collect the usage of pilots and jobs", words=("accounting", "collect")),
        Step(title="Publish the weekly report", words=("report", "publish", "--week", week)),
        Step(
            title="Write it in every format",
            words=("report", "weekly", "--week", week, "--format", "all", "--output", "{home}/reports"),
        ),
    )


class Demo:
    """One run of the demo in ``home``; ``tell`` is handed each line for the person who watches."""

    def __init__(self, home: Path, *, tell: Callable[[str], None]) -> None:
        self.home = home
        self._tell = tell
        self._logs = home / "demo"
        self._count = 0
        #: What words of later steps may name in braces.
        self._known = {"home": str(home)}

    def run(self, *, jobs: int, keep: bool) -> Path:
        """Everything, in order; returns the HTML report. Raises StepFailed; the testbed is down then, too."""
        week = week_name(utc_now())
        try:
            self._do(Step(title="Bring up a pool and two sites", words=("testbed", "up")))
            for step in steps(jobs=jobs, week=week):
                self._do(step)
        except BaseException:
            # An interrupt ends here as well: nothing of the demo may go on running behind its back.
            self._do(Step(title="Take the testbed down", words=("testbed", "down")))
            raise
        if not keep:
            self._do(Step(title="Take the testbed down", words=("testbed", "down")))
        return self.home / "reports" / f"weekly-{week}.html"

    def _do(self, step: Step) -> None:
        self._count += 1
        words = [word.format(**self._known) for word in step.words]
        log = self._logs / f"{self._count:02d}-{words[0]}-{words[1]}.log"
        self._logs.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        self._tell(f"[bold]{step.title}[/bold]\n  $ goc {shlex.join(words)}")
        code = self._command(words, log)
        took = time.monotonic() - began
        if code != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            # On a terminal, what it said to its standard error was seen and is in no log.
            said = f"all of {log}:\n{tail}" if tail else "what it said stands above"
            raise StepFailed(f"`goc {shlex.join(words)}` ended with exit code {code}; {said}")
        self._tell(f"  [green]done[/green] in {took:.1f} s")
        if "--json" in words:
            self._known["downtime"] = str(json.loads(log.read_text())["id"])

    def _command(self, words: Sequence[str], log: Path) -> int:
        """Run one command; its progress bar goes to the terminal, everything else to the log."""
        with log.open("wb") as sink:
            errors = None if sys.stderr.isatty() else sink
            running = subprocess.Popen(
                goc(self.home, *words), stdout=sink, stderr=errors, stdin=subprocess.DEVNULL
            )
            try:
                return self._wait(running)
            except BaseException:
                running.send_signal(signal.SIGINT)
                try:
                    running.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    running.kill()
                    running.wait()
                raise

    def _wait(self, running: subprocess.Popen[bytes]) -> int:
        began = time.monotonic()
        while True:
            try:
                return running.wait(timeout=15)
            except subprocess.TimeoutExpired:
                if not sys.stderr.isatty():
                    self._tell(f"  … {time.monotonic() - began:.0f} s")


def goc(home: Path, *words: str) -> list[str]:
    """The command line that runs ``goc`` on a home with this very interpreter."""
    return [sys.executable, "-m", "opengoc", "--home", str(home), *words]


def prepare_home(home: Path, *, pages_port: int | None = None) -> None:
    """A home for a run from scratch: what an earlier demo left is kept beside it as ``….previous``.

    ``pages_port`` is where the pages are to be served in the end, if at all. Raises InvalidInput for a folder
    that holds anything but a demo (the demo never touches a production home), and for a port in use.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The locks stay: this very run holds one of them.
    content = [path for path in home.iterdir() if path.name != "locks"]
    if content:
        if not (home / MARK).exists():
            rule = "holds something that no demo made: choose another folder with --home"
            raise InvalidInput("--home", str(home), rule)
        _end_all(home)
    # Before anything is moved, and not after minutes of work; the pages of an earlier demo have ended by now.
    if pages_port is not None and not is_free(pages_port):
        raise InvalidInput(
            "--port", pages_port, "is in use by another program: name a free one for the pages"
        )
    if content:
        previous = home.with_name(home.name + ".previous")
        shutil.rmtree(previous, ignore_errors=True)
        previous.mkdir(mode=0o700)
        # The mark goes last: interrupted here, the next run still knows the home for a demo's.
        for path in sorted(content, key=lambda path: path.name == MARK):
            path.rename(previous / path.name)
    _write_mark(home, {})


def serve(home: Path, *, port: int, deadline_seconds: float = 30.0) -> str:
    """Start the pages in the background and return their address once they answer. Raises Temporary."""
    log = (home / "demo" / "serve.log").open("wb")
    with log:
        pages = subprocess.Popen(
            goc(home, "serve", "--port", str(port)),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    _write_mark(home, {"serve_pid": pages.pid, "serve_started": _started(pages.pid)})
    address = f"http://127.0.0.1:{port}/"
    import urllib.error
    import urllib.request

    until = time.monotonic() + deadline_seconds
    while time.monotonic() < until and pages.poll() is None:
        try:
            with urllib.request.urlopen(address + "healthz", timeout=2):
                return address
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise Temporary(
        f"the pages do not answer on {address}; see {home / 'demo' / 'serve.log'}, and end the grid, which "
        "runs on, with `goc demo --stop` on this home"
    )


def stop(home: Path) -> None:
    """End what ``goc demo --keep`` (or a killed demo) left running; fine when nothing runs.

    Raises InvalidInput where no demo was run, Temporary naming the process while one is running, StepFailed
    where the testbed does not end.
    """
    if not (home / MARK).exists():
        rule = "no demo was run here: name its home with --home (`make demo` runs in .goc/demo)"
        raise InvalidInput("--home", str(home), rule)
    # A running demo would wait for ever for the pool that was taken from it.
    with hold(home, "demo"):
        _end_all(home)


def _end_all(home: Path) -> None:
    mark = json.loads((home / MARK).read_text() or "{}")
    pid, started = mark.get("serve_pid"), mark.get("serve_started")
    # A process id is used again after a while: only the process that started when ours did is ended.
    if pid and started is not None and _started(pid) == started:
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + _SERVE_END_SECONDS
        # Its port is free again only when it has ended.
        while _started(pid) == started and time.monotonic() < until:
            time.sleep(0.1)
    _write_mark(home, {})
    done = subprocess.run(
        goc(home, "testbed", "down"), check=False, timeout=120, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise StepFailed(f"the testbed of {home} was not ended: {done.stderr.strip()}")


def _write_mark(home: Path, mark: dict[str, Any]) -> None:
    (home / MARK).write_text(json.dumps(mark))


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; None where it does not run."""
    living = process(pid)
    return None if living is None else str(living.started)
