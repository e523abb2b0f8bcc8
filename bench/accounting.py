"""Speed of accounting: records a second through each step. Prints figures, never fails on a time."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from opengoc.accounting.formats import FORMATS
from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.ingest import Stores, collect
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.accounting.usage import Question, usage
from opengoc.base.instant import utc_now
from opengoc.base.interval import week
from opengoc.store.database import open_database
from opengoc.store.lake import Lake

SAMPLE = Path(__file__).parent.parent / "tests/data/accounting/condor-23.9-history.txt"


def write_history(path: Path, count: int) -> None:
    """A history file of ``count`` jobs, as large and as ordered as a schedd writes it."""
    sample = SAMPLE.read_bytes()
    ad = sample[: sample.index(b"\n*** ") + 1]
    last_line = at = 0
    with path.open("wb") as file:
        for number in range(count):
            job = ad.replace(b"#1.2#", b"#%d.0#" % number)
            job = job.replace(b"\nClusterId = 1\n", b"\nClusterId = %d\n" % number)
            job = job.replace(b"\nProcId = 2\n", b"\nProcId = 0\n")
            told = '*** Offset = {} ClusterId = {} ProcId = 0 Owner = "vdt" CompletionDate = 1795367906\n'
            banner = told.format(last_line, number).encode()
            last_line, at = at + len(job), at + len(job) + len(banner)
            file.write(job + banner)


def main(count: int = 60_000) -> None:
    """Read, store, read again, and ask."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path = home / "history"
        write_history(path, count)
        source = Source(name="bench", format="condor-history", path=path, kind=Kind.PAYLOAD)
        data = path.read_bytes()[: 64 * 1024 * 1024]
        begun, used = time.perf_counter(), time.process_time()
        read = sum(
            piece.record is not None
            for piece in FORMATS["condor-history"](data, source=source, offset=0, tail=Tail.OPEN)
        )
        _tell("parse condor-history", read, begun, used)
        database = open_database(f"sqlite:///{home / 'goc.db'}")
        stores = Stores(database=database, lake=Lake(home / "lake"), raw=RawStore(home / "raw"))
        begun, used = time.perf_counter(), time.process_time()
        _tell("collect, all new", collect(source, stores, who="bench").counts.stored, begun, used)
        again = Source(name="again", format="condor-history", path=path, kind=Kind.PAYLOAD)
        begun, used = time.perf_counter(), time.process_time()
        _tell("collect, all known", collect(again, stores, who="bench").counts.duplicate, begun, used)
        begun, used = time.perf_counter(), time.process_time()
        rows = usage(stores.lake, Question(window=week("2026-W47"), as_of=utc_now())).rows
        _tell("usage by vo and site", sum(row.jobs for row in rows), begun, used)
        database.dispose()


def _tell(step: str, records: int, begun: float, used: float) -> None:
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    print(
        f"{step:24} {records:8} records {records / wall:10.0f} records/s ({records / cpu:.0f} a CPU second)"
    )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
