"""Read quarantined bytes again, after the parser learned more or the clock went on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from opengoc.accounting import quarantine, table, tables
from opengoc.accounting.batch import Faulty, read_part
from opengoc.accounting.follow import Part
from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.ingest import Stores, stow
from opengoc.accounting.reading import Reading
from opengoc.accounting.seen import Known
from opengoc.accounting.source import Source
from opengoc.base.ids import new_id


@dataclass(frozen=True, kw_only=True)
class Retried:
    """What a retry did."""

    resolved: int
    #: Rows that went into the lake; a resolved entry whose record came another way adds none.
    stored: int
    remaining: int


def retry(
    entries: Sequence[Faulty], sources: Mapping[str, Source], stores: Stores, *, who: str, now: datetime
) -> Retried:
    """Store what can be read now, and resolve it. Hold the role ``accounting`` around this.

    ``sources`` are those of the settings, as they are now; entries of all others are read as they were read
    before. Killed in between, the record is stored and its entry still stands; the next retry finds a
    duplicate and resolves it.
    """
    table.declare(stores.lake)
    resolved = stored = 0
    with Known(stores.lake) as known:
        for entry in entries:
            source = _now(sources.get(entry.source), entry.reader)
            readings = _read_again(entry, source, stores, now) if source else []
            if not readings:
                continue
            for reading in readings:
                compared = stow(
                    stores.lake,
                    known,
                    reading,
                    source=entry.source,
                    batch_id=new_id("retry"),
                    known_from=now,
                    sha256=entry.raw.sha256,
                )
                stored += len(compared.rows)
            with stores.database.begin() as conn:
                quarantine.resolve(conn, entry.key, why="read by a retry", who=who)
            resolved += 1
    return Retried(resolved=resolved, stored=stored, remaining=len(entries) - resolved)


def _now(configured: Source | None, before: Source | None) -> Source | None:
    """The source as it is now; what was told from the whole of what it sent, as it was told then."""
    if configured is None or configured.format != "auto":
        return configured or before
    return before and replace(configured, format=before.format, preamble=before.preamble)


def _read_again(entry: Faulty, source: Source, stores: Stores, now: datetime) -> list[Reading]:
    """The records of an entry's bytes; none unless all of the bytes are records or blanks."""
    content = stores.raw.get(entry.raw.sha256, entry.raw.offset, entry.raw.length or None)
    if not entry.raw.length and tables.recognise(content) is not None:
        return _row_again(entry, content, source, now)
    part = Part(path=entry.file, offset=entry.offset, line=entry.line - 1, at=0, length=len(content))
    reading = read_part(content, part, source=source, tail=Tail.ENDED, known_from=now)
    if reading.faults or not len(reading.records):
        return []
    return [reading.shifted(entry.raw.offset)]


def _row_again(entry: Faulty, content: bytes, source: Source, now: datetime) -> list[Reading]:
    """A row of a file of columns has no bytes of its own: the whole file is read, and tells of this row."""
    readings = list(tables.readings(content, source=source, known_from=now))
    faulty = {fault.start for reading in readings for fault in reading.faults}
    return [] if entry.offset in faulty else readings
