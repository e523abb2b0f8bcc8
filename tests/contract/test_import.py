"""Importing files: every record stored once, every byte of a file accounted for. On both databases."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from opengoc.accounting import quarantine, retry
from opengoc.accounting.export import Wanted, export
from opengoc.accounting.importing import Imported, import_file
from opengoc.accounting.ingest import Counts, Stores
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.accounting.state import load_imported
from opengoc.accounting.usage import Question, usage
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.store.database import Database
from opengoc.store.lake import Lake

FOREIGN = Path(__file__).parents[1] / "data/accounting/foreign"
SWF = b"""; Version: 2.2
; UnixStartTime: 1132444805
; Partition: 1 grid.example.org
; Group: 2 atlas
""" + b"".join(b"%d %d -1 3600 2 -1 -1 -1 -1 -1 -1 7 2 -1 -1 1 -1 -1\n" % (n, 60 * n) for n in range(1, 101))
NOVEMBER_2005 = Interval(datetime(2005, 11, 1, tzinfo=UTC), datetime(2005, 12, 1, tzinfo=UTC))
ROW = {
    "instance": "ce",
    "kind": "batch",
    "status": "completed",
    "processors": 1,
    "wall_seconds": 60.0,
    "ended_at": "2026-01-06T10:00:00Z",
}
ROW_WEEK = Interval(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))


@pytest.fixture
def stores(tmp_path: Path, database: Database) -> Stores:
    return Stores(database=database, lake=Lake(tmp_path / "lake"), raw=RawStore(tmp_path / "raw"))


def imported(stores: Stores, path: Path, *, form: str = "auto", block: int = 32 * 2**20) -> Imported:
    source = Source(name="test", format=form, path=path, kind=Kind.BATCH)
    return import_file(source, stores, who="test", batch_bytes=block)


def test_a_log_is_stored_once_and_its_second_import_changes_nothing(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "trace.swf"
    path.write_bytes(SWF)
    first = imported(stores, path)
    assert (first.format, first.counts) == ("swf", Counts(stored=100))
    assert imported(stores, path).counts == Counts(duplicate=100)
    question = Question(window=NOVEMBER_2005, by=("vo", "site"), kind=Kind.BATCH, as_of=utc_now())
    (row,) = usage(stores.lake, question).rows
    assert row.dimensions == {"vo": "atlas", "site": "grid.example.org"}
    assert (row.jobs, row.wall_seconds, row.core_seconds, row.estimated) == (100, 360_000.0, 720_000.0, 100)


def test_small_blocks_and_large_ones_store_the_same(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "trace.swf"
    path.write_bytes(SWF)
    assert imported(stores, path, block=700).counts == Counts(stored=100)
    assert imported(stores, path).counts == Counts(duplicate=100)


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, lambda plain: pyarrow.compress(plain, "zstd", asbytes=True)],
    ids=["gzip", "bzip2", "xz", "zstd"],
)
def test_packed_files_are_unpacked(stores: Stores, tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "trace"
    path.write_bytes(pack(SWF))
    assert imported(stores, path).counts == Counts(stored=100)


def test_a_packed_file_that_was_cut_off_stores_what_is_whole_and_says_so(
    stores: Stores, tmp_path: Path
) -> None:
    path = tmp_path / "trace.gz"
    path.write_bytes(gzip.compress(SWF)[:-30])
    with pytest.raises(InvalidInput, match="cannot be read after"):
        imported(stores, path)
    path.write_bytes(gzip.compress(SWF))
    assert imported(stores, path).counts.read == 100


def test_a_file_that_swells_beyond_reason_is_refused(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opengoc.accounting.unpack._ALWAYS_BYTES", 1_000_000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"\0" * 50_000_000))
    with pytest.raises(InvalidInput, match="swells to more than"):
        imported(stores, path, block=100_000)


def test_what_is_no_record_is_quarantined_with_its_line(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "trace.swf"
    path.write_bytes(SWF + b"101 0 -1 x 1 -1 -1 -1 -1 -1 -1 1 1 -1 -1 1 -1 -1\n")
    found = imported(stores, path)
    assert found.counts == Counts(stored=100, quarantined=1)
    assert found.reasons == ("line 105: field 4: 'x': must be a number",)
    with stores.database.read() as conn:
        (entry,) = quarantine.standing(conn)
    assert (entry.file, entry.line) == (str(path), 105)
    assert stores.raw.get(entry.raw.sha256, entry.raw.offset, entry.raw.length).startswith(b"101 0 -1 x")


def test_a_file_of_no_known_format_is_quarantined_whole(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"Dear all,\nthe numbers are attached.\n")
    found = imported(stores, path)
    assert (found.format, found.counts) == ("unknown", Counts(quarantined=1))
    assert "no known format of usage records begins with" in found.reasons[0]


def test_an_empty_file_holds_nothing(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert imported(stores, path).counts == Counts()


@pytest.mark.parametrize(
    "path",
    sorted(p for p in FOREIGN.rglob("*") if p.is_file() and p.name != "README.md"),
    ids=lambda p: p.name,
)
def test_every_file_of_other_projects_is_stored_or_quarantined_with_its_line(
    stores: Stores, path: Path
) -> None:
    found = imported(stores, path)
    assert found.counts.read > 0
    assert len(found.reasons) == found.counts.quarantined
    assert all(reason.startswith("line ") for reason in found.reasons)


def retry_all(stores: Stores, now: datetime) -> retry.Retried:
    with stores.database.read() as conn:
        entries = quarantine.standing(conn)
    return retry.retry(entries, {}, stores, who="test", now=now)


def test_what_was_imported_is_retried_as_it_was_read(stores: Stores, tmp_path: Path) -> None:
    """A line of sacct that has no header of its own, in local time, from a source of no settings."""
    path = tmp_path / "sacct.txt"
    late = utc_now() + timedelta(hours=3)
    start = late - timedelta(hours=1)
    jobs = [
        f"{n}|{each:%Y-%m-%dT%H:%M:%S}|{late:%Y-%m-%dT%H:%M:%S}|COMPLETED|node-1"
        for n, each in ((1, start), (2, late))
    ]
    path.write_text("\n".join(["JobID|Start|End|State|NodeList", *jobs, ""]))
    source = Source(
        name="slurm", format="auto", path=path, kind=Kind.PILOT, site="SITE-A", time_zone="Etc/GMT+1"
    )
    done = import_file(source, stores, who="test")
    assert (done.counts, "is in the future" in done.reasons[0]) == (Counts(quarantined=2), True)
    assert retry_all(stores, utc_now()).remaining == 2
    then = late + timedelta(hours=2)
    assert retry_all(stores, then) == retry.Retried(resolved=2, stored=2, remaining=0)
    window = Interval(start, then)
    (row,) = usage(stores.lake, Question(window=window, by=("site",), kind=Kind.PILOT, as_of=then)).rows
    assert (row.dimensions, row.jobs, row.wall_seconds) == ({"site": "SITE-A"}, 2, 3600.0)


def test_a_row_of_a_table_is_retried_with_the_file_it_stands_in(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    late = utc_now() + timedelta(hours=3)
    rows = {
        "global_job_id": ["1", "2"],
        "ended_at": [late, late],
        "wall_seconds": [1.0, -1.0],
        "processors": [1, 1],
    }
    pyarrow.parquet.write_table(pyarrow.table(rows), path)
    assert imported(stores, path).counts == Counts(quarantined=2)
    # The one came true, the other is wrong for ever.
    assert retry_all(stores, late) == retry.Retried(resolved=1, stored=1, remaining=1)


def test_the_span_of_what_was_imported_is_known(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "trace.swf"
    path.write_bytes(SWF)
    imported(stores, path)
    with stores.database.read() as conn:
        (state,) = load_imported(conn)
    assert state.since == datetime.fromtimestamp(1132444805 + 60 + 3600, UTC)
    assert state.read_through == datetime.fromtimestamp(1132444805 + 6000 + 3600, UTC)


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_what_is_exported_imports_as_the_same_records(stores: Stores, tmp_path: Path, form: str) -> None:
    path = tmp_path / "trace.swf"
    path.write_bytes(SWF)
    imported(stores, path)
    out = tmp_path / f"out.{form}"
    assert export(stores.lake, Wanted(window=NOVEMBER_2005, as_of=utc_now()), form, out) == 100
    assert imported(stores, out).counts == Counts(duplicate=100)


def test_rows_of_a_table_that_are_no_records_are_quarantined(stores: Stores, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    end = datetime(2026, 11, 1, tzinfo=UTC)
    columns = {
        "global_job_id": ["1", "2", None, "4"],
        "ended_at": [end, end, end, None],
        "wall_seconds": [1.0, -1.0, 1.0, 1.0],
        "processors": [1, 1, 1, 1],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    found = imported(stores, path)
    assert (found.format, found.counts) == ("parquet", Counts(stored=1, quarantined=3))
    assert found.reasons[0] == "line 2: 2 wall_seconds: -1.0: must be a number, not negative"
    assert imported(stores, path).counts == Counts(duplicate=1, quarantined=3)


def test_blanks_around_a_name_make_no_other_name_and_blanks_alone_none(
    stores: Stores, tmp_path: Path
) -> None:
    sent = ["cms", " cms ", "cms\t", "", "  ", None, "CMS"]
    rows = [{**ROW, "global_job_id": f"{n}", "vo": vo} for n, vo in enumerate(sent)]
    for name in ("slow", "columns"):
        path = tmp_path / name
        if name == "slow":
            # An object over several lines goes the slow way.
            path.write_text(json.dumps(rows, indent=1))
        else:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        assert imported(stores, path).counts.quarantined == 0
        asked = Question(window=ROW_WEEK, by=("vo",), kind=Kind.BATCH, as_of=utc_now())
        found = {row.dimensions["vo"]: row.jobs for row in usage(stores.lake, asked).rows}
        assert found == {"cms": 3, "unknown": 3, "CMS": 1}


def test_a_window_from_the_first_day_of_the_calendar_is_a_window(stores: Stores) -> None:
    every = Interval(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
    assert usage(stores.lake, Question(window=every, as_of=utc_now())).rows == ()
