"""Messages between a Session and its worker: JSON behind its length in eight bytes."""

from __future__ import annotations

import json
import os
import select
import struct
import time
from datetime import UTC, datetime
from typing import Any

from opengoc.condor.classads import ERROR, UNDEFINED

_LENGTH = struct.Struct("!Q")
_READ_BYTES = 1 << 20


def write_message(pipe: int, message: Any) -> None:
    """Write one message whole."""
    body = json.dumps(message, default=_encode).encode()
    left = memoryview(_LENGTH.pack(len(body)) + body)
    while left:
        left = left[os.write(pipe, left) :]


def read_message(pipe: int, *, deadline: float | None = None) -> Any | None:
    """The next message; None when the pipe has closed.

    Raises TimeoutError when ``deadline`` (``time.monotonic()``) passes first.
    """
    head = _read(pipe, _LENGTH.size, deadline)
    if head is None:
        return None
    body = _read(pipe, _LENGTH.unpack(head)[0], deadline)
    return None if body is None else json.loads(body, object_hook=_decode)


def _read(pipe: int, size: int, deadline: float | None) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise TimeoutError
        part = os.read(pipe, min(_READ_BYTES, size - len(parts)))
        if not part:
            return None
        parts += part
    return bytes(parts)


# {"$": "error"} and {"$": 1763942400.0}: names of ClassAd attributes have no dollar sign.
def _encode(value: object) -> dict[str, object]:
    if value is ERROR or value is UNDEFINED:
        return {"$": value.value}
    if isinstance(value, datetime):
        return {"$": value.timestamp()}
    raise TypeError(f"{type(value).__name__} does not go over the wire")


def _decode(value: dict[str, Any]) -> Any:
    if value.keys() != {"$"}:
        return value
    special = value["$"]
    if isinstance(special, str):
        return ERROR if special == ERROR.value else UNDEFINED
    return datetime.fromtimestamp(special, UTC)
