"""Speed of accounting: import of each format, replay, usage. Prints figures, never fails on a time.

``python -m bench.accounting [RECORDS] [FORMAT…]``; each step's figure is beside the one to be reached and,
where one was measured with the same records on such a machine, beside the one of the software in use today.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from bench.records import BEGIN, FORMATS, write

from opengoc.accounting.importing import import_file
from opengoc.accounting.ingest import Stores
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.accounting.table import TABLE
from opengoc.accounting.usage import Question, usage
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval, week
from opengoc.store.database import open_database
from opengoc.store.lake import Lake

#: Format → records a second to be reached, and what another software does.
GOALS = {
    "apel": (25_000, "APEL with MariaDB 1,350-1,700"),
    "ur-xml": (12_000, "GRACC's collector, parse and forward alone, 1,540-1,900"),
    "json": (80_000, "AUDITOR's SQL alone 7,500"),
    "condor-history": (25_000, ""),
    "parquet": (200_000, ""),
}
REPLAY = 300_000


def main(count: int = 200_000, *forms: str) -> None:
    """Import each format into a home of its own, import it again, and ask for usage."""
    for form in forms or FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            _one(Path(folder), form, count)
    print(f"peak memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _one(home: Path, form: str, count: int) -> None:
    path = home / f"records.{form}"
    sums = write(path, form, count)
    database = open_database(f"sqlite:///{home / 'goc.db'}")
    stores = Stores(database=database, lake=Lake(home / "lake"), raw=RawStore(home / "raw"))
    source = Source(name="bench", format="auto", path=path, kind=Kind.BATCH)
    goal, other = GOALS[form]
    begun, used = time.perf_counter(), time.process_time()
    stored = import_file(source, stores, who="bench").counts.stored
    imported = utc_now()
    _tell(f"import {form}", stored, begun, used, goal, other)
    begun, used = time.perf_counter(), time.process_time()
    known = import_file(source, stores, who="bench").counts.duplicate
    _tell(f"import {form} again", known, begun, used, REPLAY)
    size = sum(file.stat().st_size for file in (home / "lake" / TABLE).rglob("*") if file.is_file())
    print(f"{'':24} lake {size / 2**20 / count * 1e6:.0f} MiB a million (120 to be kept)")
    begun = time.perf_counter()
    whole = Interval(BEGIN, week("2026-W48").start)
    (row,) = usage(stores.lake, Question(window=whole, by=(), kind=None, as_of=utc_now())).rows
    true = row.jobs == sums["jobs"] and abs(row.core_seconds / 3600 - sums["core_hours"]) < 1e-3
    print(
        f"{'usage of all':24} {time.perf_counter() - begun:.2f} s, sums {'are true' if true else 'ARE FALSE'}"
    )
    now = _seconds_of_week(stores.lake, utc_now())
    before = _seconds_of_week(stores.lake, imported)
    print(f"{'week by vo and site':24} {now:.2f} s, as known before: {before:.2f} s (1.5 and twice as long)")
    database.dispose()


def _seconds_of_week(lake: Lake, as_of: datetime) -> float:
    """How long the usage of a week takes, by VO and site: the shorter of two."""
    took = []
    for _ in range(2):
        begun = time.perf_counter()
        usage(lake, Question(window=week("2026-W40"), by=("vo", "site"), kind=None, as_of=as_of))
        took.append(time.perf_counter() - begun)
    return min(took)


def _tell(step: str, records: int, begun: float, used: float, goal: int, other: str = "") -> None:
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    rate = records / wall
    beside = f"; {other}" if other else ""
    print(
        f"{step:24} {records:8} records {rate:10.0f} a second, {rate / goal:.1f} of {goal}"
        f" ({records / cpu:.0f} a CPU second){beside}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 200_000, *sys.argv[2:])
