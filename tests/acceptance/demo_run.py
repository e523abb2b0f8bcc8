"""What a run of the demo leaves behind."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

JOBS = 60


def processes_of(home: Path) -> list[str]:
    """Command lines of the processes that name the home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in command and int(folder.name) != os.getpid():
            found.append(command)
    return found


@dataclass(frozen=True)
class DemoRun:
    """A demo that ended well and left its grid and its pages running."""

    home: Path
    address: str
    output: str
