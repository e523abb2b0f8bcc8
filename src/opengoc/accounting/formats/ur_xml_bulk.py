"""Gratia's usage records of jobs in XML, many at once. Pure.

Records of one layout differ in the text between tags and in the attributes that name the record. A layout is
found by reading one record as XML twice: as it is, and with a mark in the place of each value.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow
import pyarrow.compute as pc

from opengoc.accounting.columns import assembled, whole_seconds
from opengoc.accounting.formats.apel_bulk import made
from opengoc.accounting.formats.gracc import KINDS
from opengoc.accounting.formats.piece import Made, Tail
from opengoc.accounting.formats.template import Layout, Texts, layout, sort
from opengoc.accounting.formats.ur_xml import BETWEEN, OPEN, parse, told
from opengoc.accounting.model import Kind
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

#: Printable ASCII but for what markup is made of.
_VALUE = rb"[ !#-%(-;=?-~]"
_HOLE = re.compile(rb">(" + _VALUE + rb"*)</|[ ](?:[\w.-]+:)?(?:recordId|createTime)=\"(" + _VALUE + rb"*)\"")
_MARK = "value-{}-"
_MARKED = re.compile(r"value-([0-9]+)-")
#: Elements whose values the slow way alone reads.
_OTHERS = {"ServiceLevel_type", "Memory_storageUnit", "QueueTime", "TimeInstant_submit", "CpuDuration_all"}


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Made | None:  # noqa: ARG001
    """The job records of a document; all else is left to be read piece by piece."""
    if OPEN.search(data) is None:
        return None

    def cut(at: int) -> int | None:
        opened = OPEN.match(data, at)
        if opened is None:
            return None
        closing = b"</" + opened[1] + b">"
        end = data.find(closing, opened.end())
        return end + len(closing) if end >= 0 else None

    found = sort(data, cut, lambda at, end: _layout(data[at:end]), BETWEEN)
    return made(found.taken, found.rest, lambda texts: _columns(texts, source))


def _layout(exemplar: bytes) -> Layout | None:
    """The layout of a record; None for one that is to be read the slow way."""
    holes = [found.span(1) if found[1] is not None else found.span(2) for found in _HOLE.finditer(exemplar)]
    marked, at = b"", 0
    for number, (start, end) in enumerate(holes):
        marked += exemplar[at:start] + _MARK.format(number).encode()
        at = end
    marked += exemplar[at:]
    if b"<!" in exemplar or b"<?" in exemplar:
        return None
    try:
        flat = told(parse(marked), lambda value, _: value)
    except InvalidInput:
        return None
    if flat.pop("type") != "JobUsageRecord" or not _OTHERS.isdisjoint(flat):
        return None
    names = [f"unused-{number}" for number in range(len(holes))]
    for key, value in flat.items():
        found = _MARKED.fullmatch(value) if isinstance(value, str) else None
        if found is not None:
            names[int(found[1])] = key
        elif key in _READ or key.startswith(_CHECKED):
            # A value that is the same in every record of the layout: rare enough for the slow way.
            return None
    return layout(exemplar, holes, _VALUE, names)


#: Durations that are not read and yet must be durations.
_CHECKED = ("TimeDuration", "Normalised")
#: Values that are read; one that is the same in every record of a layout is left to the slow way.
_READ = frozenset(
    [
        *("GlobalJobId", "RecordId", "LocalJobId", "CreateTime", "StartTime", "EndTime", "WallDuration"),
        *("CpuDuration", "CpuDuration_user", "CpuDuration_system", "Processors", "NodeCount", "Njobs"),
        *("VOName", "GroupAttribute_FQAN", "ReportableVOName", "Group", "DN", "CommonName", "GlobalUsername"),
        *(
            "GlobalUserName",
            "LocalUserId",
            "ProjectName",
            "Queue",
            "Status",
            "Resource_ExitCode",
            "ExitStatus",
        ),
        *(
            "ResourceType",
            "ProbeName",
            "MachineName",
            "SiteName",
            "Site",
            "SubmitHost",
            "ServiceLevel",
            "Network",
        ),
        *("Resource_Protocol", "Protocol", "Resource_Source", "Source"),
        *("Resource_Destination", "Destination"),
    ]
)


def _columns(texts: Texts, source: Source) -> pyarrow.Table:
    job = texts.text("GlobalJobId", "RecordId", "LocalJobId")
    started, ended, wall = texts.instant("StartTime"), texts.instant("EndTime"), texts.seconds("WallDuration")
    for needed in (job, ended, wall):
        texts.require(needed)
    for name in texts.names:
        if name.startswith(_CHECKED):
            texts.seconds(name)
    kind = _kind(texts, source)
    user, system = texts.seconds("CpuDuration_user"), texts.seconds("CpuDuration_system")
    if user is None and system is None:
        user = texts.seconds("CpuDuration")
    elif texts.has("CpuDuration") or user is None or system is None:
        _leave_all(texts)
    else:
        # Where both are empty the slow way looks for their sum.
        texts.require(pc.coalesce(user, system))
    fqan = texts.text("VOName", "GroupAttribute_FQAN")
    made_at = texts.instant("CreateTime")
    probe = texts.text("ProbeName", "MachineName", "SiteName", "Site")
    columns: dict[str, Any] = {
        "instance": pyarrow.repeat(source.instance, texts.count) if source.instance else probe,
        "global_job_id": job,
        "kind": kind,
        "site": texts.text("SiteName", "Site"),
        "resource": texts.text("MachineName"),
        "vo": _vo(texts.text("ReportableVOName", "Group"), fqan),
        "user_name": texts.text("DN", "CommonName", "GlobalUsername", "GlobalUserName", "LocalUserId"),
        "project": texts.text("ProjectName"),
        "queue": texts.text("Queue"),
        "started_at": started,
        "ended_at": ended,
        "wall_seconds": wall,
        "cpu_user_seconds": user,
        "cpu_system_seconds": system,
        "processors": _at_least_one(texts.whole("Processors"), texts.count),
        "status": _status(texts),
        "exit_code": _exit_code(texts),
        "sequence": whole_seconds(ended if made_at is None else pc.coalesce(made_at, ended)),
        "jobs": _at_least_one(texts.whole("Njobs"), texts.count),
        "fqan": None if fqan is None else _only(fqan, pc.starts_with(fqan, "/")),
        "node_count": texts.whole("NodeCount"),
        "submit_host": texts.text("SubmitHost"),
        "protocol": texts.text("Resource_Protocol", "Protocol"),
        "source_host": texts.text("Resource_Source", "Source"),
        "destination_host": texts.text("Resource_Destination", "Destination"),
        "raw_offset": pyarrow.array([start for start, _ in texts.places]),
        "raw_length": pyarrow.array([length for _, length in texts.places]),
    }
    return assembled(columns, texts.count, source)


def _leave_all(texts: Texts) -> None:
    texts.plain = pyarrow.repeat(False, texts.count)


def _only(column: Any, mask: Any) -> Any:
    return pc.if_else(mask, column, pyarrow.scalar(None, column.type))


def _kind(texts: Texts, source: Source) -> Any:
    named = texts.text("ResourceType")
    if named is None:
        return pyarrow.repeat(source.kind.value, texts.count)
    lower = pc.fill_null(pc.ascii_lower(named), "")
    kind: Any = pyarrow.repeat(source.kind.value, texts.count)
    for word, meant in KINDS.items():
        if meant is Kind.TRANSFER:
            texts.plain = pc.and_(texts.plain, pc.not_equal(lower, word))
        kind = pc.if_else(pc.equal(lower, word), meant.value, kind)
    return kind


def _vo(named: Any, fqan: Any) -> Any:
    if fqan is None:
        return named
    found = pc.struct_field(pc.extract_regex(fqan, r"^/(?P<vo>[^/]*)"), "vo")
    from_fqan = pc.if_else(pc.starts_with(fqan, "/"), _only(found, pc.not_equal(found, "")), fqan)
    return from_fqan if named is None else pc.coalesce(named, from_fqan)


def _at_least_one(count: Any, rows: int) -> Any:
    if count is None:
        return pyarrow.repeat(1, rows)
    told_count = pc.fill_null(count, 1)
    return pc.if_else(pc.equal(told_count, 0), 1, told_count)


def _status(texts: Texts) -> Any:
    named = texts.text("Status")
    return (
        pyarrow.repeat("unknown", texts.count)
        if named is None
        else pc.fill_null(pc.ascii_lower(named), "unknown")
    )


def _exit_code(texts: Texts) -> Any:
    raw = texts.text("Resource_ExitCode", "ExitStatus", "Status")
    if raw is None:
        return None
    return pc.cast(_only(raw, pc.match_substring_regex(raw, r"^[0-9]{1,9}$")), pyarrow.int32())
