"""The command as an operator runs it, and what a run of the demo leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOBS = 60


def goc(home: Path, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    return subprocess.run(
        [sys.executable, "-m", "opengoc", "--home", str(home), *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def answer(home: Path, *words: str) -> Any:
    """What a command with --json says; it must succeed."""
    done = goc(home, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
