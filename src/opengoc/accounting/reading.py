"""Bytes into records, in columns: each byte is of a record, of a fault with its reason, or between records.

A format reads piece by piece (``formats.FORMATS``); some also read many records at once (``formats.BULK``)
and leave to the first way whatever is out of the ordinary. Both ways make the same records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow
import pyarrow.compute as pc

from opengoc.accounting.formats import BULK, FORMATS
from opengoc.accounting.formats.piece import Made, Piece, Tail
from opengoc.accounting.model import CLOCK_SKEW
from opengoc.accounting.seen import without_separator
from opengoc.accounting.source import Source
from opengoc.accounting.table import READ, read_columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Bytes [start, end) of which no record could be made, and why."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read from some bytes."""

    #: Columns of ``table.READ``, in the order of their bytes.
    records: pyarrow.Table
    faults: tuple[Fault, ...]
    #: Bytes that were read: records, faults, and what stands between them. The rest waits for more.
    end: int

    def shifted(self, by: int) -> Reading:
        """The same, its bytes standing ``by`` further on."""
        if not by:
            return self
        at = self.records.schema.get_field_index("raw_offset")
        moved = pc.add(self.records["raw_offset"], by)
        return Reading(
            records=self.records.set_column(at, "raw_offset", moved),
            faults=tuple(Fault(start=f.start + by, end=f.end + by, reason=f.reason) for f in self.faults),
            end=self.end + by,
        )


def read(data: bytes, *, source: Source, offset: int, tail: Tail, known_from: datetime) -> Reading:
    """The records of ``data``; a record that ends after ``known_from`` is a fault, but for a little skew."""
    bulk = BULK.get(source.format)
    made = bulk(data, source=source, offset=offset, tail=tail) if bulk else None
    if made is None:
        found = _of_pieces(FORMATS[source.format](data, source=source, offset=offset, tail=tail))
    else:
        found = _with_rest(made, data, source, tail)
    return without_future(without_foreign(found, source), known_from)


def joined(readings: Iterable[Reading]) -> Reading:
    """Readings of bytes that lie one behind the other, as one."""
    readings = list(readings)
    return Reading(
        records=pyarrow.concat_tables([READ.empty_table(), *(each.records for each in readings)]),
        faults=tuple(fault for each in readings for fault in each.faults),
        end=max((each.end for each in readings), default=0),
    )


def _of_pieces(pieces: Iterable[Piece], at: int = 0) -> Reading:
    records, places, faults, end = [], [], [], at
    for piece in pieces:
        end = at + piece.end
        if piece.record is not None:
            records.append(piece.record)
            places.append((at + piece.start, piece.end - piece.start))
        if piece.fault:
            faults.append(Fault(start=at + piece.start, end=end, reason=piece.fault))
    columns = without_separator(read_columns(records, places))
    return Reading(records=columns, faults=tuple(faults), end=end)


def _with_rest(made: Made, data: bytes, source: Source, tail: Tail) -> Reading:
    """Records read at once, joined with those of the stretches that were left out."""
    end, left = len(data), [_of_pieces(made.pieces)] if made.pieces else []
    for start, stop in made.rest:
        after = tail if stop == len(data) else Tail.ENDED
        stretch = data[start:stop]
        found = _of_pieces(FORMATS[source.format](stretch, source=source, offset=start, tail=after), start)
        left.append(found)
        if stop == len(data):
            end = found.end
    columns = without_separator(made.records)
    if any(len(each.records) for each in left):
        columns = pyarrow.concat_tables([columns, *(each.records for each in left)]).sort_by("raw_offset")
    faults = sorted((f for each in left for f in each.faults), key=lambda fault: fault.start)
    return Reading(records=columns, faults=tuple(faults), end=end)


def without_future(found: Reading, known_from: datetime) -> Reading:
    """The same, with records that end after ``known_from``, but for a little skew, as faults."""
    latest = pyarrow.scalar(known_from + CLOCK_SKEW, found.records.schema.field("ended_at").type)
    ahead = pc.greater(found.records["ended_at"], latest)
    return _without(found, ahead, "ended_at", f"is in the future (now {known_from.isoformat()})")


def without_foreign(found: Reading, source: Source) -> Reading:
    """The same, with records of sites and batch systems that the source does not speak for as faults."""
    for name, own in (("site", source.sites), ("instance", source.instances)):
        if own:
            foreign = pc.invert(pc.is_in(found.records[name], pyarrow.array(own, pyarrow.string())))
            found = _without(found, foreign, name, f"{source.name} speaks for {', '.join(own)} alone")
    return found


def _without(found: Reading, refused: pyarrow.ChunkedArray, name: str, rule: str) -> Reading:
    """The same, with ``refused`` records as faults: what they say under a name breaks a rule."""
    if not pc.any(refused).as_py():
        return found
    rows = found.records.filter(refused).select(["global_job_id", name, "raw_offset", "raw_length"])
    faults = [
        Fault(
            start=row["raw_offset"],
            end=row["raw_offset"] + row["raw_length"],
            reason=f"{row['global_job_id']} {name}: {_shown(row[name])!r}: {rule}",
        )
        for row in rows.to_pylist()
    ]
    every = sorted([*found.faults, *faults], key=lambda fault: fault.start)
    return Reading(records=found.records.filter(pc.invert(refused)), faults=tuple(every), end=found.end)


def _shown(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
