"""Bringing a testbed up and down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opengoc.base.errors import InvalidInput, Permanent, Temporary
from opengoc.store.hold import hold
from opengoc.testbed.configuration import make_folders, write_configuration
from opengoc.testbed.credentials import make_keys, make_tokens, tokens_of
from opengoc.testbed.diagnosis import TOO_MANY_ENDS, explain, failing_daemon, last_lines, master_log_sizes
from opengoc.testbed.files import write_atomically
from opengoc.testbed.installation import write_installation
from opengoc.testbed.layout import Layout
from opengoc.testbed.ports import Ports, load_or_choose, reserved
from opengoc.testbed.processes import marked_processes, process
from opengoc.testbed.sandbox import HOME_VARIABLE
from opengoc.testbed.services import Services, ask

#: Told what is being waited for: (what, steps done, steps in all).
Progress = Callable[[str, int, int], None]

_UP_SECONDS = 90.0
_DOWN_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Up:
    """A testbed that answers."""

    home: Path
    root: Path
    ports: Ports
    services: Services
    #: False when it was already running.
    started: bool
    #: Files of the installation that were written, because they were absent.
    written: tuple[Path, ...]
    seconds: float


def supervisor_status(layout: Layout) -> dict[str, Any] | None:
    """What the living supervisor last wrote; None when there is none."""
    try:
        status: dict[str, Any] = json.loads(layout.status.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    living = process(status["pid"])
    # The same pid may be another program by now: the start time tells.
    return status if living is not None and living.started == status["started"] else None


def root_of(layout: Layout) -> Path:
    """The root that the testbed was last started on. Raises InvalidInput when it never was."""
    try:
        return Path(layout.root.read_text(encoding="utf-8").rstrip("\n"))
    except FileNotFoundError as error:
        rule = "has no testbed; start one with `goc testbed up`"
        raise InvalidInput("--home", str(layout.home), rule) from error


def up(home: Path, root: Path, progress: Progress) -> Up:
    """Bring the testbed of ``home`` up and wait until every service answers.

    Safe to repeat: a running testbed is only waited for. Raises Temporary or Permanent naming the daemon that
    did not come up, with the last lines of its log; what was started is ended again then.
    """
    began = time.monotonic()
    layout = Layout(home.resolve())
    with hold(layout.home, "testbed-up"), ExitStack() as held:
        started = supervisor_status(layout) is None
        if started:
            progress("write configuration and tokens", 0, 3)
            # What a killed `up` or a killed supervisor may have left would hold the ports.
            end_processes(layout)
            make_folders(layout)
            for delay in layout.delays.iterdir():
                delay.unlink()
            write_atomically(layout.root, f"{root}\n")
            ports = held.enter_context(reserved(layout.ports))
            write_configuration(layout, ports)
            make_keys(layout)
            make_tokens(layout, root, tokens_of(layout))
        ports = load_or_choose(layout.ports)
        written = write_installation(layout, ports)
        logs = master_log_sizes(layout)
        try:
            if started:
                progress("start the machines", 1, 3)
                _start_supervisor(layout, root)
            services = _wait_until_up(layout, root, ports, logs, progress)
        except BaseException:
            if started:
                end_processes(layout)
            raise
    progress("every service answers", 3, 3)
    return Up(
        home=layout.home,
        root=root,
        ports=ports,
        services=services,
        started=started,
        written=written,
        seconds=time.monotonic() - began,
    )


def end_processes(layout: Layout) -> int:
    """End the supervisor and whatever else of this testbed runs; how many processes were there.

    Knows them by the mark in their environment, so it works as well when the supervisor is dead or half
    started. Raises Temporary when one does not end.
    """
    found = marked_processes(HOME_VARIABLE, str(layout.home))
    supervisors = [one.pid for one in found if _is_supervisor(one.pid)]
    for pid in supervisors:
        _signal(pid, signal.SIGTERM)
    _wait_for_end(supervisors, _DOWN_SECONDS)
    deadline = time.monotonic() + _DOWN_SECONDS
    while left := marked_processes(HOME_VARIABLE, str(layout.home)):
        if time.monotonic() > deadline:
            names = ", ".join(f"{one.name} ({one.pid})" for one in left)
            raise Temporary(f"these processes of the testbed do not end: {names}; end them and try again")
        for one in left:
            _signal(one.pid, signal.SIGKILL)
        time.sleep(0.1)
    return len(found)


def _start_supervisor(layout: Layout, root: Path) -> None:
    environment = {**os.environ, HOME_VARIABLE: str(layout.home), "TZ": "UTC"}
    with layout.supervisor_log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "opengoc.testbed.supervisor", str(layout.home), str(root)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = supervisor_status(layout)
        if status is not None and status["pid"] == child.pid:
            # It is meant to outlive this process, which therefore never waits for it.
            child.returncode = 0
            return
        if child.poll() is not None:
            raise Permanent(f"the supervisor ended at once; {last_lines(layout.supervisor_log)}")
        time.sleep(0.05)
    raise Temporary(f"the supervisor wrote no status in 20 s; {last_lines(layout.supervisor_log)}")


def _wait_until_up(
    layout: Layout, root: Path, ports: Ports, logs: Mapping[str, int], progress: Progress
) -> Services:
    deadline = time.monotonic() + _UP_SECONDS
    while True:
        services = ask(layout, root, ports)
        if not services.lacking:
            return services
        progress(f"wait for {services.lacking[0]} ({len(services.lacking)} to come)", 2, 3)
        status = supervisor_status(layout)
        if status is None:
            raise Permanent(f"the supervisor ended; {last_lines(layout.supervisor_log)}")
        failing = failing_daemon(layout, logs) or next(
            (one["name"] for one in status["machines"] if one["restarts"] >= TOO_MANY_ENDS), None
        )
        lacking = ", ".join(services.lacking)
        if failing is not None:
            raise Permanent(f"{failing} does not start (lacking {lacking}); {explain(layout, failing)}")
        if time.monotonic() > deadline:
            name = services.lacking[0].split(":")[0]
            raise Temporary(f"not up after {_UP_SECONDS:.0f} s, lacking {lacking}; {explain(layout, name)}")
        time.sleep(0.5)


def _is_supervisor(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"opengoc.testbed.supervisor" in words


def _wait_for_end(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(process(pid) is not None for pid in pids):
        time.sleep(0.05)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        # It ended by itself between the look and the signal.
        return
