"""Send batches of usage records to another installation, by way of a spool that survives everything.

A file becomes a batch in the spool, under the digest of its content; it leaves the spool when the receiver
answered that it stored it. A receiver that is down or full costs time only. A full spool refuses new files
and says so: nothing that is in it is dropped.

Batches are numbered in the order they come into the spool, without a gap; the receiver is told the number,
and so sees one that never comes. The numbers of a spool go on, whatever is removed from it.
"""

from __future__ import annotations

import fcntl
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow

from opengoc.accounting.unpack import open_plain
from opengoc.base.errors import InvalidInput, Permanent, Temporary
from opengoc.base.ids import digest, new_id

#: Bytes that wait in a spool at most.
SPOOL_BYTES = 4 * 2**30
#: The largest file, as the receiver takes it.
_MOST_PLAIN = 256 * 2**20
_TIMEOUT_SECONDS = 120.0
_SUFFIX = ".batch.zst"
#: The file of a spool that holds its numbers.
_NUMBERS = "numbers.json"


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
        """Take a file, unpacked where it is packed; gives the id of its batch. On disk when this returns.

        Raises Temporary when the spool is full, InvalidInput for a file that no receiver takes.
        """
        with open_plain(path) as plain:
            content = plain.read(_MOST_PLAIN + 1)
        if len(content) > _MOST_PLAIN:
            raise InvalidInput(
                str(path), "too large", f"may have {_MOST_PLAIN} bytes: send it as several files"
            )
        batch_id = digest(content)
        packed = pyarrow.compress(content, codec="zstd", asbytes=True)
        with self._numbers() as numbers:
            self._put(path, batch_id, packed, numbers)
        return batch_id

    def _put(self, path: Path, batch_id: str, packed: bytes, numbers: _Numbers) -> None:
        if any(_Waiting.of(each).batch_id == batch_id for each in self.waiting()):
            return
        taken = sum(each.stat().st_size for each in self.waiting())
        if taken + len(packed) > self._most_bytes:
            raise Temporary(
                f"the spool {self._folder} is full ({taken} bytes wait): {path} was not taken; send it once"
                " the receiver answers",
                retry_after=60.0,
            )
        waiting = [_Waiting.of(each).number or 0 for each in self.waiting()]
        number = max([numbers.highest, *waiting]) + 1
        # The batch before its number: killed in between, the number is seen in its name.
        _write(self._folder / f"{number:012d}-{batch_id}{_SUFFIX}", packed)
        numbers.keep(number)

    @contextmanager
    def _numbers(self) -> Iterator[_Numbers]:
        """The numbers of this spool, which nobody else changes meanwhile. Raises Temporary."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield _Numbers.read(self._folder / _NUMBERS)
        except OSError as error:
            raise Temporary(
                f"the spool {self._folder} cannot be written: {error}", retry_after=60.0
            ) from error

    def waiting(self) -> list[Path]:
        """The batches that wait, oldest first."""
        if not self._folder.is_dir():
            return []
        found = [path for path in self._folder.glob(f"*{_SUFFIX}") if not path.name.startswith(".")]
        return sorted(found, key=lambda path: (_Waiting.of(path).number or 0, path.stat().st_mtime_ns))

    def deliver(self, url: str, token: str) -> Sent:
        """Send what waits until all is answered, or the receiver cannot take more now."""
        sent = Sent()
        waiting = self.waiting()
        with self._numbers() as numbers:
            stream = numbers.stream
            numbers.keep(max([numbers.highest, *(_Waiting.of(each).number or 0 for each in waiting)]))
        for done, path in enumerate(waiting):
            batch = _Waiting.of(path)
            named = {"Content-Encoding": "zstd", "Goc-Batch": batch.batch_id}
            if batch.number is not None:
                named["Goc-Sequence"] = f"{stream}/{batch.number}"
            try:
                sent.receipts.append(_post(url, token, path.read_bytes(), named))
            except FileNotFoundError:
                # Another process sent it meanwhile.
                continue
            except OSError as error:
                sent.waiting, sent.reason = len(waiting) - done, f"{path} cannot be read: {error.strerror}"
                return sent
            except Temporary as error:
                sent.waiting, sent.reason = len(waiting) - done, str(error)
                return sent
            except Permanent as error:
                sent.refused[batch.batch_id] = str(error)
                continue
            path.unlink(missing_ok=True)
        return sent


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """What the name of a batch in the spool says; batches of an earlier release have no number."""

    number: int | None
    batch_id: str

    @classmethod
    def of(cls, path: Path) -> _Waiting:
        number, _, batch_id = path.name.removesuffix(_SUFFIX).rpartition("-")
        return cls(number=int(number) if number.isdigit() else None, batch_id=batch_id)


@dataclass(kw_only=True)
class _Numbers:
    """The highest number that a spool gave out, and the stream that its numbers are of."""

    path: Path
    stream: str
    highest: int

    @classmethod
    def read(cls, path: Path) -> _Numbers:
        try:
            value = json.loads(path.read_text())
            return cls(path=path, stream=str(value["stream"]), highest=int(value["highest"]))
        except FileNotFoundError:
            return cls(path=path, stream=new_id("spool"), highest=0)
        except (ValueError, KeyError, TypeError) as error:
            raise Permanent(f"{path} is damaged: remove it, and batches are numbered anew") from error

    def keep(self, highest: int) -> None:
        """Bring a number to disk."""
        self.highest = highest
        _write(self.path, json.dumps({"stream": self.stream, "highest": highest}).encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole once it has its name."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


def beat(url: str, token: str, *, backlog: int) -> None:
    """Tell a receiver of batches that this source is alive, and has given all but ``backlog`` batches.

    Raises Temporary when it may be told later, Permanent when never.
    """
    told = json.dumps({"backlog": backlog}).encode()
    _post(url.removesuffix("/batches") + "/heartbeats", token, told, {"Content-Type": "application/json"})


def _post(url: str, token: str, body: bytes, named: dict[str, str]) -> dict[str, Any]:
    """Send something. Raises Temporary when it may be taken later, Permanent when never."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/octet-stream",
        **named,
    }
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            receipt: dict[str, Any] = json.load(answer)
            return receipt
    except urllib.error.HTTPError as error:
        said = f"{url} answered {error.code}: {error.read(500).decode('utf-8', 'replace')}"
        if error.code in (408, 429) or error.code >= 500:
            after = error.headers.get("Retry-After", "")
            raise Temporary(said, retry_after=float(after) if after.isdigit() else 30.0) from error
        raise Permanent(said) from error
    except (OSError, ValueError) as error:
        raise Temporary(f"{url} does not answer: {error}", retry_after=30.0) from error
