"""APEL messages of individual jobs, many records at once. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow
import pyarrow.compute as pc

from opengoc.accounting.columns import assembled, plain, whole_seconds
from opengoc.accounting.formats.apel import BENCHMARKS
from opengoc.accounting.formats.piece import Made, Tail
from opengoc.accounting.formats.template import Layout, Texts, epoch, layout, sort
from opengoc.accounting.source import Source
from opengoc.accounting.table import READ

_VALUE = rb"[ -~]"
_LINE = re.compile(rb"([A-Za-z][A-Za-z0-9]*):[ ]?([ -~]*)\n")
_RECORD = re.compile(rb"(?:[A-Za-z][A-Za-z0-9]*:[ -~]*\n){6,60}%%\n")
_NEXT = re.compile(rb"")
#: Keys that make a record one of another kind, or that only the slow way reads.
_OTHERS = {b"NumberOfJobs", b"VMUUID", b"LocalJobID", b"ScalingFactor", b"ScalingFactorUnit"}
_NEEDED = {b"LocalJobId", b"Site", b"StartTime", b"EndTime", b"WallDuration"}


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Made | None:  # noqa: ARG001
    """The job records of a message; all else is left to be read piece by piece."""
    if (
        b"APEL-individual-job-message" not in data[:200]
        and not source.preamble
        and b"%%\n" not in data[:8000]
    ):
        return None

    def cut(at: int) -> int | None:
        end = data.find(b"\n%%", at)
        line_end = data.find(b"\n", end + 1) if end >= 0 else -1
        return line_end + 1 if line_end >= 0 else None

    found = sort(data, cut, lambda start, end: _layout(data[start:end]), _NEXT)
    return made(found.taken, found.rest, lambda texts: _records(texts, source))


def made(
    taken: list[tuple[Layout, Texts]],
    rest: list[tuple[int, int]],
    records: Callable[[Texts], pyarrow.Table],
) -> Made:
    """The records of each layout; those that are not told in the plain way are left."""
    tables, left = [READ.empty_table()], list(rest)
    for _, texts in taken:
        spans = [(start, start + length) for start, length in texts.places]
        try:
            table = records(texts)
        except pyarrow.ArrowInvalid:
            left += spans
            continue
        mask = pc.and_(plain(table), texts.plain)
        if not pc.all(mask).as_py():
            left += [span for span, fine in zip(spans, mask.to_pylist(), strict=True) if not fine]
            table = table.filter(mask)
        tables.append(table)
    joined = pyarrow.concat_tables(tables)
    return Made(records=joined.sort_by("raw_offset") if len(taken) > 1 else joined, rest=tuple(sorted(left)))


def _layout(exemplar: bytes) -> Layout | None:
    if _RECORD.fullmatch(exemplar) is None:
        return None
    lines = list(_LINE.finditer(exemplar))
    keys = [line[1] for line in lines]
    if not _NEEDED.issubset(keys) or not _OTHERS.isdisjoint(keys):
        return None
    return layout(exemplar, [line.span(2) for line in lines], _VALUE, [key.decode() for key in keys])


def _records(texts: Texts, source: Source) -> pyarrow.Table:
    site, job = texts.text("Site"), texts.text("LocalJobId")
    wall = texts.whole("WallDuration")
    started, ended = texts.whole("StartTime"), texts.whole("EndTime")
    for needed in (site, job, wall, started, ended):
        texts.require(needed)
    texts.plain = pc.and_(
        texts.plain, pc.fill_null(pc.and_(pc.greater(started, 0), pc.less(ended, _LATEST)), False)
    )
    host = texts.text("SubmitHost", "MachineName")
    fqan = texts.text("FQAN", "UserFQAN")
    processors = texts.whole("Processors")
    memory = texts.whole("MemoryReal")
    benchmark, worth = _service_level(texts)
    starts, ends = epoch(_bounded(started)), epoch(_bounded(ended))
    columns: dict[str, Any] = {
        "instance": pyarrow.repeat(source.instance, texts.count) if source.instance else _first(host, site),
        "global_job_id": job,
        "attempt": started,
        "site": site,
        "resource": texts.text("MachineName"),
        "vo": _first(texts.text("VO"), _vo(texts.text("FQAN", "UserFQAN", "VOGroup"))),
        "user_name": texts.text("GlobalUserName", "LocalUserId"),
        "queue": texts.text("Queue"),
        "started_at": starts,
        "ended_at": ends,
        "wall_seconds": wall,
        "cpu_user_seconds": texts.whole("CpuDuration"),
        "processors": pyarrow.repeat(1, texts.count)
        if processors is None
        else pc.if_else(pc.equal(pc.fill_null(processors, 0), 0), 1, pc.fill_null(processors, 0)),
        "memory_mib": None if memory is None else pc.divide(pc.add(memory, 1023), 1024),
        "status": pyarrow.repeat("completed", texts.count),
        "sequence": whole_seconds(ends),
        "fqan": fqan,
        "node_count": texts.whole("NodeCount"),
        "submit_host": host,
        "benchmark": benchmark,
        "benchmark_value": worth,
        "raw_offset": pyarrow.array([start for start, _ in texts.places]),
        "raw_length": pyarrow.array([length for _, length in texts.places]),
    }
    return assembled(columns, texts.count, source)


_LATEST = 253_402_300_800


def _bounded(seconds: Any) -> Any:
    """Seconds that are a time; others are null, and their record is left out."""
    return pc.if_else(pc.less(seconds, _LATEST), seconds, pyarrow.scalar(None, pyarrow.int64()))


def _first(*columns: Any) -> Any:
    there = [column for column in columns if column is not None]
    return None if not there else there[0] if len(there) == 1 else pc.coalesce(*there)


def _vo(fqan: Any) -> Any:
    """The first part of an attribute such as ``/cms/Role=production``."""
    if fqan is None:
        return None
    found = pc.struct_field(pc.extract_regex(fqan, r"^/(?P<vo>[^/]+)"), "vo")
    return pc.if_else(pc.equal(found, ""), pyarrow.scalar(None, pyarrow.string()), found)


def _service_level(texts: Texts) -> tuple[Any, Any]:
    kind, worth = texts.text("ServiceLevelType"), texts.text("ServiceLevel")
    if worth is None or kind is None:
        if worth is not None:
            texts.plain = pc.and_(texts.plain, pc.is_null(worth))
        return None, None
    number = pc.cast(
        pc.if_else(pc.match_substring_regex(worth, _PLAIN), worth, pyarrow.scalar(None, pyarrow.string())),
        pyarrow.float64(),
    )
    texts.plain = pc.and_(texts.plain, pc.or_(pc.is_null(worth), pc.is_valid(number)))
    lower = pc.ascii_lower(kind)
    named = kind
    for written, name in BENCHMARKS.items():
        named = pc.if_else(pc.equal(lower, written), name, named)
    told = pc.and_(pc.is_valid(kind), pc.fill_null(pc.greater(number, 0), False))
    return (
        pc.if_else(told, named, pyarrow.scalar(None, pyarrow.string())),
        pc.if_else(told, number, pyarrow.scalar(None, pyarrow.float64())),
    )


_PLAIN = r"^[0-9]{1,12}(\.[0-9]{1,12})?$"
