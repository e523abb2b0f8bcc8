"""Import files of usage records: each record stored once, however often a file is imported or killed.

A file is read in blocks. The bytes of a block go into the raw store, its new rows into the lake in one
commit, and then its quarantine and its manifest into the database in one transaction. Killed anywhere, the
next import of the file finds the rows of the unfinished block as duplicates; the sums are those of one
import.

The manifest of a block says what was read from it, by which reader. A block whose manifest is there is not
read again: all of its records are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from sqlalchemy import Connection

from opengoc.accounting import quarantine, state, table, tables
from opengoc.accounting.batch import Faulty, faulty
from opengoc.accounting.follow import Part
from opengoc.accounting.formats import READER
from opengoc.accounting.formats.detect import HEAD_BYTES, preamble, recognise
from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.ingest import BATCH_BYTES, Counts, Stores, counted, stow
from opengoc.accounting.model import RawReference
from opengoc.accounting.reading import Fault, Reading, read
from opengoc.accounting.seen import Known, Sorted
from opengoc.accounting.source import Source
from opengoc.accounting.state import SourceState, State
from opengoc.accounting.unpack import Window, open_plain
from opengoc.base.errors import InvalidInput
from opengoc.base.ids import canonical_json, digest, new_id
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.store import facts

#: A block may grow to this when one record does not end within it.
_LONGEST_RECORD = 8 * BATCH_BYTES
#: The largest file of columns: it is held in memory.
_MOST_COLUMNS = 2**30
#: Faults that are told at once; all of them stand in quarantine.
_REASONS = 20
_MANIFEST = "accounting-manifest"

#: Told after each block: bytes of the file done, all bytes of the file, records read so far.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What one file gave."""

    path: Path
    format: str
    counts: Counts
    #: The span of time in which the records ended; None where there are none.
    ended: Interval | None
    #: The first of the faults that were found now, as ``line 7: reason``.
    reasons: tuple[str, ...] = ()


def import_file(
    source: Source,
    stores: Stores,
    *,
    who: str,
    clock: Callable[[], datetime] = utc_now,
    batch_bytes: int = BATCH_BYTES,
    progress: Progress = lambda *_: None,
) -> Imported:
    """Store what is new in the file ``source.path``; format ``auto`` is told by its first bytes.

    Raises InvalidInput when the file cannot be opened, Temporary when the disk is full or a store is away:
    import it again then. Hold the role ``accounting`` around this.
    """
    table.declare(stores.lake)
    with open_plain(source.path) as plain, Known(stores.lake) as known:
        window = Window(plain)
        block = window.fill(max(HEAD_BYTES, batch_bytes))
        head = bytes(block[:HEAD_BYTES])
        columns = tables.recognise(head)
        if columns is not None:
            told = replace(source, format=columns)
            run = _Import(stores=stores, who=who, clock=clock, path=source.path, source=told)
            run.columns(bytes(block) + plain.read(_MOST_COLUMNS), known, progress)
            return run.done()
        form = recognise(head) if source.format == "auto" else source.format
        told = replace(source, format=form, preamble=preamble(form, head))
        run = _Import(stores=stores, who=who, clock=clock, path=source.path, source=told)
        limit = batch_bytes
        while block:
            tail = run.tail(block, at_end=len(block) < limit or limit > _LONGEST_RECORD)
            used = run.block(block, tail, known)
            progress(plain.packed_done(), plain.packed_bytes, run.counts.read)
            # A record that does not end within the block needs a longer one.
            limit = batch_bytes if used else limit * 2
            window.drop(used)
            block = window.fill(max(limit, len(block) - used))
    return run.done()


@dataclass(kw_only=True)
class _Import:
    """One import under way."""

    stores: Stores
    who: str
    clock: Callable[[], datetime]
    path: Path
    source: Source
    counts: Counts = field(default_factory=Counts)
    reasons: list[str] = field(default_factory=list)
    offset: int = 0
    line: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def tail(self, data: memoryview, *, at_end: bool) -> Tail:
        """What follows a block."""
        if not at_end:
            return Tail.OPEN
        # A per-job history file holds one ad and no banner.
        first = self.source.format == "condor-history" and not self.offset
        alone = first and b"***" not in bytes(data)
        return Tail.WHOLE if alone else Tail.ENDED

    def block(self, data: memoryview, tail: Tail, known: Known) -> int:
        """Store what a block holds; gives how many of its bytes were used."""
        sha256 = digest(data)
        key = self._manifest_key(sha256, tail)
        with self.stores.database.read() as conn:
            manifest = facts.get(conn, _MANIFEST, key)
        if manifest is None or manifest.value is None:
            return self._anew(bytes(data), tail, known, key)
        self._again(manifest.value)
        used = int(manifest.value["used"])
        # A manifest of an earlier release does not say how many lines these are.
        lines = manifest.value.get("lines")
        self._go_on(used, bytes(data[:used]).count(b"\n") if lines is None else lines)
        return used

    def columns(self, content: bytes, known: Known, progress: Progress) -> None:
        """Store what a file of columns holds; its rows are the lines of its faults."""
        if len(content) >= _MOST_COLUMNS:
            raise InvalidInput(
                str(self.path), f"{len(content)} bytes", "is too large: write it as several files"
            )
        sha256 = digest(content)
        key = self._manifest_key(sha256, Tail.WHOLE)
        with self.stores.database.read() as conn:
            manifest = facts.get(conn, _MANIFEST, key)
        if manifest is not None and manifest.value is not None:
            self._again(manifest.value)
            return
        now, before = self.clock(), self.counts
        self.stores.raw.put(content)
        ended: list[datetime] = []
        faults: list[Faulty] = []
        for reading in tables.readings(content, source=self.source, known_from=now):
            compared = self._stow(reading, known, now, sha256)
            self.counts += counted(compared, len(reading.faults))
            ended += _ends(reading)
            faults += [self._row_fault(fault, sha256) for fault in reading.faults]
            progress(0, len(content), self.counts.read)
        self.reasons += [f"line {each.line}: {each.reason}" for each in faults[:_REASONS]]
        with self.stores.database.begin() as conn:
            quarantine.put(conn, faults, now=now, who=self.who)
            self._put_manifest(conn, key, len(content), 0, self.counts - before, ended, now)
        self._saw(*ended)

    def _row_fault(self, fault: Fault, sha256: str) -> Faulty:
        """A row that is no record; it has no bytes of its own."""
        return Faulty(
            key=digest(f"{self.source.name}\n{sha256}\n{fault.start}")[:24],
            source=self.source.name,
            file=str(self.path),
            offset=fault.start,
            line=fault.start + 1,
            reason=fault.reason,
            sample=f"row {fault.start}",
            raw=RawReference(sha256=sha256, offset=0, length=0),
            reader=self.source,
        )

    def _stow(self, reading: Reading, known: Known, now: datetime, sha256: str) -> Sorted:
        return stow(
            self.stores.lake,
            known,
            reading,
            source=self.source.name,
            batch_id=new_id("import"),
            known_from=now,
            sha256=sha256,
        )

    def done(self) -> Imported:
        """What the import did; the span of the source is kept."""
        self._keep_state()
        ended = (
            Interval(self.first, self.last + timedelta(microseconds=1)) if self.first and self.last else None
        )
        return Imported(
            path=self.path,
            format=self.source.format,
            counts=self.counts,
            ended=ended,
            reasons=tuple(self.reasons),
        )

    def _go_on(self, used: int, lines: int) -> None:
        self.offset += used
        self.line += lines

    def _again(self, manifest: dict[str, Any]) -> None:
        """A block whose every record is known."""
        counts = manifest["counts"]
        known = counts["stored"] + counts["duplicate"] + counts["restated"]
        self.counts += Counts(duplicate=known, quarantined=counts["quarantined"])
        self._saw(*(datetime.fromisoformat(each) for each in manifest["ended"]))

    def _anew(self, data: bytes, tail: Tail, known: Known, key: str) -> int:
        now = self.clock()
        found = read(data, source=self.source, offset=self.offset, tail=tail, known_from=now)
        if not found.end:
            return 0
        content = data if found.end == len(data) else data[: found.end]
        sha256 = self.stores.raw.put(content)
        compared = self._stow(found, known, now, sha256)
        part = Part(path=str(self.path), offset=self.offset, line=self.line, at=0, length=len(content))
        faults = [faulty(fault, content, part, source=self.source, sha256=sha256) for fault in found.faults]
        room = _REASONS - len(self.reasons)
        self.reasons += [f"line {each.line}: {each.reason}" for each in faults[:room]]
        counts, lines = counted(compared, len(faults)), content.count(b"\n")
        ended = _ends(found)
        with self.stores.database.begin() as conn:
            quarantine.put(conn, faults, now=now, who=self.who)
            self._put_manifest(conn, key, found.end, lines, counts, ended, now)
        self.counts += counts
        self._saw(*ended)
        self._go_on(found.end, lines)
        return found.end

    def _manifest_key(self, sha256: str, tail: Tail) -> str:
        """All that decides what is read from a block."""
        source = asdict(self.source) | {"path": "", "preamble": digest(self.source.preamble)}
        return digest(canonical_json([READER, source, self.offset == 0, tail.value, sha256]))

    def _put_manifest(
        self,
        conn: Connection,
        key: str,
        used: int,
        lines: int,
        counts: Counts,
        ended: list[datetime],
        now: datetime,
    ) -> None:
        value = {
            "used": used,
            "lines": lines,
            "counts": asdict(counts),
            "ended": [each.isoformat() for each in ended],
        }
        facts.assert_fact(
            conn, kind=_MANIFEST, key=key, value=value, valid=Interval(now), who=self.who, source="accounting"
        )

    def _saw(self, *ends: datetime) -> None:
        self.first = min([each for each in (self.first, *ends) if each], default=None)
        self.last = max([each for each in (self.last, *ends) if each], default=None)

    def _keep_state(self) -> None:
        if self.first is not None and self.last is not None:
            with self.stores.database.begin() as conn:
                keep_span(conn, self.source, self.first, self.last, now=self.clock(), who=self.who)


def keep_span(
    conn: Connection, source: Source, first: datetime, last: datetime, *, now: datetime, who: str
) -> None:
    """Say from when to when there are records of a source that is not collected."""
    before = state.load(conn, source)
    current = SourceState(
        source=source.name,
        kind=source.kind.value,
        site=source.site,
        state=State.OK,
        tried_at=now,
        since=min(before.since or first, first),
        read_through=max(before.read_through or last, last),
        imported=True,
    )
    state.save(conn, current, now=now, who=who)


def _ends(reading: Reading) -> list[datetime]:
    """The earliest and the latest end; nothing where there is no record."""
    return [each.as_py() for each in pc.min_max(reading.records["ended_at"]).values() if each.is_valid]
