"""Imports killed at any time and begun again: every record is stored once, and the sums are true."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench.records import write

from opengoc.accounting.importing import import_file
from opengoc.accounting.ingest import Stores
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.accounting.table import TABLE
from opengoc.store.database import open_database
from opengoc.store.lake import Lake

RECORDS = 5_000
#: Imports one file after another in small blocks, and says when it begins.
IMPORTER = """
import sys
from pathlib import Path
from opengoc.accounting.importing import import_file
from opengoc.accounting.ingest import Stores
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.store.database import open_database
from opengoc.store.lake import Lake
home, path = Path(sys.argv[1]), Path(sys.argv[2])
database = open_database(f"sqlite:///{home / 'goc.db'}")
stores = Stores(database=database, lake=Lake(home / "lake"), raw=RawStore(home / "raw"))
print("begun", flush=True)
source = Source(name="test", format="auto", path=path, kind=Kind.BATCH)
import_file(source, stores, who="test", batch_bytes=150_000)
print("done", flush=True)
"""


@pytest.mark.parametrize("form", ["apel", "json", "ur-xml"])
def test_a_killed_import_begun_again_stores_every_record_once(tmp_path: Path, form: str) -> None:
    path = tmp_path / "records"
    true = write(path, form, RECORDS)
    chance = random.Random(form)
    killed = 0
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORTER, str(tmp_path), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(chance.uniform(0, 0.6))
        process.send_signal(signal.SIGKILL)
        killed += "done" not in process.communicate(timeout=60)[0]
    assert killed > 0
    database = open_database(f"sqlite:///{tmp_path / 'goc.db'}")
    stores = Stores(database=database, lake=Lake(tmp_path / "lake"), raw=RawStore(tmp_path / "raw"))
    source = Source(name="test", format="auto", path=path, kind=Kind.BATCH)
    counts = import_file(source, stores, who="test", batch_bytes=150_000).counts
    database.dispose()
    assert (counts.read, counts.restated, counts.quarantined) == (RECORDS, 0, 0)
    sums = stores.lake.query(
        "SELECT count(*) AS jobs, count(DISTINCT (instance, global_job_id, attempt)) AS different,"
        f" sum(wall_seconds * processors) / 3600 AS core_hours FROM {TABLE}",
        tables=[TABLE],
    ).to_pylist()[0]
    assert (sums["jobs"], sums["different"]) == (RECORDS, RECORDS)
    assert sums["core_hours"] == pytest.approx(true["core_hours"])
