"""Every process that the pilot started, however far it wandered off: found, counted, ended.

HTCondor puts daemons and jobs into process groups and sessions of their own, so a group is not enough. The
pilot makes itself the "subreaper" of its descendants (Linux 3.4): an orphan comes back as its child, and the
whole tree can be read from /proc.
"""

import ctypes
import os
import signal
import time
from typing import Dict, List, NamedTuple, Tuple

# prctl(2)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_POLL_SECONDS = 0.05


class Usage(NamedTuple):
    """CPU seconds of the pilot itself and of its ended, collected descendants."""

    own_cpu_seconds: float
    children_cpu_seconds: float


def become_subreaper() -> bool:
    """Let orphaned descendants become children of this process; False where the kernel cannot."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Between fork and exec: get SIGQUIT when the pilot is gone, so that nothing outlives its kill -9."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _prctl(option: int, value: int) -> bool:
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def descendants(root: int) -> List[int]:
    """The process ids below ``root``, parents before children; zombies included."""
    children: Dict[int, List[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            parent = parent_of(int(name))
            children.setdefault(parent, []).append(int(name))
    found: List[int] = []
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop(0)
        found.append(pid)
        waiting += children.get(pid, ())
    return found


def parent_of(pid: int) -> int:
    """The parent's process id; 0 when the process is gone or hidden."""
    return _name_and_parent(pid)[1]


def name_of(pid: int) -> str:
    """The name of the program, at most 15 characters; empty when the process is gone or hidden."""
    return _name_and_parent(pid)[0]


def _name_and_parent(pid: int) -> Tuple[str, int]:
    try:
        with open("/proc/{}/stat".format(pid), encoding="utf-8", errors="replace") as stat:
            # 17 (condor_startd) S 12 17 12 0 -1 ...: the name may hold blanks and parentheses.
            name, _, rest = stat.read().partition("(")[2].rpartition(")")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return "", 0
    return name, int(rest.split()[1])


def send(pid: int, number: int) -> None:
    """Send a signal. A process that is gone, or that a set-uid program gave to another user, gets none."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def collect(pids: List[int]) -> None:
    """Take the exit status of adopted orphans that have ended, so that no zombie stays."""
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            # A grandchild: its own parent collects it.
            continue


def end_all(within_seconds: float) -> List[int]:
    """Kill every descendant of this process; those that are still there after ``within_seconds``.

    Looks again after each round, because a process may fork while it is being killed.
    """
    deadline = time.monotonic() + within_seconds
    left = descendants(os.getpid())
    while left and time.monotonic() < deadline:
        for pid in left:
            send(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
        collect(left)
        left = descendants(os.getpid())
    return left


def usage() -> Usage:
    """CPU time used so far: the pilot's, and that of the descendants whose exit status has been collected."""
    times = os.times()
    return Usage(
        own_cpu_seconds=round(times.user + times.system, 2),
        children_cpu_seconds=round(times.children_user + times.children_system, 2),
    )
