"""How far a source was read: values that are kept with the cursor. Pure.

A file is told by its place on disk (device, inode) and by its bytes: a digest of its first ones, and of the
last ones before the position. Both must agree to go on at the position, so a file that was replaced,
truncated or restored is noticed; and a file that was only moved or copied is known again by its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: How many bytes of the beginning, and before the position, tell a file.
PRINT_BYTES = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class FilePosition:
    """How far one file was read."""

    #: Where it lay when it was last seen.
    path: str
    device: int
    inode: int
    #: Digest of the first ``min(offset, PRINT_BYTES)`` bytes, and of as many bytes before ``offset``.
    head: str
    before: str
    #: Bytes of it that are stored or quarantined.
    offset: int
    #: Lines of it that are.
    line: int
    #: Whether it was rotated away and read to its end: it may go without a loss.
    ended: bool = False
    #: Of a packed file: its size and time of writing (ns); digests and ``offset`` are of the plain bytes.
    packed: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """How far a source was read: a log and its rotated predecessors, or a folder of files."""

    files: tuple[FilePosition, ...] = ()
    #: Of a folder: the latest change time (ns) of a file that was read.
    through: int = 0
    #: Of a folder: files read whose change time is within the overlap before ``through``.
    recent: Mapping[str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """The position as JSON values."""
        return {
            "files": [asdict(file) for file in self.files],
            "through": self.through,
            "recent": dict(self.recent or {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Position:
        """The position of ``to_json``."""
        return cls(
            files=tuple(_file(file) for file in value["files"]),
            through=value["through"],
            recent=value["recent"],
        )


def _file(value: Mapping[str, Any]) -> FilePosition:
    packed = value.get("packed")
    return FilePosition(**{**value, "packed": tuple(packed) if packed else None})
