"""Read quarantined bytes again, after the parser learned more or the clock went on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from opengoc.accounting import quarantine, table
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

    Killed in between, the record is stored and its entry still stands; the next retry finds a duplicate and
    resolves it. Entries of a source that is not configured any more stay.
    """
    table.declare(stores.lake)
    resolved = stored = 0
    with Known(stores.lake) as known:
        for entry in entries:
            source = sources.get(entry.source)
            reading = _read_again(entry, source, stores, now) if source else None
            if reading is None or source is None:
                continue
            compared = stow(
                stores.lake,
                known,
                reading,
                source=source.name,
                batch_id=new_id("retry"),
                known_from=now,
                sha256=entry.raw.sha256,
            )
            with stores.database.begin() as conn:
                quarantine.resolve(conn, entry.key, why="read by a retry", who=who)
            resolved += 1
            stored += len(compared.rows)
    return Retried(resolved=resolved, stored=stored, remaining=len(entries) - resolved)


def _read_again(entry: Faulty, source: Source, stores: Stores, now: datetime) -> Reading | None:
    """The records of an entry's bytes; None unless all of the bytes are records or blanks."""
    content = stores.raw.get(entry.raw.sha256, entry.raw.offset, entry.raw.length)
    part = Part(path=entry.file, offset=entry.offset, line=entry.line - 1, at=0, length=len(content))
    reading = read_part(content, part, source=source, tail=Tail.ENDED, known_from=now)
    if reading.faults or not len(reading.records):
        return None
    return reading.shifted(entry.raw.offset)
