"""The supervisor of one testbed: starts its machines, starts them again, ends with all of them.

``python -m opengoc.testbed.supervisor HOME ROOT``. One process, one thread: a sandbox dies with the thread
that started it, so killing this process in any way leaves nothing running.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from opengoc.base.errors import GocError
from opengoc.base.instant import format_instant, parse_instant, utc_now
from opengoc.store.hold import hold
from opengoc.testbed.credentials import make_tokens, tokens_of
from opengoc.testbed.files import write_atomically
from opengoc.testbed.layout import CONDOR_SANDBOXES, Layout
from opengoc.testbed.machines import Machine, machines_of
from opengoc.testbed.processes import descendants, process

log = logging.getLogger("opengoc.testbed")

ROLE = "testbed"
_TICK_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 30.0
#: A machine that ran this long has recovered: its next failure starts from the shortest wait.
_STEADY_SECONDS = 60.0
#: Tokens live a day at least: made anew this often, none that is handed out is about to end.
_TOKEN_SECONDS = 6 * 3600.0
_TOKEN_RETRY_SECONDS = 60.0
#: HTCondor's daemons write their queues and leave within this time, or are killed.
_GRACE_SECONDS = 6.0


@dataclass
class Run:
    """One machine as the supervisor knows it now."""

    machine: Machine
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    #: Unexpected ends in a row.
    failures: int = 0
    #: Monotonic time before which it is not started again.
    not_before: float = 0.0
    restarts: int = 0
    last_exit: int | None = field(default=None)


class Supervisor:
    """Keeps the machines of one testbed running until told to stop."""

    def __init__(self, layout: Layout, root: Path) -> None:
        self._layout = layout
        self._root = root
        self._runs = [Run(machine) for machine in machines_of(layout, root)]
        # `up` made them just before it started this process.
        self._renew_tokens_at = time.monotonic() + _TOKEN_SECONDS
        self._stopping = False

    def run(self) -> None:
        """Start everything and stay until SIGTERM or SIGINT; nothing of the testbed runs afterwards."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self._stopping:
                if self._tick():
                    self._write_status("running")
                self._renew_tokens()
                time.sleep(_TICK_SECONDS)
            self._write_status("stopping")
        finally:
            self._end_all()
        self._write_status("stopped")

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stopping = True

    def _tick(self) -> bool:
        """One look at every machine; whether anything changed."""
        changed = False
        for run in self._runs:
            now = time.monotonic()
            if run.child is not None and run.child.poll() is not None:
                self._note_end(run, now)
                changed = True
            if run.child is None and now >= run.not_before and not self._delayed(run):
                self._start(run, now)
                changed = True
        return changed

    def _start(self, run: Run, now: float) -> None:
        console = self._layout.log(run.machine.sandbox.name) / f"{run.machine.name}.console"
        with console.open("ab") as out:
            run.child = subprocess.Popen(
                run.machine.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
        run.started_at = now
        log.info("action=start machine=%s pid=%d", run.machine.name, run.child.pid)

    def _note_end(self, run: Run, now: float) -> None:
        assert run.child is not None
        run.last_exit = run.child.returncode
        run.failures = 1 if now - run.started_at > _STEADY_SECONDS else run.failures + 1
        wait = min(2.0 ** (run.failures - 1) - 0.5, _LONGEST_BACKOFF_SECONDS)
        run.not_before = now + wait
        run.restarts += 1
        run.child = None
        log.warning("action=ended machine=%s exit=%s restart_in=%.1f", run.machine.name, run.last_exit, wait)

    def _delayed(self, run: Run) -> bool:
        """Whether a fault asked for the machine to stay down a while longer."""
        path = self._layout.delays / run.machine.name
        try:
            until = parse_instant(path.read_text(encoding="ascii"), str(path))
        except FileNotFoundError:
            return False
        if utc_now() < until:
            return True
        path.unlink(missing_ok=True)
        return False

    def _renew_tokens(self) -> None:
        if time.monotonic() < self._renew_tokens_at:
            return
        wait = _TOKEN_SECONDS
        try:
            make_tokens(self._layout, self._root, tokens_of(self._layout))
        except GocError as error:
            wait = _TOKEN_RETRY_SECONDS
            log.warning("action=renew_tokens failed, again in %.0f s: %s", wait, error)
        self._renew_tokens_at = time.monotonic() + wait

    def _write_status(self, phase: str) -> None:
        me = process(os.getpid())
        status = {
            "phase": phase,
            "at": format_instant(utc_now()),
            "pid": os.getpid(),
            "started": None if me is None else me.started,
            "machines": [
                {
                    "name": run.machine.name,
                    "pid": None if run.child is None else run.child.pid,
                    "restarts": run.restarts,
                    "last_exit": run.last_exit,
                    "log": str(run.machine.log),
                }
                for run in self._runs
            ],
        }
        write_atomically(self._layout.status, json.dumps(status, indent=2) + "\n")

    def _end_all(self) -> None:
        children = [run.child for run in self._runs if run.child is not None and run.child.poll() is None]
        masters = [
            run for run in self._runs if run.machine.name in CONDOR_SANDBOXES and run.child is not None
        ]
        # bubblewrap passes no signal on: the fast shutdown of HTCondor goes to the master itself.
        for run in masters:
            assert run.child is not None
            for one in descendants([run.child.pid]):
                if one.name == "condor_master":
                    _signal(one.pid, signal.SIGQUIT)
                    break
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and any(
            run.child is not None and run.child.poll() is None for run in masters
        ):
            time.sleep(_TICK_SECONDS)
        for child in children:
            if child.poll() is None:
                child.kill()
        for child in children:
            child.wait()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        log.info("action=signal pid=%d already ended", pid)


def main() -> None:
    """Entry point of the detached process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    home, root = (Path(argument) for argument in sys.argv[1:3])
    layout = Layout(home)
    try:
        with hold(home, ROLE):
            Supervisor(layout, root).run()
    except GocError as error:
        log.error("%s", error)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
