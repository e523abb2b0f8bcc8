"""The command in this very process: to start one takes seconds, most of what it does takes less.

What it parses, prints and exits with is the same. Acceptance tests start a process, as an operator does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from tests.acceptance import command

from opengoc.cli.main import run

#: These wait, catch signals or log: each gets a process of its own.
_APART = {"-v", "demo", "probe", "run", "serve", "testbed"}


def goc(home: Path, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """What the command says and exits with."""
    if not _APART.isdisjoint(words):
        return command.goc(home, *words, timeout=timeout)
    arguments = ["goc", "--home", str(home), *words]
    out, err = StringIO(), StringIO()
    with mock.patch.object(sys, "argv", arguments), redirect_stdout(out), redirect_stderr(err):
        try:
            run()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def answer(home: Path, *words: str) -> Any:
    """What a command with --json says; it must succeed."""
    done = goc(home, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
