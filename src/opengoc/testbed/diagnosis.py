"""Why a machine of the testbed is not up: the daemon that ended, and the end of its log."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from opengoc.base.errors import InvalidInput
from opengoc.testbed.layout import CONDOR_SANDBOXES, Layout
from opengoc.testbed.machines import machines_of

#: A daemon that ended this often while the testbed comes up will not come up.
TOO_MANY_ENDS = 4

# 11/22/26 17:15:31 The SCHEDD (pid 17) exited with status 4
# 11/22/26 17:15:31 The SCHEDD (pid 17) died due to signal 11 (Segmentation fault)
_ENDED = re.compile(r"The (\w+) \(pid \d+\) (?:exited with status [1-9]|died)")
_LOGS = {"SCHEDD": "SchedLog", "STARTD": "StartLog", "SHARED_PORT": "SharedPortLog"}


def master_log_sizes(layout: Layout) -> dict[str, int]:
    """How long the masters' logs are now: what an earlier run said ends there."""
    sizes = {}
    for name in CONDOR_SANDBOXES:
        log = _master_log(layout, name)
        sizes[name] = log.stat().st_size if log.exists() else 0
    return sizes


def failing_daemon(layout: Layout, since: Mapping[str, int]) -> str | None:
    """The machine where one daemon failed again and again ``since`` those sizes; None if there is none."""
    for name in CONDOR_SANDBOXES:
        ends = Counter(_ends(_master_log(layout, name), since[name]))
        if any(count >= TOO_MANY_ENDS for count in ends.values()):
            return name
    return None


def explain(layout: Layout, machine: str) -> str:
    """The end of the log that says most likely why a machine is not up. Raises InvalidInput."""
    logs = {one.name: one.log for one in machines_of(layout, Path("/"))}
    if machine not in logs:
        raise InvalidInput("machine", machine, f"must be one of {', '.join(logs)}")
    log = logs[machine]
    if machine in CONDOR_SANDBOXES:
        ends = _ends(log, 0)
        if ends:
            log = log.with_name(_LOGS.get(ends[-1], f"{ends[-1].title()}Log"))
    return last_lines(log if log.exists() else log.with_name(f"{machine}.console"))


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log and where it is, for a message."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return f"it wrote no log ({log})"
    return f"the end of {log}:\n  " + "\n  ".join(lines)


def _master_log(layout: Layout, name: str) -> Path:
    return layout.log(name) / "MasterLog"


def _ends(log: Path, since: int) -> list[str]:
    """Daemons that ended with a failure, oldest first."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            said = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return _ENDED.findall(said)
