"""Results of a probe run, kept one by one as they come, so that a run that is killed loses none of them.

A file of JSON lines a run; at the end of the run it goes into the lake as one batch, under the name of the
file. What a killed run left is put in by the next one. One run at a time works on a folder.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from opengoc.base.errors import Temporary
from opengoc.base.ids import new_id
from opengoc.base.instant import format_instant, parse_instant
from opengoc.monitoring import store
from opengoc.monitoring.model import ProbeResult, RunOutcome, Status
from opengoc.store.database import Database
from opengoc.store.lake import Lake

_SUFFIX = ".jsonl"


class Spool:
    """The file of one run."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = folder / f"{new_id('run')}{_SUFFIX}"
        self._out = self._file.open("xb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.close()

    def add(self, result: ProbeResult) -> None:
        """Keep one result: it is on disk when this returns. Raises Temporary when the disk is full."""
        try:
            self._out.write(json.dumps(_plain(result), ensure_ascii=False).encode() + b"\n")
            os.fsync(self._out.fileno())
        except OSError as error:
            raise Temporary(f"{self._file} cannot be written: {error.strerror}") from error


def put_in(lake: Lake, database: Database, folder: Path, *, known_at: datetime, who: str) -> int:
    """Put every file of the folder into the lake, and remove it; gives how many results.

    Safe to repeat: a file that went in and was not removed goes in once.
    """
    count = 0
    for file in sorted(folder.glob(f"*{_SUFFIX}")):
        results = [_result(line) for line in _whole_lines(file)]
        store.record(lake, database, results, batch_id=f"probes/{file.stem}", known_at=known_at, who=who)
        file.unlink()
        count += len(results)
    return count


def _whole_lines(file: Path) -> list[bytes]:
    # The last line of a run that was killed while it wrote has no end: that result was never kept.
    *whole, _ = file.read_bytes().split(b"\n")
    return whole


def _plain(result: ProbeResult) -> dict[str, Any]:
    return vars(result) | {
        "status": result.status.value,
        "outcome": result.outcome.value,
        "at": format_instant(result.at),
    }


def _result(line: bytes) -> ProbeResult:
    row = json.loads(line)
    return ProbeResult(
        **row
        | {
            "status": Status(row["status"]),
            "outcome": RunOutcome(row["outcome"]),
            "at": parse_instant(row["at"]),
        }
    )
