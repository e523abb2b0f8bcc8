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
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from opengoc.base.errors import GocError
from opengoc.monitoring.model import Finding, RunOutcome, Status

_BY_EXIT_CODE = {0: Status.OK, 1: Status.WARNING, 2: Status.CRITICAL, 3: Status.UNKNOWN}

#: More of a plugin's output than this is cut off.
OUTPUT_BYTES = 65_536
#: A plugin that prints more than this is ended: what nobody reads must not fill the disk.
ENDLESS_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class CommandProbe:
    """Runs one command, without a shell, in a process group of its own."""

    argv: tuple[str, ...]

    def run(self, timeout_seconds: float, /) -> Finding:
        """Run once. The whole process group ends with the plugin, or at the deadline."""
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
            broken_off = _broken_off(process, timeout_seconds, (out, err))
            # Also what the plugin left behind, which could write on. The plugin itself is not reaped yet, so
            # that the number of its group is nobody else's.
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
            if broken_off is not None:
                return Finding(
                    status=Status.UNKNOWN,
                    summary=broken_off[0],
                    detail=_text(out),
                    outcome=broken_off[1],
                )
            return judge(code, _text(out), _text(err))


def _broken_off(
    process: subprocess.Popen[bytes], timeout_seconds: float, files: Sequence[IO[bytes]]
) -> tuple[str, RunOutcome] | None:
    """Why the plugin must be ended; None once it ended by itself. It is not reaped here."""
    deadline, pause = time.monotonic() + timeout_seconds, 0.001
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if sum(os.fstat(file.fileno()).st_size for file in files) > ENDLESS_BYTES:
            return f"printed more than {ENDLESS_BYTES >> 20} MiB and was ended", RunOutcome.FAILED
        if (left := deadline - time.monotonic()) <= 0:
            return f"no answer within {timeout_seconds:g} s", RunOutcome.TIMEOUT
        time.sleep(min(pause, left))
        pause = min(2 * pause, 0.05)
    return None


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
