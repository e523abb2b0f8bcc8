"""The command as an operator runs it: a process of its own.

It is forked from one that has loaded what commands load, for that takes longer than most of what they do.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "opengoc.accounting.query",
        "opengoc.cli.accounting",
        "opengoc.cli.ar",
        "opengoc.cli.downtime",
        "opengoc.cli.factory",
        "opengoc.cli.main",
        "opengoc.cli.registry",
        "opengoc.cli.report",
        "opengoc.flows.weekly",
        "opengoc.store.migrations",
        "deltalake",
        "duckdb",
        "ibis.backends.duckdb",
        "pandas",
        "pyarrow.dataset",
        "sqlalchemy.dialects.sqlite",
    ]
)


def goc(
    home: Path, *words: str, timeout: float = 120, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What the command says and exits with. ``environment``: what it has beside that of the tests."""
    arguments = ["goc", "--home", str(home), *words]
    with tempfile.TemporaryDirectory(prefix="goc-command-") as folder:
        said, errors = Path(folder, "stdout"), Path(folder, "stderr")
        process = _FORKS.Process(
            target=_run,
            args=(arguments, {**os.environ, **(environment or {})}, Path.cwd(), said, errors),
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout, said.read_bytes(), errors.read_bytes())
        return subprocess.CompletedProcess(arguments, process.exitcode, said.read_text(), errors.read_text())


def _run(arguments: list[str], environment: dict[str, str], folder: Path, said: Path, errors: Path) -> None:
    for path, descriptor in ((said, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[:] = arguments
    from opengoc.cli.main import run

    run()


def answer(home: Path, *words: str) -> Any:
    """What a command with --json says; it must succeed."""
    done = goc(home, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
