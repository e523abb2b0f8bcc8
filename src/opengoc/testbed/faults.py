"""Faults: real daemons of a testbed killed without warning, as machines and daemons die at sites."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from datetime import timedelta

from opengoc.base.errors import InvalidInput, Permanent, Temporary
from opengoc.base.instant import format_instant, utc_now
from opengoc.testbed.files import write_atomically
from opengoc.testbed.layout import SLURM_NODES, SLURM_SITE, Layout
from opengoc.testbed.lifecycle import supervisor_status
from opengoc.testbed.processes import Process, descendants

#: Daemon as a person names it → the name of its process.
DAEMONS = {
    "collector": "condor_collecto",
    "negotiator": "condor_negotiat",
    "schedd": "condor_schedd",
    "startd": "condor_startd",
    "gridmanager": "condor_gridmana",
    "shadow": "condor_shadow",
    "slurmctld": "slurmctld",
    "munged": "munged",
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What was killed."""

    machine: str
    pids: tuple[int, ...]
    #: Seconds the machine stays down; None where its master restarts the daemon by itself.
    down_seconds: float | None


def kill_daemon(layout: Layout, *, machine: str, daemon: str) -> Fault:
    """kill -9 of one daemon; its condor_master (or the supervisor) starts it again.

    Raises InvalidInput (no such machine or daemon), Permanent (it does not run there).
    """
    killed = running_daemons(layout, machine=machine, daemon=daemon)
    if not killed:
        raise Permanent(f"no {daemon} runs in {machine}")
    _kill(killed)
    return Fault(machine=machine, pids=tuple(one.pid for one in killed), down_seconds=None)


def running_daemons(layout: Layout, *, machine: str, daemon: str) -> list[Process]:
    """Processes of one daemon in one machine, pilots' daemons included. Raises as ``kill_daemon`` does."""
    if daemon not in DAEMONS:
        raise InvalidInput("daemon", daemon, f"must be one of {', '.join(DAEMONS)}")
    return [one for one in _processes(layout, machine) if one.name == DAEMONS[daemon]]


def kill_machine(layout: Layout, *, machine: str, down_seconds: float) -> Fault:
    """kill -9 of a machine with everything below it; it comes back after ``down_seconds``.

    A Slurm node dies this way with its jobs: slurmctld marks it down and queues them again.
    """
    path = layout.delays / machine
    running = _processes(layout, machine)
    # Written first: the supervisor looks five times a second and must not start it in between.
    until = utc_now() + timedelta(seconds=down_seconds)
    write_atomically(path, format_instant(until))
    _kill(running[:1])
    return Fault(machine=machine, pids=tuple(one.pid for one in running), down_seconds=down_seconds)


def node_of(site: str, node: str | None) -> str:
    """The machine that is a worker node of a site: the named one, or its first. Raises InvalidInput."""
    if site != SLURM_SITE:
        raise InvalidInput("site", site, f"has no nodes of its own; only {SLURM_SITE} has")
    if node is None:
        return SLURM_NODES[0]
    if node not in SLURM_NODES:
        raise InvalidInput("node", node, f"must be one of {', '.join(SLURM_NODES)}")
    return node


def _processes(layout: Layout, machine: str) -> list[Process]:
    """The processes of a machine, its outermost first."""
    status = supervisor_status(layout)
    if status is None:
        raise Temporary(f"no testbed runs in {layout.home}; start it with `goc testbed up`")
    pids = {one["name"]: one["pid"] for one in status["machines"]}
    if machine not in pids:
        raise InvalidInput("machine", machine, f"must be one of {', '.join(pids)}")
    if pids[machine] is None:
        raise Temporary(f"{machine} is down already", retry_after=5)
    return descendants([pids[machine]])


def _kill(processes: list[Process]) -> None:
    for one in processes:
        try:
            os.kill(one.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It ended by itself: the fault has happened without us.
            continue
