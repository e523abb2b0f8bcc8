"""Send batches of usage records to another installation, by way of a spool that survives everything.

A file becomes a batch in the spool, under the digest of its content; it leaves the spool when the receiver
answered that it stored it. A receiver that is down or full costs time only. A full spool refuses new files
and says so: nothing that is in it is dropped.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow

from opengoc.base.errors import InvalidInput, Permanent, Temporary
from opengoc.base.ids import digest

#: Bytes that wait in a spool at most.
SPOOL_BYTES = 4 * 2**30
#: The largest file, as the receiver takes it.
_MOST_PLAIN = 256 * 2**20
_TIMEOUT_SECONDS = 120.0
_SUFFIX = ".batch.zst"


@dataclass(kw_only=True)
class Sent:
    """What became of the batches of a spool."""

    #: Answers of the receiver, by batch.
    receipts: list[dict[str, Any]] = field(default_factory=list)
    #: Batches that the receiver will never take, with its words; they stay in the spool.
    refused: dict[str, str] = field(default_factory=dict)
    #: Batches that wait for the receiver, and why; 0 when all were answered.
    waiting: int = 0
    reason: str = ""


class Spool:
    """Batches in a folder, each in a file that is whole once it has its name."""

    def __init__(self, folder: Path, *, most_bytes: int = SPOOL_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def put(self, path: Path) -> str:
        """Take a file; gives the id of its batch. On disk when this returns.

        Raises Temporary when the spool is full, InvalidInput for a file that no receiver takes.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InvalidInput(str(path), error.strerror, "cannot be read") from error
        if len(content) > _MOST_PLAIN:
            raise InvalidInput(
                str(path), len(content), f"may have {_MOST_PLAIN} bytes: send it as several files"
            )
        batch_id = digest(content)
        packed = pyarrow.compress(content, codec="zstd", asbytes=True)
        taken = sum(each.stat().st_size for each in self.waiting())
        if taken + len(packed) > self._most_bytes:
            raise Temporary(
                f"the spool {self._folder} is full ({taken} bytes wait): {path} was not taken; send it once"
                " the receiver answers",
                retry_after=60.0,
            )
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside = self._folder / f".{batch_id}.{os.getpid()}"
            with aside.open("wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(self._folder / f"{batch_id}{_SUFFIX}")
        except OSError as error:
            raise Temporary(
                f"the spool {self._folder} cannot be written: {error}", retry_after=60.0
            ) from error
        return batch_id

    def waiting(self) -> list[Path]:
        """The batches that wait, oldest first."""
        if not self._folder.is_dir():
            return []
        return sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: (path.stat().st_mtime_ns, path.name))

    def deliver(self, url: str, token: str) -> Sent:
        """Send what waits until all is answered, or the receiver cannot take more now."""
        sent = Sent()
        waiting = self.waiting()
        for done, path in enumerate(waiting):
            batch_id = path.name.removesuffix(_SUFFIX)
            try:
                sent.receipts.append(_post(url, token, batch_id, path.read_bytes()))
            except Temporary as error:
                sent.waiting, sent.reason = len(waiting) - done, str(error)
                return sent
            except Permanent as error:
                sent.refused[batch_id] = str(error)
                continue
            path.unlink()
        return sent


def _post(url: str, token: str, batch_id: str, packed: bytes) -> dict[str, Any]:
    """Send one batch. Raises Temporary when it may be taken later, Permanent when never."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Encoding": "zstd",
        "Content-Type": "application/octet-stream",
        "Goc-Batch": batch_id,
    }
    request = urllib.request.Request(url, data=packed, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            receipt: dict[str, Any] = json.load(answer)
            return receipt
    except urllib.error.HTTPError as error:
        said = f"{url} answered {error.code}: {error.read(500).decode('utf-8', 'replace')}"
        if error.code == 429 or error.code >= 500:
            after = error.headers.get("Retry-After", "")
            raise Temporary(said, retry_after=float(after) if after.isdigit() else 30.0) from error
        raise Permanent(said) from error
    except (OSError, ValueError) as error:
        raise Temporary(f"{url} does not answer: {error}", retry_after=30.0) from error
