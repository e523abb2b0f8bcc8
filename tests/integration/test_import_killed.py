"""Imports killed at any time and begun again: every record is stored once, and the sums are true.

``GOC_KILLS`` says how many imports are killed, over all formats that are read in bulk; ``make test-faults``
kills 200, of 5,000 records each.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench.records import FORMATS, write

KILLS = int(os.environ.get("GOC_KILLS", "5"))
RECORDS = 5_000 if KILLS > 5 else 1_000

#: Has everything loaded and starts a process an import: ``HOME FILE`` on a line, answered by its number. The
#: import says what it stored where it comes to its end.
IMPORTERS = """
import json, os, signal, sys
from pathlib import Path
from opengoc.accounting.importing import import_file
from opengoc.accounting.ingest import Stores
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.accounting.table import TABLE
from opengoc.store.database import open_database
from opengoc.store.lake import Lake

SUMS = f"SELECT count(*) AS jobs, count(DISTINCT (instance, global_job_id, attempt)) AS different," \\
    f" sum(wall_seconds * processors) / 3600 AS core_hours FROM {TABLE}"

def run(home, path):
    database = open_database(f"sqlite:///{home / 'goc.db'}")
    stores = Stores(database=database, lake=Lake(home / "lake"), raw=RawStore(home / "raw"))
    source = Source(name="test", format="auto", path=path, kind=Kind.BATCH)
    counts = import_file(source, stores, who="test", batch_bytes=150_000).counts
    sums = stores.lake.query(SUMS, tables=[TABLE]).to_pylist()[0]
    database.dispose()
    told = {"read": counts.read, "restated": counts.restated, "quarantined": counts.quarantined, **sums}
    (home / "told.json").write_text(json.dumps(told))

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for line in sys.stdin:
    home, path = map(Path, line.rstrip("\\n").split("\\t"))
    child = os.fork()
    if not child:
        run(home, path)
        os._exit(0)
    print(child, flush=True)
"""


class Importers:
    """Starts imports, each a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, home: Path, path: Path) -> int:
        """The number of the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{home}\t{path}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def finish(self, home: Path, path: Path) -> tuple[dict[str, Any], float]:
        """An import that nobody kills: what it stored, and how long it took."""
        begun = time.monotonic()
        number = self.start(home, path)
        while is_alive(number):
            time.sleep(0.01)
            assert time.monotonic() - begun < 120
        return json.loads((home / "told.json").read_text()), time.monotonic() - begun


def is_alive(number: int) -> bool:
    return Path(f"/proc/{number}").exists()


@contextmanager
def importers() -> Iterator[Importers]:
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield Importers(process)
    process.communicate(timeout=60)


def test_a_killed_import_begun_again_stores_every_record_once(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    under_way = 0
    with importers() as running:
        for form in FORMATS:
            path = tmp_path / f"records.{form}"
            true = write(path, form, RECORDS)
            (tmp_path / form).mkdir()
            told, seconds = running.finish(tmp_path / form, path)
            for number in range(-(-KILLS // len(FORMATS))):
                home = tmp_path / f"{form}-{number}"
                home.mkdir()
                killed = running.start(home, path)
                time.sleep(chance.uniform(0, seconds))
                if is_alive(killed):
                    under_way += 1
                    os.kill(killed, signal.SIGKILL)
                while is_alive(killed):
                    time.sleep(0.005)
                again, _ = running.finish(home, path)
                assert again == told, f"seed {seed}"
                assert (again["read"], again["jobs"], again["different"]) == (RECORDS, RECORDS, RECORDS)
                assert (again["restated"], again["quarantined"]) == (0, 0)
                assert again["core_hours"] == pytest.approx(true["core_hours"])
    # Kills that come after the work is done prove nothing.
    # Of a few short ones, luck may spare all.
    assert under_way >= KILLS // 4 or KILLS <= 5, f"seed {seed}"
