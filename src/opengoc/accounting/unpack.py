"""Files as they lie on disk, read as plain bytes: gzip, bzip2, xz and zstd are unpacked on the way.

A packed file that swells beyond all reason is refused before it fills memory or disk: nobody's accounting
packs a hundredfold over gigabytes.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow

from opengoc.base.errors import InvalidInput

#: What files of a packing begin with.
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
#: Plain bytes for one packed byte, over all but the first of them.
_SWELLS = 100
_ALWAYS_BYTES = 256 * 1024 * 1024
#: A window is at first so large.
_FIRST_BYTES = 256 * 1024


class Plain:
    """The plain bytes of a file."""

    def __init__(self, path: Path, file: IO[bytes], packing: str | None) -> None:
        self._path = path
        self._file = file
        self._packing = packing
        self._stream: Any = _unpacking(file, packing)
        self._given = 0
        #: Bytes of the file on disk.
        self.packed_bytes = path.stat().st_size

    def packed_done(self) -> int:
        """How far the file on disk is read."""
        return self._file.tell()

    def read(self, size: int) -> bytes:
        """The next bytes, fewer than ``size`` only at the end. Raises InvalidInput for a damaged packing."""
        parts, wanted = [], size
        while wanted > 0:
            part = self._some(wanted)
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
            self._given += len(part)
            self._check_swelling()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, room: memoryview) -> int:
        """Put the next bytes there; fewer than fit only at the end. Raises InvalidInput as ``read``."""
        filled = 0
        while filled < len(room):
            got = self._some_into(room[filled:])
            if not got:
                break
            filled += got
            self._given += got
            self._check_swelling()
        return filled

    def _some(self, size: int) -> bytes:
        with self._told():
            part: bytes = self._stream.read(size)
        return part

    def _some_into(self, room: memoryview) -> int:
        with self._told():
            got: int = self._stream.readinto(room)
        return got

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise InvalidInput(
                str(self._path),
                self._packing or "plain",
                f"cannot be read after {self._given} bytes: {error}",
            ) from error

    def _check_swelling(self) -> None:
        if self._packing and self._given > _ALWAYS_BYTES + _SWELLS * self.packed_bytes:
            raise InvalidInput(
                str(self._path),
                f"{self.packed_bytes} bytes packed",
                f"swells to more than {self._given} bytes: unpack it yourself if it is meant",
            )


class Window:
    """The next bytes of a file, in one piece of memory: new memory for each block costs as much as that."""

    def __init__(self, plain: Plain) -> None:
        self._plain = plain
        self._memory = bytearray()
        self._filled = 0

    def fill(self, size: int) -> memoryview:
        """The next bytes, fewer than ``size`` only at the end; they stand until the next call."""
        while True:
            room = memoryview(self._memory)[:size]
            self._filled += self._plain.read_into(room[self._filled :])
            if self._filled < len(room) or len(room) == size:
                return room[: self._filled]
            # Most files are small: memory that is not filled would cost more than what is read.
            more = max(_FIRST_BYTES, 3 * len(room))
            self._memory = self._memory + bytearray(min(size - len(room), more))

    def drop(self, used: int) -> None:
        """Go on behind so many bytes."""
        room, rest = memoryview(self._memory), self._filled - used
        room[:rest] = room[used : self._filled]
        self._filled = rest


@contextmanager
def open_plain(path: Path) -> Iterator[Plain]:
    """The plain bytes of a file for the length of a block. Raises InvalidInput when it cannot be opened."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(str(path), error.strerror, "cannot be opened") from error
    with file:
        yield Plain(path, file, _packing(file))


def _packing(file: IO[bytes]) -> str | None:
    head = file.read(6)
    file.seek(0)
    return packing_of(head)


def packing_of(head: bytes) -> str | None:
    """How bytes that begin so are packed; None for plain ones."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def _unpacking(file: IO[bytes], packing: str | None) -> Any:
    match packing:
        case "gzip":
            return gzip.GzipFile(fileobj=file)
        case "bz2":
            return bz2.BZ2File(file)
        case "xz":
            return lzma.LZMAFile(file)
        case "zstd":
            return pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd")
    return file
