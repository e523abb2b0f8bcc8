"""Standard Workload Format: the archive's logs of parallel systems, one job a line. Pure.

A line of 18 numbers, −1 for what is not known, after a header of comments::

    ; UnixStartTime: 1132444805
    ; Partition: 163 alice01.spbu.ru
    ; Group: 1 atlas
        2    3   -1   3611   1   -1 -1 -1 116400 -1 -1   2   2 -1 -1 2 -1 -1

The header's ``UnixStartTime`` is the epoch of all times; partitions are sites, groups are VOs (named in the
header or not). Wait −1 is not known: the start is then taken as the submission, and the record says that its
times are estimated. Source: D. Feitelson, "The Standard Workload Format", version 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite

from opengoc.accounting.formats import lines
from opengoc.accounting.formats.piece import Piece, Tail, text
from opengoc.accounting.formats.values import number
from opengoc.accounting.model import UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

_START = re.compile(rb"^;[ \t]*UnixStartTime:[ \t]*(\d{1,12})", re.M)
_NAMED = re.compile(rb"^;[ \t]*(Partition|Group|Queue):[ \t]*(\d{1,9})[ \t]+(\S[^\r\n]*)", re.M)
_STATUS = {0: "failed", 1: "completed", 5: "cancelled"}
_FIELDS = 18


def recognises(head: bytes) -> bool:
    """Whether a file that begins so is an SWF log."""
    return head.lstrip()[:1] == b";" and _START.search(head) is not None


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The jobs of a log."""
    names = _header(source.preamble or data)

    def record(line: bytes) -> UsageRecord | None:
        return None if line.startswith(b";") else _record(line, names, source)

    return lines.pieces(data, tail, record)


class _Header:
    """What the comments before the jobs say."""

    def __init__(self, data: bytes) -> None:
        found = _START.search(data)
        self.epoch = int(found[1]) if found else None
        self.names = {(what, int(n)): text(name).strip() for what, n, name in _NAMED.findall(data)}

    def name(self, what: bytes, n: float) -> str | None:
        """The name of a numbered thing; its number where the header does not name it; None for −1."""
        if n < 0:
            return None
        return self.names.get((what, int(n))) or f"{what.decode().lower()}-{int(n)}"


@lru_cache(maxsize=4)
def _header(data: bytes) -> _Header:
    return _Header(data)


def _record(line: bytes, header: _Header, source: Source) -> UsageRecord:
    values = line.split()
    if len(values) != _FIELDS:
        raise InvalidInput("line", len(values), f"must hold {_FIELDS} numbers")
    try:
        fields = [float(value) for value in values]
    except ValueError:
        fields = [number(text(value), f"field {at}") for at, value in enumerate(values, 1)]
    if not isfinite(sum(fields)):
        # Infinity and what is no number are numbers to Python.
        raise InvalidInput("line", None, "must hold numbers")
    if header.epoch is None:
        raise InvalidInput("header", None, "has no UnixStartTime: the times count from nowhere")
    job, submit, wait, run = fields[:4]
    if job < 1 or submit < 0 or not run >= 0:
        raise InvalidInput(
            f"job {values[0]!r}", (job, submit, run), "needs a number, a submission and a run time"
        )
    start = submit + max(wait, 0.0)
    used, requested = fields[4], fields[7]
    return UsageRecord(
        instance=source.instance or source.name,
        global_job_id=text(values[0]),
        attempt=0,
        kind=source.kind,
        site=source.site or header.name(b"Partition", fields[15]),
        resource=None,
        vo=header.name(b"Group", fields[12]),
        user=None if fields[11] < 0 else f"user-{int(fields[11])}",
        project=None,
        queue=header.name(b"Queue", fields[14]),
        submitted_at=_instant(header.epoch + submit),
        started_at=_instant(header.epoch + start),
        ended_at=_instant(header.epoch + start + run),
        wall_seconds=run,
        cpu_user_seconds=None if fields[5] < 0 else fields[5] * max(used, 1.0),
        cpu_system_seconds=None,
        processors=int(used if used > 0 else max(requested, 1.0)),
        memory_mib=None if fields[6] < 0 else int(fields[6] * max(used, 1.0) / 1024),
        status=_STATUS.get(int(fields[10]), "unknown"),
        exit_code=None,
        exit_signal=None,
        policy_digest=None,
        pilot_id=None,
        entry=None,
        sequence=int(header.epoch + start + run),
        estimated=wait < 0,
    )


def _instant(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput("time", seconds, "is no time") from error
