"""JSON: our own lines, GRACC's flat records, and XDMoD's storage usage; objects a line, or anyhow. Pure.

Our own line, keys as the columns of the lake's table, what is not known left out or null::

    {"instance": "ce01", "global_job_id": "4711", "kind": "batch", "site": "SITE-A", "vo": "cms",
     "processors": 8, "started_at": "2026-11-16T09:00:00Z", "ended_at": "2026-11-16T10:00:00Z",
     "wall_seconds": 3600}

Needed are the job id, the end, wall seconds and processors. A key that is not known is a fault: a value that
goes by another name would be lost in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow

from opengoc.accounting.formats import gracc
from opengoc.accounting.formats.piece import Piece, Tail, shown
from opengoc.accounting.formats.values import iso_instant
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source
from opengoc.accounting.table import FIELDS, RECORD
from opengoc.base.errors import InvalidInput

#: What may stand between objects.
_BETWEEN = re.compile(rb"[\s,\[\]]*")
#: The longest object over several lines.
_LONGEST = 1024 * 1024
#: Objects over several lines that may fail before only lines are tried: each costs a look at many bytes.
_TRIES = 16
_TIMES = ("submitted_at", "started_at", "ended_at")


def recognises(head: bytes) -> bool:
    """Whether a file that begins so holds JSON objects."""
    return re.match(rb"[\s\[]*\{\s*[\"}]", head.removeprefix(b"\xef\xbb\xbf")) is not None


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The objects of a file."""
    start, tries = 0, _TRIES
    while start < len(data):
        begin = _BETWEEN.match(data, start).end()  # type: ignore[union-attr]
        if begin > start:
            # Blanks that end the bytes wait for what follows, for they may be within an object.
            if begin == len(data) and tail is Tail.OPEN and start:
                return
            yield Piece(start=start, end=begin)
            start = begin
            continue
        end = data.find(b"\n", start) + 1 or len(data)
        closed = data[end - 1 : end] == b"\n"
        value, fault = parsed(data[start:end].rstrip().rstrip(b",]").rstrip())
        if fault and tries and not is_closed(data[start:end]):
            several = _several_lines(data, start)
            if several is not None:
                value, end, closed, fault = *several, True, ""
            elif tail is Tail.OPEN and len(data) - start < _LONGEST:
                return
            else:
                tries -= 1
        if not closed and tail is Tail.OPEN:
            return
        yield _piece(start, end, value, fault, source)
        start = end


def is_closed(line: bytes) -> bool:
    """Whether a line opens as many braces as it closes: an object that goes on does not."""
    return line.count(b"{") == line.count(b"}")


def _several_lines(data: bytes, start: int) -> tuple[Any, int] | None:
    """An object that goes on over lines, and where it ends."""
    window = data[start : start + _LONGEST]
    try:
        shown_text = window.decode("utf-8", "surrogateescape")
        value, length = _DECODER.raw_decode(shown_text)
    except (ValueError, RecursionError):
        return None
    return value, start + len(shown_text[:length].encode("utf-8", "surrogateescape"))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def parsed(line: bytes) -> tuple[Any, str]:
    """The value of a line of JSON, and what is wrong with it."""
    try:
        return _DECODER.decode(line.decode("utf-8")), ""
    except UnicodeDecodeError as error:
        return None, f"is not UTF-8 at byte {error.start}: {shown(line)}"
    except (ValueError, RecursionError) as error:
        return None, f"is no JSON object ({error}): {shown(line)}"


def _piece(start: int, end: int, value: Any, fault: str, source: Source) -> Piece:
    if not fault and not isinstance(value, dict):
        fault = f"must be an object, not {type(value).__name__}"
    if fault:
        return Piece(start=start, end=end, fault=fault)
    try:
        return Piece(start=start, end=end, record=record(value, source))
    except InvalidInput as error:
        return Piece(start=start, end=end, fault=str(error))


def record(value: Mapping[str, Any], source: Source) -> UsageRecord:
    """The record of an object, whichever of the three it is. Raises InvalidInput."""
    if "global_job_id" in value:
        return _ours(value, source)
    if gracc.is_gracc(value):
        return gracc.record({key: clean(each) for key, each in value.items()}, source)
    if "mountpoint" in value:
        return _xdmod_storage(value, source)
    raise InvalidInput(
        "object", sorted(value)[:5], "is no usage record: it has no global_job_id, no RecordId"
    )


def clean(value: Any) -> Any:
    """A text without half characters and zero bytes, which no table takes; any other value as it is."""
    if isinstance(value, str) and (not value.isascii() or "\x00" in value):
        return value.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return value


def _ours(value: Mapping[str, Any], source: Source) -> UsageRecord:
    strange = [key for key in value if key not in FIELDS]
    if strange:
        raise InvalidInput(str(strange[0])[:60], value[strange[0]], "is not a key of a usage record")
    defaults = {
        "instance": source.instance or source.name,
        "attempt": 0,
        "kind": source.kind.value,
        "site": source.site,
        "status": "unknown",
        "jobs": 1,
        "estimated": False,
    }
    told = {key: _checked(key, each) for key, each in value.items() if each is not None}
    for name in ("global_job_id", "ended_at", "wall_seconds", "processors"):
        if name not in told:
            raise InvalidInput(name, None, "is missing")
    told.setdefault("sequence", int(told["ended_at"].timestamp()))
    made = {FIELDS[name]: told.get(name, defaults.get(name)) for name in FIELDS}
    try:
        made["kind"] = Kind(made["kind"])
    except ValueError as error:
        raise InvalidInput("kind", made["kind"], f"must be one of {', '.join(Kind)}") from error
    return UsageRecord(**made)


def _checked(name: str, value: Any) -> Any:
    """A value of the type of its column."""
    type_ = RECORD.field(name).type
    if pyarrow.types.is_string(type_) and isinstance(value, str):
        return clean(value)
    if pyarrow.types.is_boolean(type_) and isinstance(value, bool):
        return value
    if pyarrow.types.is_timestamp(type_) and isinstance(value, str):
        return iso_instant(value, name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if pyarrow.types.is_floating(type_) and abs(value) < 1e300:
            return float(value)
        if pyarrow.types.is_integer(type_) and abs(value) < 2**63 and value == int(value):
            return int(value)
    raise InvalidInput(name, str(value)[:60], f"must be {type_}")


def _xdmod_storage(value: Mapping[str, Any], source: Source) -> UsageRecord:
    """XDMoD's storage usage of one user at one time."""
    at = iso_instant(str(value.get("dt")), "dt")
    resource, mount, user = (str(clean(value.get(key))) for key in ("resource", "mountpoint", "user"))
    taken, files = value.get("physical_usage", value.get("logical_usage")), value.get("file_count")
    if not isinstance(taken, int) or not isinstance(files, int):
        raise InvalidInput("logical_usage", taken, "must be bytes, and file_count a number")
    return UsageRecord(
        instance=source.instance or resource,
        global_job_id=f"{mount}|{user}|{at.isoformat()}",
        attempt=0,
        kind=Kind.STORAGE,
        site=source.site,
        resource=resource,
        vo=None,
        user=user,
        project=str(value["pi"]) if value.get("pi") else None,
        queue=mount,
        submitted_at=None,
        started_at=None,
        ended_at=at,
        wall_seconds=0.0,
        cpu_user_seconds=None,
        cpu_system_seconds=None,
        processors=1,
        memory_mib=None,
        status="measured",
        exit_code=None,
        exit_signal=None,
        policy_digest=None,
        pilot_id=None,
        entry=None,
        sequence=int(at.timestamp()),
        bytes=taken,
        files=files,
    )
