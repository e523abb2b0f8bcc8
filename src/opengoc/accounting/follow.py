"""Follow files that grow: read what is new, across growth, rotation, truncation and replacement.

A log is read with its rotated predecessors, oldest first. Which file is which is told by its bytes
(``position``), never by its name alone. Whatever cannot be recognised is read from its beginning: records
that were read before are then told as duplicates, so a wrong guess costs time and never a record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path

from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.position import PRINT_BYTES, FilePosition, Position
from opengoc.base.errors import Temporary
from opengoc.base.ids import digest

#: What rotation adds to a name: HTCondor's local time, logrotate's number or date.
_ROTATED = re.compile(r"\.\d{8}T\d{6}|\.\d{1,4}|[-.]\d{8}(?:-\d+)?")
#: What is packed is read as well: see ``packed``.
_PACKED = re.compile(rf"(?:{_ROTATED.pattern})\.(?:gz|bz2|xz|zst)")
#: A per-job history file; the writer gives it this name when it is whole.
_PER_JOB = re.compile(r"history\.[^/]+")
#: How far the clock of a file system may step back without hiding a file of a folder: one hour.
_OVERLAP_NS = 3600 * 10**9


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some bytes of one file, which lie together in a chunk."""

    path: str
    #: Position of the bytes in their file, and how many lines stand before it.
    offset: int
    line: int
    #: Position of the bytes in the chunk.
    at: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Bytes that were not read before."""

    data: bytes
    parts: tuple[Part, ...]
    tail: Tail
    #: Where the source stands once they are stored.
    next: Position


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What an operator should know of a source that was read."""

    what: str
    #: Whether records may be lost to us, not only read twice.
    gap: bool = False


class Unreadable(Temporary):
    """The source itself cannot be read, as against a store of ours."""


def survey(path: Path) -> list[Path]:
    """The rotated predecessors of a log, oldest first, and the log itself. Raises Unreadable."""
    try:
        siblings = [p for p in path.parent.iterdir() if p.name.startswith(path.name)]
        rotated = [p for p in siblings if _ROTATED.fullmatch(p.name[len(path.name) :]) or is_packed(p, path)]
        rotated.sort(key=lambda p: (p.stat().st_mtime_ns, p.name))
    except OSError as error:
        raise _missing(path, error) from error
    return [*rotated, path]


def is_packed(path: Path, log: Path) -> bool:
    """Whether a file is a packed predecessor of a log, by its name."""
    return _PACKED.fullmatch(path.name[len(log.name) :]) is not None


def locate(
    file: BufferedReader,
    path: Path,
    known: tuple[FilePosition, ...],
    *,
    packed: os.stat_result | None = None,
) -> tuple[FilePosition, FilePosition | None]:
    """How far an open file was read, and the known position that says so (None: nothing of it was read).

    The file at the same place is asked first, then all others: a copy stands elsewhere and reads the same.
    ``packed``: the packed file on disk, of which ``file`` holds the plain bytes.
    """
    size = os.fstat(file.fileno()).st_size
    status = packed or os.fstat(file.fileno())
    fresh = FilePosition(
        path=str(path),
        device=status.st_dev,
        inode=status.st_ino,
        head="",
        before="",
        offset=0,
        line=0,
        packed=(packed.st_size, packed.st_mtime_ns) if packed is not None else None,
    )
    here = [p for p in known if (p.device, p.inode) == (status.st_dev, status.st_ino)]
    for position in [*here, *(p for p in known if p not in here)]:
        if _reads_as(file, position, size):
            told = replace(
                fresh,
                head=position.head,
                before=position.before,
                offset=position.offset,
                line=position.line,
                ended=position.ended,
            )
            return told, position
    return fresh, None


def _reads_as(file: BufferedReader, position: FilePosition, size: int) -> bool:
    if size < position.offset:
        return False
    head, before = _prints(file, position.offset)
    return (head, before) == (position.head, position.before)


def _prints(file: BufferedReader, offset: int) -> tuple[str, str]:
    length = min(offset, PRINT_BYTES)
    file.seek(0)
    head = digest(file.read(length))
    file.seek(offset - length)
    return head, digest(file.read(length))


def advance(file: BufferedReader, position: FilePosition, data: bytes) -> FilePosition:
    """The position once ``data`` that stands at it is stored."""
    offset = position.offset + len(data)
    head, before = _prints(file, offset)
    return replace(position, offset=offset, line=position.line + data.count(b"\n"), head=head, before=before)


def lost(known: tuple[FilePosition, ...], matched: list[FilePosition]) -> list[Notice]:
    """What became of files that were read before and are not among those there now."""
    notices = []
    for position in known:
        if position in matched or position.ended:
            continue
        path = Path(position.path)
        size = path.stat().st_size if path.exists() else None
        if size is None:
            what = f"{path} went away after byte {position.offset}: what was written to it later was not read"
        elif size < position.offset:
            what = f"{path} shrank from {position.offset} to {size} bytes: read again from its beginning"
        else:
            what = f"{path} was replaced after byte {position.offset}: read from its beginning"
        notices.append(Notice(what=what, gap=True))
    return notices


def open_log(path: Path, *, required: bool) -> BufferedReader | None:
    """The file, to read; None for one that is not there and not ``required``. Raises Unreadable.

    After a rotation the log itself is not there until the next record is written.
    """
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        if required:
            raise _missing(path, error) from error
        return None
    except OSError as error:
        raise _missing(path, error) from error


def is_still(path: Path, position: FilePosition) -> bool:
    """Whether the file at a path is the one that was read."""
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (position.device, position.inode)


def folder_chunks(folder: Path, position: Position, limit: int) -> Iterator[Chunk]:
    """The per-job files of a folder that were not read before, in the order they got their names.

    Raises Unreadable where the folder or a file of it cannot be read: no file is passed over.
    """
    through, recent = position.through, dict(position.recent or {})
    data, parts = bytearray(), list[Part]()
    for path, changed_ns in _new_files(folder, through, recent):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _missing(path, error) from error
        if parts and len(data) + len(content) > limit:
            yield _folder_chunk(bytes(data), parts, through, recent)
            data, parts = bytearray(), []
        parts.append(Part(path=str(path), offset=0, line=0, at=len(data), length=len(content)))
        data += content
        through = max(through, changed_ns)
        recent[path.name] = changed_ns
    if parts:
        yield _folder_chunk(bytes(data), parts, through, recent)


def _folder_chunk(data: bytes, parts: list[Part], through: int, recent: dict[str, int]) -> Chunk:
    kept = {name: changed_ns for name, changed_ns in recent.items() if changed_ns > through - _OVERLAP_NS}
    return Chunk(data=data, parts=tuple(parts), tail=Tail.WHOLE, next=Position(through=through, recent=kept))


def _new_files(folder: Path, through: int, recent: dict[str, int]) -> list[tuple[Path, int]]:
    # The change time, not the time of writing: a file that is copied here keeps the latter.
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _PER_JOB.fullmatch(entry.name) is None or not entry.is_file():
                    continue
                changed_ns = entry.stat().st_ctime_ns
                if changed_ns > through - _OVERLAP_NS and recent.get(entry.name) != changed_ns:
                    found.append((Path(entry.path), changed_ns))
    except OSError as error:
        raise _missing(folder, error) from error
    return sorted(found, key=lambda file: (file[1], file[0].name))


def _missing(path: Path, error: OSError) -> Unreadable:
    return Unreadable(f"{path} cannot be read: {error.strerror or error}", retry_after=60.0)
