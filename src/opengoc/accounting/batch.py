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
from opengoc.accounting.formats.piece import Tail, shown
from opengoc.accounting.model import RawReference
from opengoc.accounting.position import Position
from opengoc.accounting.reading import Fault, Reading, read
from opengoc.accounting.source import Source
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
    #: How the bytes were read; None for entries of an earlier release.
    reader: Source | None = None


def read_part(data: bytes, part: Part, *, source: Source, tail: Tail, known_from: datetime) -> Reading:
    """What one part of ``data`` holds; positions count from the beginning of ``data``."""
    piece = data if part.length == len(data) else data[part.at : part.at + part.length]
    found = read(piece, source=source, offset=part.offset, tail=tail, known_from=known_from)
    return found.shifted(part.at)


def faulty(fault: Fault, data: bytes, part: Part, *, source: Source, sha256: str) -> Faulty:
    """A fault of a part of ``data``, as quarantine keeps it."""
    content = data[fault.start : fault.end]
    return Faulty(
        key=digest(source.name.encode() + b"\n" + content)[:24],
        source=source.name,
        file=part.path,
        offset=part.offset + fault.start - part.at,
        line=part.line + data.count(b"\n", part.at, fault.start) + 1,
        reason=fault.reason,
        sample=shown(content.strip(), 200),
        raw=RawReference(sha256=sha256, offset=fault.start, length=fault.end - fault.start),
        reader=source,
    )
