"""Batches that sources send: each taken once, however often it is sent.

A batch has an id that its sender gave it. Its bytes go into the raw store, its new rows into the lake in one
commit, and its quarantine and receipt into the database in one transaction; the answer follows that. Killed
anywhere before, the sender has no answer and sends it again: rows that are in are then duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from opengoc.accounting import quarantine, sequences, table
from opengoc.accounting.batch import Faulty, faulty
from opengoc.accounting.follow import Part
from opengoc.accounting.formats.detect import HEAD_BYTES, preamble, recognise
from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.importing import keep_span
from opengoc.accounting.ingest import Counts, Stores, counted, stow
from opengoc.accounting.reading import read
from opengoc.accounting.seen import Known
from opengoc.accounting.source import Source
from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.ids import digest, new_id
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.store import facts

_RECEIPT = "accounting-receipt"
_LONGEST_ID = 128


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of a batch."""

    batch_id: str
    counts: Counts
    #: Whether the batch was received before: the counts are those of then.
    again: bool

    def to_json(self) -> dict[str, Any]:
        """The receipt as JSON values."""
        return {"batch": self.batch_id, "again": self.again, "read": self.counts.read, **asdict(self.counts)}


def receive(
    content: bytes,
    *,
    batch_id: str,
    source: Source,
    stores: Stores,
    known: Known,
    who: str,
    sequence: str = "",
    clock: Callable[[], datetime] = utc_now,
) -> Receipt:
    """Store what is new in a batch. Hold the role ``accounting`` around this.

    ``sequence``: the number that its sender gave it, ``STREAM/7``: see ``sequences``.

    Raises InvalidInput for a batch without a proper id, Conflict for an id that other bytes were sent under,
    Temporary when the disk is full or a store is away: send it again then.
    """
    if not 0 < len(batch_id) <= _LONGEST_ID or not batch_id.isprintable():
        raise InvalidInput(
            "batch id", batch_id[:_LONGEST_ID], f"must be 1 to {_LONGEST_ID} printable characters"
        )
    if sequence:
        sequences.parse(sequence)
    key, sha256 = f"{source.name}:{batch_id}", digest(content)
    with stores.database.read() as conn:
        before = facts.get(conn, _RECEIPT, key)
    if before is not None and before.value is not None:
        if before.value["sha256"] != sha256:
            raise Conflict(f"batch {batch_id} of {source.name} was received with other content: name it anew")
        if sequence:
            # Answered before and not heard, or sent under a number of its own: no number is left open.
            with stores.database.begin() as conn:
                sequences.arrived(conn, source.name, sequence, None, new=False, now=clock(), who=who)
        return Receipt(batch_id=batch_id, counts=Counts(**before.value["counts"]), again=True)
    table.declare(stores.lake)
    form = recognise(content[:HEAD_BYTES]) if source.format == "auto" else source.format
    told = replace(source, format=form, preamble=preamble(form, content[:HEAD_BYTES]))
    now = clock()
    taken = take(content, told, stores, known, now=now, place=f"batch {batch_id}")
    ends = taken.ends
    value = {"sha256": sha256, "counts": asdict(taken.counts)}
    with stores.database.begin() as conn:
        quarantine.put(conn, taken.faults, now=now, who=who)
        facts.assert_fact(
            conn, kind=_RECEIPT, key=key, value=value, valid=Interval(now), who=who, source="accounting"
        )
        if ends:
            keep_span(conn, told, ends[0], ends[-1], now=now, who=who)
        if sequence:
            ended = Interval(ends[0], ends[-1] + timedelta(microseconds=1)) if ends else None
            sequences.arrived(conn, source.name, sequence, ended, new=True, now=now, who=who)
    return Receipt(batch_id=batch_id, counts=taken.counts, again=False)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What was made of some bytes: rows are in the lake, faults are yet to be kept."""

    counts: Counts
    faults: Sequence[Faulty]
    #: When the first and the last record ended; nothing where there is none.
    ends: Sequence[datetime]


def take(content: bytes, source: Source, stores: Stores, known: Known, *, now: datetime, place: str) -> Taken:
    """Keep bytes that are whole, and put what is new of them into the lake. May be done again.

    ``place``: where they came from, in the stead of a file's name. Raises Temporary.
    """
    known.renew()
    found = read(content, source=source, offset=0, tail=Tail.ENDED, known_from=now)
    sha256 = stores.raw.put(content)
    compared = stow(
        stores.lake,
        known,
        found,
        source=source.name,
        batch_id=new_id("received"),
        known_from=now,
        sha256=sha256,
    )
    part = Part(path=place, offset=0, line=0, at=0, length=len(content))
    faults = [faulty(fault, content, part, source=source, sha256=sha256) for fault in found.faults]
    ends = [each.as_py() for each in pc.min_max(found.records["ended_at"]).values() if each.is_valid]
    return Taken(counts=counted(compared, len(faults)), faults=faults, ends=ends)
