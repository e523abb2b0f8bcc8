"""Rotated logs that were packed: read as the plain files they were, once.

A packed file is unpacked into a file without a name, and told by its plain bytes like any other: what was
read of it before it was packed is not read again. One that was read to its end, and still has the same place,
size and time, is not opened again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import cast

from opengoc.accounting.follow import Notice
from opengoc.accounting.position import FilePosition
from opengoc.accounting.unpack import open_plain
from opengoc.base.errors import InvalidInput, Temporary

#: Of a file that is cut off, what stands in the last block is lost with it: a small one.
_BLOCK = 2**13
#: A rotated file that nobody wrote to for so long is not written to any more.
QUIET_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """The plain bytes of a packed file."""

    file: BufferedReader
    status: os.stat_result
    #: What an operator should know of it.
    notices: tuple[Notice, ...] = ()


def read_before(path: Path, known: tuple[FilePosition, ...]) -> FilePosition | None:
    """The position of a packed file that was read to its end and has not changed since; None otherwise."""
    try:
        status = path.stat()
    except OSError:
        return None
    own = (status.st_dev, status.st_ino, (status.st_size, status.st_mtime_ns))
    return next((p for p in known if p.ended and (p.device, p.inode, p.packed) == own), None)


@contextmanager
def unpacked(path: Path, now: datetime) -> Iterator[Unpacked | Notice]:
    """The plain bytes of a packed file for the length of a block; a notice where it cannot be read now.

    One that is cut off is read as far as it goes once nobody writes to it any more: until then it waits.
    Raises Temporary when there is no room for the plain bytes.
    """
    with tempfile.TemporaryFile(prefix="goc-unpacked-") as plain:
        notices: tuple[Notice, ...] = ()
        try:
            with open_plain(path) as packed:
                status = path.stat()
                while block := packed.read(_BLOCK):
                    plain.write(block)
        except InvalidInput as error:
            if not path.exists() or now.timestamp() - path.stat().st_mtime <= QUIET_SECONDS:
                yield Notice(what=f"{path} is not whole yet, it is read later: {error.rule}")
                return
            status = path.stat()
            notices = (Notice(what=f"{path}: {error.rule}; what follows was not read", gap=True),)
        except OSError as error:
            raise Temporary(
                f"no room to unpack {path}: {error.strerror or error}", retry_after=60.0
            ) from error
        plain.flush()
        yield Unpacked(file=cast(BufferedReader, plain), status=status, notices=notices)
