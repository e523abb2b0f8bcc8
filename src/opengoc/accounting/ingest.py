"""Collect usage records: every record stored once, whatever is killed when.

Three places take part, and one of them decides. The database holds one cursor value per source: how far it
was read, and the batch that is under way. A batch goes

1. its bytes into the raw store (on disk under their digest),
2. its description beside the cursor, one transaction: from here on it will be stored,
3. its new rows into the lake, in one Delta commit that carries the batch's id,
4. its quarantine, its counts and the next position, one transaction: it is stored.

A process killed before 2 read nothing. Killed after 2, the next one finishes the batch from its description
first: it makes the same rows from the raw bytes, and a lake that has the batch's id already takes none of
them. See docs/explanation/exactly-once.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from opengoc.accounting import quarantine, state, table
from opengoc.accounting.batch import Batch, Faulty, faulty, read_part
from opengoc.accounting.follow import (
    Chunk,
    Notice,
    Part,
    Unreadable,
    advance,
    folder_chunks,
    is_packed,
    is_still,
    lost,
    survey,
)
from opengoc.accounting.logs import OpenFiles
from opengoc.accounting.position import Position
from opengoc.accounting.raw import RawStore
from opengoc.accounting.reading import Reading, joined
from opengoc.accounting.seen import Known, Sorted
from opengoc.accounting.source import Source
from opengoc.accounting.state import Gap, SourceState, State
from opengoc.base.errors import Temporary
from opengoc.base.ids import new_id
from opengoc.base.instant import utc_now
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.lake import Lake

_LOG = logging.getLogger(__name__)
#: Bytes of a source that become one batch: large enough that a commit costs little beside reading them.
BATCH_BYTES = 32 * 1024 * 1024
#: Batches after which the files of the lake's table are joined.
_APPENDS_A_COMPACTION = 32
#: A file that is rotated while it is read is looked for again this often before the next collection.
_PASSES = 3


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Where collected records go."""

    database: Database
    lake: Lake
    raw: RawStore


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of the records that were read: ``read`` is always the sum of the other four."""

    stored: int = 0
    duplicate: int = 0
    restated: int = 0
    quarantined: int = 0

    @property
    def read(self) -> int:
        """Records and faults found in the bytes."""
        return self.stored + self.duplicate + self.restated + self.quarantined

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            stored=self.stored - other.stored,
            duplicate=self.duplicate - other.duplicate,
            restated=self.restated - other.restated,
            quarantined=self.quarantined - other.quarantined,
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            stored=self.stored + other.stored,
            duplicate=self.duplicate + other.duplicate,
            restated=self.restated + other.restated,
            quarantined=self.quarantined + other.quarantined,
        )


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What one collection of one source did."""

    source: str
    counts: Counts
    bytes: int
    state: SourceState


def stow(
    lake: Lake,
    known: Known,
    reading: Reading,
    *,
    source: str,
    batch_id: str,
    known_from: datetime,
    sha256: str,
) -> Sorted:
    """Put what is new of a reading into the lake, in one commit under the batch's id. May be done again."""
    compared = known.sort_out(reading.records)
    if len(compared.rows):
        rows = table.rows_to_store(
            compared.rows,
            compared.stamps,
            source=source,
            batch_id=batch_id,
            known_from=known_from,
            sha256=sha256,
        )
        lake.append(table.TABLE, rows, batch_id=batch_id, partition_by=[table.PARTITION])
        known.add(compared)
    return compared


def counted(compared: Sorted, faults: int) -> Counts:
    """The counts of a batch."""
    return Counts(
        stored=compared.stored,
        duplicate=compared.duplicate,
        restated=compared.restated,
        quarantined=faults,
    )


#: Told after each batch: bytes stored so far, bytes known to wait, records read so far.
Progress = Callable[[int, int, int], None]


def collect(
    source: Source,
    stores: Stores,
    *,
    who: str,
    clock: Callable[[], datetime] = utc_now,
    batch_bytes: int = BATCH_BYTES,
    progress: Progress = lambda *_: None,
) -> Collected:
    """Read what is new in a source and store it, exactly once.

    A source that cannot be read ends as state ``missing`` with the reason, after what could be read. Raises
    Temporary when the disk is full or a store is away: nothing is lost, and the next call goes on. One
    process at a time may collect into a home; hold the role ``accounting`` around this.
    """
    table.declare(stores.lake)
    run = _Run(source=source, stores=stores, who=who, clock=clock, progress=progress)
    started = clock()
    run.finish_pending()
    notices: list[Notice] = []
    reason = ""
    try:
        for _ in range(_PASSES):
            found, settled = _read(run, batch_bytes)
            notices += found
            if settled:
                break
    except Unreadable as error:
        reason = str(error)
    finally:
        run.close()
    current = _next_state(run, started, reason, notices)
    with stores.database.begin() as conn:
        state.save(conn, current, now=clock(), who=who)
    return Collected(source=source.name, counts=run.counts, bytes=run.bytes_done, state=current)


@dataclass(kw_only=True)
class _Run:
    """One collection under way."""

    source: Source
    stores: Stores
    who: str
    clock: Callable[[], datetime]
    progress: Progress
    counts: Counts = field(default_factory=Counts)
    bytes_done: int = 0
    bytes_waiting: int = 0
    backlog_bytes: int = 0
    first_end: datetime | None = None
    known: Known | None = None

    @property
    def cursor_name(self) -> str:
        return f"accounting:{self.source.name}"

    def cursor(self) -> dict[str, Any] | None:
        with self.stores.database.read() as conn:
            value: dict[str, Any] | None = ledger.cursor(conn, self.cursor_name)
        return value

    def position(self) -> Position:
        cursor = self.cursor()
        return Position.from_json(cursor["position"]) if cursor else Position()

    def finish_pending(self) -> None:
        """Finish the batch that a killed run left."""
        cursor = self.cursor()
        if cursor is None or cursor["pending"] is None:
            return
        batch = Batch.from_json(cursor["pending"])
        data = self.stores.raw.get(batch.sha256)
        readings = [
            read_part(data, part, source=self.source, tail=batch.tail, known_from=batch.known_from)
            for part in batch.parts
        ]
        # Rows of the batch are there when the killed run came so far: they are not known before it.
        with Known(self.stores.lake, without=batch.id) as known:
            self._apply(batch, data, readings, cursor, known)

    def settle(self, position: Position) -> None:
        """Keep a position that changed without new records: files moved, or went away."""
        before = self.cursor()
        if before is None or Position.from_json(before["position"]) == position:
            return
        with self.stores.database.begin() as conn:
            value = {"position": position.to_json(), "pending": None}
            ledger.move_cursor(conn, self.cursor_name, value, expect=before)

    def store(self, chunk: Chunk, readings: list[Reading], known_from: datetime) -> None:
        """Steps 1 and 2, then ``_apply``."""
        before = self.cursor()
        batch = Batch(
            id=new_id("batch"),
            sha256=self.stores.raw.put(chunk.data),
            parts=chunk.parts,
            tail=chunk.tail,
            known_from=known_from,
            next=chunk.next,
        )
        position = before["position"] if before else Position().to_json()
        intent = {"position": position, "pending": batch.to_json()}
        with self.stores.database.begin() as conn:
            ledger.move_cursor(conn, self.cursor_name, intent, expect=before)
        self._apply(batch, chunk.data, readings, intent, self._known_now())

    def _known_now(self) -> Known:
        """What is known; asked again when somebody else wrote to the table."""
        if self.known is None:
            self.known = Known(self.stores.lake)
        self.known.renew()
        return self.known

    def close(self) -> None:
        """Let go of what is known."""
        if self.known is not None:
            self.known.close()
            self.known = None

    def _apply(
        self, batch: Batch, data: bytes, readings: list[Reading], intent: dict[str, Any], known: Known
    ) -> None:
        """Steps 3 and 4; may be done again."""
        faults: list[Faulty] = [
            faulty(fault, data, part, source=self.source, sha256=batch.sha256)
            for part, reading in zip(batch.parts, readings, strict=True)
            for fault in reading.faults
        ]
        whole = joined(readings)
        compared = stow(
            self.stores.lake,
            known,
            whole,
            source=self.source.name,
            batch_id=batch.id,
            known_from=batch.known_from,
            sha256=batch.sha256,
        )
        done = {"position": batch.next.to_json(), "pending": None}
        with self.stores.database.begin() as conn:
            quarantine.put(conn, faults, now=batch.known_from, who=self.who)
            ledger.move_cursor(conn, self.cursor_name, done, expect=intent)
        self.counts += counted(compared, len(faults))
        if len(compared.rows):
            self._keep_files_few()
        self.bytes_done += len(data)
        first = pc.min(whole.records["ended_at"]).as_py()
        self.first_end = min([each for each in (first, self.first_end) if each], default=None)
        self.progress(self.bytes_done, self.bytes_waiting, self.counts.read)

    def _keep_files_few(self) -> None:
        """Join the small files that batches leave, now and then: every look at the lake opens them all."""
        version = self.stores.lake.version(table.TABLE)
        if version is None or version % _APPENDS_A_COMPACTION:
            return
        try:
            self.stores.lake.compact(table.TABLE)
            if self.known is not None:
                # Compaction moves rows and changes none.
                self.known.in_step()
        except Temporary as error:
            # What was collected is stored; only reading it stays slow.
            _LOG.warning("action=accounting.compact source=%s error=%s", self.source.name, error)


def _read(run: _Run, batch_bytes: int) -> tuple[list[Notice], bool]:
    """One pass over a source; gives what to tell, and whether nothing moved meanwhile."""
    if not run.source.path.is_dir():
        return _read_log(run, batch_bytes)
    for chunk in folder_chunks(run.source.path, run.position(), batch_bytes):
        run.bytes_waiting = run.bytes_done + len(chunk.data)
        now = run.clock()
        readings = [
            read_part(chunk.data, part, source=run.source, tail=chunk.tail, known_from=now)
            for part in chunk.parts
        ]
        run.store(chunk, readings, now)
    return [], True


def _read_log(run: _Run, batch_bytes: int) -> tuple[list[Notice], bool]:
    path, known = run.source.path, run.position().files
    with ExitStack() as stack:
        found = OpenFiles(known=known, stack=stack)
        for each in survey(path):
            if is_packed(each, path):
                found.open_packed(each, run.clock())
            else:
                found.open_plain(each, rotated=each != path)
        logs = found.logs
        notices = found.notices + lost(known, found.matched)
        run.bytes_waiting = run.bytes_done + sum(log.unread for log in logs)
        for log in logs:
            while (read := log.read(run.source, batch_bytes, now := run.clock())) is not None:
                data, reading, tail = read
                part = Part(
                    path=log.position.path,
                    offset=log.position.offset,
                    line=log.position.line,
                    at=0,
                    length=len(data),
                )
                log.position = advance(log.file, log.position, data)
                chunk = Chunk(data=data, parts=(part,), tail=tail, next=found.position())
                run.store(chunk, [reading], now)
        run.settle(found.position())
        run.backlog_bytes = sum(log.unread for log in logs)
        current = next((log for log in logs if not log.rotated), None)
        return notices, current is None or is_still(path, current.position)


def _next_state(run: _Run, started: datetime, reason: str, notices: list[Notice]) -> SourceState:
    """The state of the source after this collection."""
    with run.stores.database.read() as conn:
        before = state.load(conn, run.source)
    opened = before.read_through or before.since or started
    gaps = [
        Gap(start=min(opened, started - timedelta(microseconds=1)), end=started, reason=notice.what)
        for notice in notices
        if notice.gap
    ]
    since = [each for each in (before.since, run.first_end, None if reason else started) if each]
    return SourceState(
        source=run.source.name,
        kind=run.source.kind.value,
        site=run.source.site,
        state=State.MISSING if reason else State.OK,
        reason=reason,
        tried_at=started,
        read_through=before.read_through if reason else started,
        since=min(since, default=None),
        backlog_bytes=run.backlog_bytes,
        gaps=(*before.gaps, *gaps),
        notices=tuple(notice.what for notice in notices),
    )
