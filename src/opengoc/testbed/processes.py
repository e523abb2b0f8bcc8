"""Processes as /proc shows them: descendants, memory, identity, the mark of a testbed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process; ``started`` tells it from a later one with the same pid."""

    pid: int
    parent: int
    name: str
    #: Clock ticks since the machine's boot.
    started: int


def process(pid: int) -> Process | None:
    """The process with that pid; None when there is none, or only its unreaped remains."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # 4711 (condor_startd) S 4700 …: the name may hold blanks and brackets, so cut at the last one.
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Process(pid=pid, parent=int(fields[1]), name=name, started=int(fields[19]))


def all_processes() -> list[Process]:
    """Every living process of the machine."""
    found = (process(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [one for one in found if one is not None]


def descendants(ancestors: Iterable[int]) -> list[Process]:
    """All processes below the given pids, themselves included, parents before children."""
    children: dict[int, list[Process]] = {}
    everything = all_processes()
    for one in everything:
        children.setdefault(one.parent, []).append(one)
    wanted = set(ancestors)
    found = [one for one in everything if one.pid in wanted]
    for one in found:
        found += children.get(one.pid, [])
    return found


def proportional_memory(pids: Iterable[int]) -> int | None:
    """PSS in bytes: shared pages divided among their users. None when none of the pids could be read."""
    total = None
    for pid in pids:
        try:
            text = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        pss = next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), None)
        if pss is not None:
            total = (total or 0) + pss * 1024
    return total


def marked_processes(variable: str, value: str) -> list[Process]:
    """Processes that were started with this variable in their environment, as far as we may look."""
    mark = f"{variable}={value}".encode()
    found = []
    for one in all_processes():
        try:
            environment = (_PROC / str(one.pid) / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment.split(b"\0") and one.pid != os.getpid():
            found.append(one)
    return found
