"""Probe of any plugin of the Nagios convention: exit code 0 to 3, one line, performance data after ``|``.

Source: Monitoring Plugins Development Guidelines, "Plugin Output" and "Plugin Return Codes".

    OK - 12 sessions | sessions=12;50;90;0;100
    second line: long output
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO

from opengoc.base.errors import GocError
from opengoc.monitoring.model import Finding, RunOutcome, Status

_BY_EXIT_CODE = {0: Status.OK, 1: Status.WARNING, 2: Status.CRITICAL, 3: Status.UNKNOWN}

#: More of a plugin's output than this is cut off.
OUTPUT_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class CommandProbe:
    """Runs one command, without a shell, in a process group of its own."""

    argv: tuple[str, ...]

    def run(self, timeout_seconds: float, /) -> Finding:
        """Run once; at the deadline the whole process group is killed."""
        # Files, not pipes: a child that outlives the plugin and holds a pipe open cannot hold the probe up.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    env=os.environ | {"LC_ALL": "C.UTF-8"},
                )
            except OSError as error:
                raise GocError(f"{self.argv[0]} cannot be started: {error.strerror}") from error
            try:
                code = process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return Finding(
                    status=Status.UNKNOWN,
                    summary=f"no answer within {timeout_seconds:g} s",
                    detail=_text(out),
                    outcome=RunOutcome.TIMEOUT,
                )
            return judge(code, _text(out), _text(err))


def judge(code: int, out: str, err: str) -> Finding:
    """What a plugin that ended by itself says."""
    first, _, long_output = out.strip().partition("\n")
    summary, _, performance = (part.strip() for part in first.partition("|"))
    detail = "\n".join(part for part in (performance, long_output.strip(), err.strip()) if part)
    detail = detail[:OUTPUT_BYTES]
    if code not in _BY_EXIT_CODE:
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        summary = f"ended with {ended}, which the plugin convention does not know: {summary or err.strip()}"
        return Finding(
            status=Status.UNKNOWN,
            summary=summary.splitlines()[0],
            detail=detail,
            outcome=RunOutcome.FAILED,
        )
    return Finding(status=_BY_EXIT_CODE[code], summary=summary or "(no output)", detail=detail)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    # NUL cannot be kept in every store.
    return file.read(OUTPUT_BYTES).decode(errors="replace").replace("\0", "\ufffd")
