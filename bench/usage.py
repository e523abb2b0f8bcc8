"""Speed of usage: the week and all of it by VO and site, from the records and from the summary.

``python -m bench.usage [ROWS]``: rows of 40 sites and 12 VOs over eight weeks, 250,000 a batch, as ``import``
stores them. Then a whole week is restated: the week as it stands, and as it was known before that. Prints
medians beside the one to be reached; never fails on a time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy
import pyarrow
from bench.records import BEGIN, SPAN_SECONDS, VOS

from opengoc.accounting import summary, table
from opengoc.accounting.summary_table import SUMMARY_TABLE
from opengoc.accounting.usage import Question, answer, usage
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval, week
from opengoc.store.database import open_database
from opengoc.store.engine import DuckDb
from opengoc.store.lake import Lake

_BATCH = 250_000
#: Seconds that a week by VO and site may take of ten million records.
GOAL = 1.5
_RUNS = 3
KNOWN_FROM = datetime(2026, 11, 10, tzinfo=UTC)
RESTATED_AT = datetime(2026, 11, 15, tzinfo=UTC)
_TIME = pyarrow.timestamp("us", tz="UTC")


def main(rows: int = 10_000_000) -> None:
    """Make the lake, and ask it."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        fill(lake, rows)
        database = open_database(f"sqlite:///{folder}/goc.db")
        one, whole = week("2026-W40"), Interval(BEGIN, week("2026-W48").start)
        for label, window, by in (
            ("week by vo, site", one, ("vo", "site")),
            ("all by vo, site", whole, ("vo", "site")),
            ("all by vo, site, week", whole, ("vo", "site", "week")),
            ("all by user", whole, ("user",)),
        ):
            question = Question(window=window, by=by, kind=None, as_of=utc_now())
            _tell(f"{label}: records", lambda asked=question: _records(lake, asked))  # type: ignore[misc]
        begun = time.perf_counter()
        done = summary.refresh(lake, database)
        print(f"{'summary made':32} {time.perf_counter() - begun:6.2f} s, {done.rows} rows")
        for label, window, by in (
            ("week by vo, site", one, ("vo", "site")),
            ("all by vo, site, week", whole, ("vo", "site", "week")),
        ):
            question = Question(window=window, by=by, kind=None, as_of=utc_now())
            _tell(f"{label}: summary", lambda asked=question: usage(lake, asked))  # type: ignore[misc]
        lake.append(table.TABLE, _rows(rows, rows), batch_id=f"batch-{rows}")
        begun = time.perf_counter()
        done = summary.refresh(lake, database)
        print(f"{'summary after one batch':32} {time.perf_counter() - begun:6.2f} s, {done.partitions} days")
        size = sum(file.stat().st_size for file in (Path(folder) / "lake" / SUMMARY_TABLE).rglob("*.parquet"))
        print(f"{'summary on disk':32} {size / 2**20:6.1f} MiB")
        restate(lake, rows, one)
        before = RESTATED_AT - timedelta(days=1)
        for label, as_of in (("wholly restated", utc_now()), ("as known before", before)):
            question = Question(window=one, by=("vo", "site"), kind=None, as_of=as_of)
            _tell(f"week {label}: records", lambda asked=question: _records(lake, asked))  # type: ignore[misc]
        database.dispose()


def fill(lake: Lake, rows: int) -> None:
    """Put records into a lake, in batches."""
    table.declare(lake)
    for begin in range(0, rows, _BATCH):
        batch = _rows(begin, rows)[: rows - begin]
        lake.append(table.TABLE, batch, batch_id=f"batch-{begin}", partition_by=[table.PARTITION])


def restate(lake: Lake, rows: int, window: Interval) -> None:
    """Every record of a window once more, known later, with more CPU."""
    assert window.end is not None
    first, last = (
        int((moment - BEGIN).total_seconds()) * rows // SPAN_SECONDS for moment in (window.start, window.end)
    )
    for begin in range(first // _BATCH * _BATCH, last, _BATCH):
        lake.append(
            table.TABLE,
            _rows(begin, rows, version=2, known_from=RESTATED_AT),
            batch_id=f"restated-{begin}",
            partition_by=[table.PARTITION],
        )


def _rows(begin: int, of: int, *, version: int = 1, known_from: datetime = KNOWN_FROM) -> pyarrow.Table:
    chance = numpy.random.default_rng(begin)
    nth = numpy.arange(begin, begin + _BATCH)
    site = (chance.pareto(1.1, _BATCH) + 1).astype(numpy.int64) % 40
    vo = numpy.array(VOS)[(chance.pareto(0.9, _BATCH) + 1).astype(numpy.int64) % len(VOS)]
    wall = numpy.minimum(chance.exponential(14_000, _BATCH).astype(numpy.int64) + 30, 4 * 86_400)
    processors = chance.choice([1, 1, 1, 4, 8], _BATCH)
    end = int(BEGIN.timestamp()) + nth * SPAN_SECONDS // of
    sites = numpy.char.add("SITE-", site.astype(str))
    columns = {name: pyarrow.nulls(_BATCH, table.READ.field(name).type) for name in table.READ.names}
    columns |= {
        "instance": numpy.char.add("ce.", sites),
        "global_job_id": numpy.char.add("job", nth.astype(str)),
        "attempt": numpy.zeros(_BATCH, numpy.int64),
        "kind": numpy.full(_BATCH, "batch"),
        "site": sites,
        "vo": vo,
        "user_name": numpy.char.add(vo, chance.integers(0, 400, _BATCH).astype(str)),
        "queue": numpy.full(_BATCH, "grid"),
        "started_at": _instants(end - wall),
        "ended_at": _instants(end),
        "wall_seconds": wall.astype(float),
        "cpu_user_seconds": (wall * processors * chance.uniform(0.3, 0.98, _BATCH)).round(),
        "processors": processors.astype(numpy.int32),
        "status": numpy.full(_BATCH, "completed"),
        "sequence": end + version,
        "benchmark": numpy.full(_BATCH, "HEPscore23"),
        "benchmark_value": 10.5 + site % 7,
        "raw_offset": nth,
    }
    stamps = {"identity": nth, "content": nth, "version": numpy.full(_BATCH, version, numpy.int32)}
    return table.rows_to_store(
        pyarrow.table({name: pyarrow.array(column) for name, column in columns.items()}, schema=table.READ),
        pyarrow.table(stamps),
        source="bench",
        batch_id=f"batch-{begin}-{version}",
        known_from=known_from,
        sha256="0" * 64,
    )


def _instants(seconds: numpy.ndarray) -> pyarrow.Array:
    return pyarrow.array(seconds * 1_000_000, pyarrow.int64()).cast(_TIME)


def _records(lake: Lake, question: Question) -> None:
    with DuckDb(lake, table.TABLE) as engine:
        answer(engine, question)


def _tell(label: str, ask: Callable[[], object]) -> None:
    spent, used = [], []
    for _ in range(_RUNS):
        begun, cpu = time.perf_counter(), time.process_time()
        ask()
        spent.append(time.perf_counter() - begun)
        used.append(time.process_time() - cpu)
    goal = f", {GOAL} to be reached" if label.startswith("week") else ""
    print(f"{label:32} {median(spent):6.2f} s ({median(used):.2f} s of CPU{goal})")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
