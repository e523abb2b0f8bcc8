"""A batch: bytes that become rows together, described well enough for another process to finish it.

The description is kept with the cursor before anything is stored. It says where the bytes are (raw store),
how they are read, when they became known, and where the cursor goes; so finishing it a second time, by
another process, makes the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from opengoc.accounting.follow import Part
from opengoc.accounting.formats import FORMATS
from opengoc.accounting.formats.piece import Piece, Tail, shown
from opengoc.accounting.model import RawReference, UsageRecord
from opengoc.accounting.position import Position
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput
from opengoc.base.ids import digest
from opengoc.base.instant import format_instant, parse_instant


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a run is about to store."""

    id: str
    #: Digest of the bytes in the raw store.
    sha256: str
    parts: tuple[Part, ...]
    tail: Tail
    #: When the house learned of the records; ends after it are refused.
    known_from: datetime
    #: Where the cursor goes when the batch is stored.
    next: Position

    def to_json(self) -> dict[str, Any]:
        """The batch as JSON values."""
        return {
            "id": self.id,
            "sha256": self.sha256,
            "parts": [asdict(part) for part in self.parts],
            "tail": self.tail.value,
            "known_from": format_instant(self.known_from),
            "next": self.next.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Batch:
        """The batch of ``to_json``."""
        return cls(
            id=value["id"],
            sha256=value["sha256"],
            parts=tuple(Part(**part) for part in value["parts"]),
            tail=Tail(value["tail"]),
            known_from=parse_instant(value["known_from"]),
            next=Position.from_json(value["next"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Good:
    """A record that was read, and where its bytes are."""

    record: UsageRecord
    raw: RawReference


@dataclass(frozen=True, kw_only=True)
class Faulty:
    """Bytes of which no record could be made."""

    #: Digest of the bytes and their source: the same bytes are one fault, however often they are read.
    key: str
    source: str
    #: The file they came from, and where in it.
    file: str
    offset: int
    line: int
    reason: str
    #: The beginning of the bytes, for people.
    sample: str
    raw: RawReference


def read_part(data: bytes, part: Part, *, source: Source, tail: Tail) -> list[Piece]:
    """The pieces of one part of ``data``; positions count from the beginning of the part."""
    piece = data if part.length == len(data) else data[part.at : part.at + part.length]
    return list(FORMATS[source.format](piece, source=source, offset=part.offset, tail=tail))


def judge(
    pieces: list[Piece], data: bytes, part: Part, *, source: Source, sha256: str, known_from: datetime
) -> tuple[list[Good], list[Faulty]]:
    """Records to store and bytes to quarantine. A record that ends in the future goes to quarantine."""
    good, faulty = [], []
    for piece in pieces:
        raw = RawReference(sha256=sha256, offset=part.at + piece.start, length=piece.end - piece.start)
        fault = piece.fault
        if piece.record is not None:
            try:
                piece.record.refuse_future(known_from)
            except InvalidInput as error:
                fault = str(error)
            else:
                good.append(Good(record=piece.record, raw=raw))
        if fault:
            faulty.append(_faulty(fault, raw, data, part, source))
    return good, faulty


def _faulty(reason: str, raw: RawReference, data: bytes, part: Part, source: Source) -> Faulty:
    content = data[raw.offset : raw.offset + raw.length]
    return Faulty(
        key=digest(source.name.encode() + b"\n" + content)[:24],
        source=source.name,
        file=part.path,
        offset=part.offset + raw.offset - part.at,
        line=part.line + data.count(b"\n", part.at, raw.offset) + 1,
        reason=reason,
        sample=shown(content.strip(), 200),
        raw=raw,
    )
