"""The bytes as they came, kept under their own digest: everything else can be built again from them.

Files are packed with zstd, written aside, brought to disk, and then given their name: a name stands for whole
content, whenever the process is killed. Nothing is ever changed or removed.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import pyarrow

from opengoc.base.errors import Permanent, Temporary
from opengoc.base.ids import digest

_CODEC = "zstd"
#: What a packed file begins with.
_MAGIC = b"\x28\xb5\x2f\xfd"


class RawStore:
    """Content by SHA-256, in one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, content: bytes) -> str:
        """Keep the content; gives its digest.

        On disk when this returns. Raises Temporary when the disk is full.
        """
        sha256 = digest(content)
        path = self._path(sha256)
        aside = path.with_name(f".{sha256}.{os.getpid()}")
        if path.exists():
            return sha256
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with aside.open("wb") as file:
                file.write(pyarrow.compress(content, codec=_CODEC, asbytes=True))
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
            _sync_folder(path.parent)
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise self._translated(error) from error
        return sha256

    def get(self, sha256: str, offset: int = 0, length: int | None = None) -> bytes:
        """The content, or a piece of it. Raises Permanent when it is gone or not what was put."""
        try:
            content = _unpacked(self._path(sha256).read_bytes())
        except FileNotFoundError as error:
            raise Permanent(
                f"raw batch {sha256} is gone from {self._root}: restore it from a backup"
            ) from error
        except OSError as error:
            raise self._translated(error) from error
        if digest(content) != sha256:
            raise Permanent(f"raw batch {sha256} in {self._root} is damaged: restore it from a backup")
        return content[offset : None if length is None else offset + length]

    def _path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256

    def _translated(self, error: OSError) -> Temporary | Permanent:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Temporary(
                f"no space left for raw batches in {self._root}: free some, then collect again",
                retry_after=60.0,
            )
        if isinstance(error, PermissionError):
            return Permanent(f"cannot use {error.filename}: check who owns the home")
        return Temporary(
            f"raw batches in {self._root} cannot be read or written now: {error}", retry_after=60.0
        )


def _unpacked(content: bytes) -> bytes:
    """The bytes as they were put; those that an earlier release kept are not packed."""
    if not content.startswith(_MAGIC):
        return content
    try:
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(content), _CODEC) as stream:
            plain: bytes = stream.read()
    except OSError:
        # Damage is told by the digest.
        return content
    return plain


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
