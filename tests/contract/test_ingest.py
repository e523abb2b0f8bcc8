"""Collecting records: every one stored once, and what a source went through is told. On both databases."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow
import pytest

from opengoc.accounting import quarantine, retry, state
from opengoc.accounting.figures import figures
from opengoc.accounting.ingest import Collected, Counts, Stores, collect
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.accounting.state import State
from opengoc.accounting.usage import Question, usage
from opengoc.base.errors import Permanent, Temporary
from opengoc.base.figure import FigureState
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval, week
from opengoc.store.database import Database
from opengoc.store.lake import Lake

SAMPLE = Path(__file__).parents[1] / "data/accounting/condor-23.9-history.txt"
FIRST = SAMPLE.read_bytes()[: SAMPLE.read_bytes().index(b"\n*** ") + 1]
END = 1795367906
W47 = week("2026-W47")


def record(number: int, *, wall: int = 100, vo: str = "cms", end: int = END) -> bytes:
    """One record of a history file: the first of the sample, as another job's."""
    ad = FIRST.replace(b"#1.2#", b"#%d.0#" % number).replace(
        b"\nClusterId = 1\n", b"\nClusterId = %d\n" % number
    )
    ad = ad.replace(b"\nProcId = 2\n", b"\nProcId = 0\n").replace(b'"cms"', b'"%s"' % vo.encode())
    ad = ad.replace(b"RemoteWallClockTime = 4.0", b"RemoteWallClockTime = %d.0" % wall)
    ad = ad.replace(b"CompletionDate = %d" % END, b"CompletionDate = %d" % end)
    return ad + b'*** Offset = -1 ClusterId = %d ProcId = 0 Owner = "vdt" CompletionDate = %d\n' % (
        number,
        end,
    )


def records(*numbers: int, **changes: int) -> bytes:
    return b"".join(record(number, **changes) for number in numbers)


@dataclass
class Site:
    """A history file, and an installation that reads it."""

    path: Path
    stores: Stores
    source: Source
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 6, tzinfo=UTC))

    def collect(self, *, batch_bytes: int = 10_000) -> Collected:
        self.now += timedelta(seconds=1)
        return collect(self.source, self.stores, who="test", clock=lambda: self.now, batch_bytes=batch_bytes)

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def sums(self, as_of: datetime | None = None) -> tuple[int, float]:
        """Jobs and wall seconds of all that stands."""
        question = Question(window=W47, by=(), as_of=as_of or self.now)
        rows = usage(self.stores.lake, question).rows
        return (rows[0].jobs, rows[0].wall_seconds) if rows else (0, 0.0)

    def in_quarantine(self) -> list[quarantine.Faulty]:
        with self.stores.database.read() as conn:
            return quarantine.standing(conn)


@pytest.fixture
def site(tmp_path: Path, database: Database) -> Site:
    (tmp_path / "spool").mkdir()
    path = tmp_path / "spool" / "history"
    stores = Stores(database=database, lake=Lake(tmp_path / "lake"), raw=RawStore(tmp_path / "raw"))
    return Site(
        path=path,
        stores=stores,
        source=Source(name="pool", format="condor-history", path=path, kind=Kind.PAYLOAD),
    )


def test_what_a_schedd_wrote_is_stored_once(site: Site) -> None:
    site.path.write_bytes(SAMPLE.read_bytes())
    assert site.collect().counts == Counts(stored=11)
    assert site.collect().counts == Counts()
    assert site.sums() == (11, 64.0)


def test_a_file_that_grows_is_read_from_where_it_was_left(site: Site) -> None:
    site.append(records(1, 2, 3))
    assert site.collect().counts.stored == 3
    site.append(record(4) + record(5)[:700])
    collected = site.collect()
    assert (collected.counts.stored, collected.state.backlog_bytes) == (1, 700)
    site.append(record(5)[700:])
    assert site.collect().counts == Counts(stored=1)
    assert site.sums() == (5, 500.0)


def test_one_record_longer_than_a_batch_is_read_whole(site: Site) -> None:
    site.append(record(1) + record(2).replace(b'Cmd = "', b'Cmd = "' + b"x" * 50_000) + record(3))
    assert site.collect(batch_bytes=4_000).counts == Counts(stored=3)


def test_the_same_data_again_is_duplicate_and_changes_nothing(site: Site) -> None:
    site.append(records(1, 2, 3))
    site.collect()
    again = Site(path=site.path.with_name("copy"), stores=site.stores, source=site.source)
    again.source = Source(name="copy", format="condor-history", path=again.path, kind=Kind.PAYLOAD)
    again.append(records(1, 2, 3, 3))
    assert again.collect().counts == Counts(duplicate=4)
    assert site.sums() == (3, 300.0)


def test_a_changed_record_is_a_restatement_and_the_past_stays_readable(site: Site) -> None:
    site.append(records(1, 2))
    site.collect()
    before = site.now
    site.append(record(2, wall=160))
    assert site.collect().counts == Counts(restated=1)
    assert site.sums() == (2, 260.0)
    assert site.sums(as_of=before) == (2, 200.0)
    assert site.sums(as_of=before - timedelta(hours=1)) == (0, 0.0)


def test_an_older_version_that_comes_late_does_not_stand(site: Site) -> None:
    newer = record(1, wall=160).replace(
        b"EnteredCurrentStatus = %d" % END, b"EnteredCurrentStatus = %d" % (END + 60)
    )
    site.append(newer + record(1, wall=100))
    assert site.collect().counts == Counts(stored=1, restated=1)
    assert site.sums() == (1, 160.0)


def test_a_restatement_that_moves_a_job_to_another_week_moves_it_whole(site: Site) -> None:
    site.append(records(1, 2))
    site.collect()
    site.append(record(2, end=END - 14 * 86_400, wall=100).replace(b"StartDate", b"Other"))
    site.collect()
    assert site.sums() == (1, 100.0)
    rows = usage(site.stores.lake, Question(window=week("2026-W45"), by=("vo",), as_of=site.now)).rows
    assert [row.jobs for row in rows] == [1]


def test_a_rotated_file_is_finished_before_the_new_one_is_begun(site: Site) -> None:
    site.append(records(1, 2) + record(3)[:900])
    site.collect()
    site.append(record(3)[900:] + record(4))
    site.path.rename(site.path.with_name("history.20261122T180000"))
    site.append(records(5, 6))
    collected = site.collect()
    assert collected.counts == Counts(stored=4)
    assert (collected.state.state, collected.state.notices) == (State.OK, ())
    assert site.sums() == (6, 600.0)
    assert site.collect().counts == Counts()


def test_a_log_is_not_missing_between_its_rotation_and_the_next_record(site: Site) -> None:
    site.append(records(1))
    site.collect()
    site.path.rename(site.path.with_name("history.20261122T180000"))
    assert site.collect().state.state is State.OK


def test_a_rotated_file_may_go_once_it_was_read_to_its_end(site: Site) -> None:
    rotated = site.path.with_name("history.20261122T180000")
    site.append(records(1))
    site.path.rename(rotated)
    site.append(records(2))
    site.collect()
    rotated.unlink()
    assert site.collect().state.gaps == ()


Pack = Callable[[bytes], bytes]
PACKINGS = [
    (".1.gz", gzip.compress),
    (".2.bz2", bz2.compress),
    ("-20261122.xz", lzma.compress),
    (".20261122T180000.zst", lambda plain: pyarrow.compress(plain, "zstd", asbytes=True)),
]


@pytest.mark.parametrize(("ending", "pack"), PACKINGS, ids=["gzip", "bzip2", "xz", "zstd"])
def test_a_rotated_file_that_is_packed_is_read_on_from_where_it_was_left(
    site: Site, ending: str, pack: Pack
) -> None:
    site.append(records(1, 2) + record(3)[:900])
    site.collect()
    site.append(record(3)[900:] + record(4))
    packed = site.path.with_name(f"history{ending}")
    packed.write_bytes(pack(site.path.read_bytes()))
    site.path.unlink()
    site.append(records(5, 6))
    collected = site.collect()
    assert collected.counts == Counts(stored=4)
    assert (collected.state.notices, collected.state.gaps) == ((), ())
    assert site.sums() == (6, 600.0)
    assert site.collect().counts == Counts()
    # It is rotated on, then copied: told by its place, then by its bytes.
    moved = packed.rename(site.path.with_name(f"history.9{packed.suffix}"))
    assert site.collect().counts == Counts()
    copy = moved.with_name("copy")
    copy.write_bytes(moved.read_bytes())
    copy.replace(moved)
    assert site.collect().counts == Counts()


def test_a_packed_file_that_was_never_seen_plain_is_read_once_and_not_opened_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.path.with_name("history.1.gz").write_bytes(gzip.compress(records(1, 2, 3)))
    site.append(records(4))
    assert site.collect().counts == Counts(stored=4)

    def refused(*_: object) -> None:
        raise AssertionError("it was opened again")

    monkeypatch.setattr("opengoc.accounting.packed.open_plain", refused)
    site.append(records(5))
    assert site.collect().counts == Counts(stored=1)


def test_a_packed_file_that_is_still_written_waits_and_one_that_stays_cut_off_is_a_gap(site: Site) -> None:
    site.now = utc_now()
    whole = gzip.compress(records(*range(40)), compresslevel=0)
    packed = site.path.with_name("history.1.gz")
    packed.write_bytes(whole[: len(whole) // 2])
    site.append(records(99))
    waiting = site.collect()
    assert (waiting.counts, waiting.state.gaps) == (Counts(stored=1), ())
    assert "is not whole yet" in waiting.state.notices[0]
    site.now += timedelta(hours=1)
    cut = site.collect()
    assert cut.counts.stored >= 10
    assert cut.counts.quarantined == 0
    assert "what follows was not read" in cut.state.gaps[0].reason
    assert len(site.collect().state.gaps) == 1
    # Somebody restores it.
    packed.write_bytes(whole)
    assert site.collect().counts == Counts(stored=40 - cut.counts.stored)
    assert site.sums()[0] == 41


def test_a_packed_file_that_swells_beyond_reason_fills_no_disk_and_is_a_gap(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opengoc.accounting.unpack._ALWAYS_BYTES", 1_000_000)
    site.path.with_name("history.1.gz").write_bytes(gzip.compress(b"\0" * 100_000_000))
    site.append(records(1))
    site.now = utc_now() + timedelta(hours=1)
    collected = site.collect()
    assert collected.counts.stored == 1
    assert "swells to more than" in collected.state.gaps[0].reason


def test_a_file_that_went_away_unread_is_told_as_a_gap(site: Site) -> None:
    site.append(records(1))
    site.collect()
    site.path.unlink()
    site.append(records(9, 10))
    collected = site.collect()
    assert collected.counts == Counts(stored=2)
    assert "was replaced" in collected.state.gaps[0].reason
    # What may be lost was written since the last reading: not in the week before.
    assert "was replaced" in collected.state.lacking(week("2026-W48"))
    assert "was replaced" not in collected.state.lacking(W47)
    assert len(site.collect().state.gaps) == 1


def test_a_truncated_file_is_told_and_read_again_without_counting_twice(site: Site) -> None:
    site.append(records(1, 2, 3))
    site.collect()
    with site.path.open("r+b") as file:
        file.truncate(len(record(1)))
    site.append(record(7))
    collected = site.collect()
    assert collected.counts == Counts(duplicate=1, stored=1)
    assert "shrank" in collected.state.notices[0]
    assert site.sums() == (4, 400.0)


def test_a_copy_that_takes_the_place_of_the_file_goes_on_where_it_was(site: Site) -> None:
    site.append(records(1, 2, 3))
    site.collect()
    copy = site.path.with_name("copy")
    copy.write_bytes(site.path.read_bytes())
    copy.replace(site.path)
    site.append(record(4))
    collected = site.collect()
    assert collected.counts == Counts(stored=1)
    assert collected.state.notices == ()


def test_a_source_that_is_not_there_is_missing_with_its_reason_and_never_zero(site: Site) -> None:
    collected = site.collect()
    assert collected.state.state is State.MISSING
    assert "No such file" in collected.state.reason
    question = Question(window=W47, by=("vo",), kind=Kind.PAYLOAD, as_of=site.now)
    made = figures(site.stores.lake, question, [collected.state], expected=[{"vo": "cms"}])
    assert {figure.state for figure in made} == {FigureState.MISSING}
    assert all("No such file" in figure.reason for figure in made)


def test_zero_is_said_only_when_the_source_was_read_and_nothing_ran(site: Site) -> None:
    site.append(record(1, end=END - 14 * 86_400).replace(b"StartDate", b"Other"))
    read = site.collect().state
    question = Question(window=W47, by=("vo",), kind=Kind.PAYLOAD, as_of=site.now)
    states = {f.name: f.state for f in figures(site.stores.lake, question, [read], expected=[{"vo": "cms"}])}
    assert states["payload_jobs"] is FigureState.ZERO
    assert states["wall_hours"] is FigureState.ZERO
    assert states["cpu_efficiency"] is FigureState.MISSING
    partly = Source(name="other", format="condor-history", path=site.path / "no", kind=Kind.PAYLOAD)
    with site.stores.database.read() as conn:
        never = state.load(conn, partly)
    partial = figures(site.stores.lake, question, [read, never], expected=[{"vo": "cms"}])
    assert {f.state for f in partial if f.name == "payload_jobs"} == {FigureState.PARTIAL}


def test_damage_in_the_middle_is_quarantined_with_its_place_and_the_rest_is_stored(site: Site) -> None:
    broken = record(2).replace(b"RemoteWallClockTime = 100.0", b"RemoteWallClockTime = -5.0")
    site.append(record(1) + broken + record(3) + b"\xff\xfe not an ad\n*** nothing\n" + record(4))
    assert site.collect().counts == Counts(stored=3, quarantined=2)
    first, second = sorted(site.in_quarantine(), key=lambda each: each.offset)
    assert (first.file, first.line) == (str(site.path), record(1).count(b"\n") + 1)
    assert first.offset == len(record(1))
    assert "not negative" in first.reason
    assert site.stores.raw.get(first.raw.sha256, first.raw.offset, first.raw.length) == broken
    assert "not an ad" in second.sample


def test_quarantined_bytes_read_twice_are_one_entry_and_the_counts_still_add_up(site: Site) -> None:
    bad = record(2).replace(b"RemoteWallClockTime", b"Nothing")
    site.append(bad + record(1) + bad)
    collected = site.collect()
    assert (collected.counts.read, collected.counts.quarantined) == (3, 2)
    assert len(site.in_quarantine()) == 1


def test_a_record_from_the_future_is_stored_by_a_retry_once_its_time_has_come(site: Site) -> None:
    late = int(site.now.timestamp()) + 3600
    site.append(
        record(1, end=late).replace(b"EnteredCurrentStatus = %d" % END, b"EnteredCurrentStatus = %d" % late)
    )
    assert site.collect().counts == Counts(quarantined=1)
    (entry,) = site.in_quarantine()
    assert "in the future" in entry.reason
    sources = {site.source.name: site.source}
    too_early = retry.retry([entry], sources, site.stores, who="test", now=site.now)
    assert (too_early.resolved, too_early.remaining) == (0, 1)
    then = site.now + timedelta(hours=2)
    done = retry.retry([entry], sources, site.stores, who="test", now=then)
    assert (done.resolved, done.stored, done.remaining) == (1, 1, 0)
    assert site.in_quarantine() == []
    again = retry.retry([entry], sources, site.stores, who="test", now=then)
    assert again.stored == 0
    one_week = Interval(W47.start, then + timedelta(hours=1))
    rows = usage(site.stores.lake, Question(window=one_week, by=("vo",), as_of=then)).rows
    assert [row.jobs for row in rows] == [1]


def test_a_clock_that_was_set_back_loses_nothing_and_stores_nothing_twice(site: Site) -> None:
    site.append(records(1, 2))
    site.collect()
    site.now -= timedelta(days=2)
    # To such a clock, what ends now ends in the future.
    site.append(record(3))
    assert site.collect().counts == Counts(quarantined=1)
    site.now += timedelta(days=2)
    site.append(record(4))
    assert site.collect().counts == Counts(stored=1)
    entries = site.in_quarantine()
    done = retry.retry(entries, {site.source.name: site.source}, site.stores, who="test", now=site.now)
    assert (done.resolved, done.stored) == (1, 1)
    assert site.sums() == (4, 400.0)


def test_a_folder_of_files_per_job_is_read_file_by_file(site: Site) -> None:
    folder = site.path.with_name("per-job")
    folder.mkdir()
    site.source = Source(name="pool", format="condor-history", path=folder, kind=Kind.PAYLOAD)
    for number in range(5):
        (folder / f"history.{number}.0").write_bytes(record(number)[: record(number).index(b"*** ")])
    (folder / ".history.9.0.tmp").write_bytes(b"half")
    assert site.collect().counts == Counts(stored=5)
    (folder / "history.7.0").write_bytes(record(7)[: record(7).index(b"*** ")])
    assert site.collect().counts == Counts(stored=1)
    assert site.collect().counts == Counts()
    assert site.sums() == (6, 600.0)


Breaker = Callable[[pytest.MonkeyPatch, Site], None]


def _no_append(patch: pytest.MonkeyPatch, site: Site) -> None:
    def full(*_: object, **__: object) -> bool:
        raise Temporary("no space left")

    patch.setattr(site.stores.lake, "append", full)


def _append_then_die(patch: pytest.MonkeyPatch, site: Site) -> None:
    real = site.stores.lake.append

    def dies(*args: object, **options: object) -> bool:
        real(*args, **options)  # type: ignore[arg-type]
        raise Temporary("killed after the append")

    patch.setattr(site.stores.lake, "append", dies)


@pytest.mark.parametrize("breaker", [_no_append, _append_then_die])
def test_a_batch_that_was_under_way_is_finished_by_the_next_run(
    site: Site, monkeypatch: pytest.MonkeyPatch, breaker: Breaker
) -> None:
    bad = record(8).replace(b"RemoteWallClockTime", b"Nothing")
    site.append(records(1, 2) + bad + record(2, wall=150))
    with monkeypatch.context() as patch:
        breaker(patch, site)
        with pytest.raises(Temporary):
            site.collect(batch_bytes=10**6)
    site.path.unlink()
    # The file is gone; the batch is finished from what was kept.
    collected = site.collect()
    assert collected.counts == Counts(stored=2, restated=1, quarantined=1)
    assert collected.state.state is State.MISSING
    assert site.sums() == (2, 250.0)
    assert len(site.in_quarantine()) == 1


def test_raw_bytes_that_were_changed_are_not_taken_for_what_was_kept(site: Site) -> None:
    sha256 = site.stores.raw.put(b"as it came")
    assert site.stores.raw.put(b"as it came") == sha256
    kept = next((site.path.parent.parent / "raw").glob(f"*/{sha256}"))
    kept.write_bytes(b"as it was not")
    with pytest.raises(Permanent, match="damaged"):
        site.stores.raw.get(sha256)
    kept.unlink()
    with pytest.raises(Permanent, match="gone"):
        site.stores.raw.get(sha256)


def test_the_state_of_a_source_is_kept_as_it_was_known(site: Site) -> None:
    before = utc_now()
    site.append(records(1))
    site.collect()
    with site.stores.database.read() as conn:
        assert state.load(conn, site.source).state is State.OK
        assert state.load(conn, site.source, known_at=before).state is State.NEVER
