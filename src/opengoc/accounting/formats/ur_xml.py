"""Usage records in XML: Gratia's and OGF's, one, an envelope of many, or a replication bundle. Pure.

A record is cut out of the bytes by its tags and parsed alone, so a damaged one spoils no other, and so a
document type, which could declare entities, cannot stand before it: entities stay unknown and are faults.
Names are told without their prefixes: probes mix the namespaces of GFD.98 and its drafts::

    <RecordEnvelope><JobUsageRecord xmlns="http://www.gridforum.org/2003/ur-wg" xmlns:urwg="…">
    <RecordIdentity urwg:recordId="submit-3.chtc.wisc.edu:1140965.8929" urwg:createTime="…Z"/>
    <JobIdentity><GlobalJobId>condor.submit-3#60242911.0#1464388571</GlobalJobId></JobIdentity>
    <WallDuration>PT5.0S</WallDuration>…</JobUsageRecord></RecordEnvelope>

Source: OGF GFD.98 (usage record 1.0), GFD.201 (storage), GFD.204 (2.0); Gratia, "RecordProcessor".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from opengoc.accounting.formats import apel, gracc, lines
from opengoc.accounting.formats.piece import Piece, Tail, shown
from opengoc.accounting.formats.values import iso_instant, period_seconds
from opengoc.accounting.model import UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

_NAMES = "JobUsageRecord|UsageRecord|StorageElementRecord|StorageElement|StorageUsageRecord|SummaryRecord"
OPEN = re.compile(rf"<((?:[\w.-]+:)?(?:{_NAMES}))(?=[\s>/])".encode())
_PREFIXES = re.compile(rb"[<\s/]([A-Za-z_][\w.-]*):[A-Za-z_]")
_DECLARED = re.compile(rb"xmlns:([A-Za-z_][\w.-]*)\s*=")
#: What may stand between records: declarations, envelopes, comments, and the bars of a replication.
BETWEEN = re.compile(
    rb"(?:\s|\||replication|<\?.*?\?>|<!--.*?-->|</?(?:[\w.-]+:)?(?:RecordEnvelope|\w*Records)\b[^<>]*>)*",
    re.S,
)
_DURATIONS = {
    "WallDuration",
    "CpuDuration",
    "TimeDuration",
    "NormalisedWallDuration",
    "NormalisedCpuDuration",
}


def recognises(head: bytes) -> bool:
    """Whether a file that begins so holds usage records in XML."""
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return (first[:1] == b"<" and b"Record" in head) or first.startswith(b"replication|")


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The records of a document."""
    start = 0
    while (found := OPEN.search(data, start)) is not None:
        closing = b"</" + found[1] + b">"
        end = data.find(closing, found.end())
        if end < 0:
            end = _self_closed(data, found)
            if end < 0:
                break
        else:
            end += len(closing)
        if found.start() > start:
            yield _between(data, start, found.start())
        yield lines.piece(data, found.start(), end, lambda body: _record(body, source))
        start = end
    if tail is Tail.OPEN:
        return
    if found is not None:
        if found.start() > start:
            yield _between(data, start, found.start())
        yield Piece(
            start=found.start(), end=len(data), fault=f"{shown(found[0])}> is not closed where the file ends"
        )
    elif start < len(data):
        yield _between(data, start, len(data))


def _self_closed(data: bytes, found: re.Match[bytes]) -> int:
    end = data.find(b">", found.end())
    return end + 1 if end > 0 and data[end - 1 : end] == b"/" else -1


def _between(data: bytes, start: int, end: int) -> Piece:
    gap = data[start:end].removeprefix(b"\xef\xbb\xbf")
    if BETWEEN.fullmatch(gap):
        return Piece(start=start, end=end)
    strange = gap[(BETWEEN.match(gap) or re.match(rb"", gap)).end() :]  # type: ignore[union-attr]
    return Piece(start=start, end=end, fault=f"{shown(strange)} is no usage record")


def _record(body: bytes, source: Source) -> UsageRecord:
    element = parse(body)
    name = _local(element.tag)
    if name == "SummaryRecord":
        return apel.summary(_summary_values(element), source)
    return gracc.record(flat(element), source)


def parse(body: bytes) -> ElementTree.Element:
    """One record as XML; prefixes that only its envelope declares are let pass. Raises InvalidInput."""
    undeclared = set(_PREFIXES.findall(body)) - set(_DECLARED.findall(body)) - {b"xml", b"xmlns"}
    spaces = b"".join(b' xmlns:%s="urn:undeclared:%s"' % (each, each) for each in sorted(undeclared))
    try:
        return ElementTree.fromstring(b"<r" + spaces + b">" + body + b"</r>")[0]
    except (ElementTree.ParseError, ValueError, IndexError) as error:
        raise InvalidInput("XML", shown(body), f"is not well-formed: {error}") from error


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def flat(element: ElementTree.Element) -> dict[str, Any]:
    """A record as GRACC's flat object."""
    made = told(element, _duration)
    if made["type"] == "JobUsageRecord":
        _finish(made)
        return made
    return {key: _as_number(value) for key, value in made.items()}


def told(element: ElementTree.Element, duration: Callable[[str, str], Any]) -> dict[str, Any]:
    """What a record tells, flat; ``duration`` makes values of durations."""
    name = _local(element.tag)
    made: dict[str, Any] = {"type": "StorageElementRecord" if name == "StorageElement" else name}
    if name == "UsageRecord":
        made["type"] = "JobUsageRecord"
    for child in element:
        tag = _local(child.tag)
        if tag in ("JobIdentity", "UserIdentity", "SubjectIdentity"):
            for inner in child:
                _add(made, _local(inner.tag), inner, duration)
        elif tag == "RecordIdentity":
            for key, value in child.attrib.items():
                local = _local(key)
                made[local[:1].upper() + local[1:]] = value.strip()
        elif tag == "Origin":
            _origin(made, child)
        else:
            _add(made, tag, child, duration)
    return made


def _add(
    made: dict[str, Any], tag: str, element: ElementTree.Element, duration: Callable[[str, str], Any]
) -> None:
    if len(element):
        return
    value: Any = (element.text or "").strip()
    attributes = {_local(key): each for key, each in element.attrib.items() if key.startswith("{")}
    key = tag
    match tag:
        case "Resource":
            described = attributes.pop("description", "")
            key = "ResourceType" if described == "ResourceType" else "Resource_" + described.replace(".", "-")
        case "CpuDuration":
            usage = attributes.pop("usageType", "")
            key = f"{tag}_{usage}" if usage in ("user", "system") else tag
        case "TimeDuration" | "TimeInstant":
            key = f"{tag}_{attributes.pop('type', '')}".rstrip("_")
        case "GroupAttribute":
            key = f"{tag}_{attributes.pop('type', attributes.pop('attributeType', ''))}"
    if tag in ("StartTime", "EndTime", "TimeDuration", "TimeInstant", "QueueTime", "Grid"):
        attributes.pop("description", None)
    made[key] = duration(value, tag) if tag in _DURATIONS else value
    for attribute, said in attributes.items():
        made[f"{key}_{attribute}"] = duration(said, attribute) if attribute == "phaseUnit" else said


def _duration(raw: str, where: str) -> float | int | str:
    if not raw:
        return raw
    seconds = period_seconds(raw, where)
    return int(seconds) if seconds == int(seconds) else round(seconds, 6)


def _origin(made: dict[str, Any], element: ElementTree.Element) -> None:
    for key, value in element.attrib.items():
        made[f"Origin_{_local(key)}"] = value
    for inner in element.iter():
        if not len(inner) and inner is not element:
            made[f"Origin{_local(inner.tag)}"] = (inner.text or "").strip()


def _finish(made: dict[str, Any]) -> None:
    """What GRACC adds: the sum of CPU, and the kind of resource of records that do not say it."""
    parts = [made[key] for key in ("CpuDuration_user", "CpuDuration_system") if key in made]
    if parts and all(isinstance(part, (int, float)) for part in parts):
        total = round(sum(parts), 6)
        made["CpuDuration"] = int(total) if total == int(total) else total
    elif "CpuDuration" not in made and not parts:
        # GRACC writes 0 here, which would say that CPU was measured.
        pass
    if made.get("ResourceType") == "BatchPilot":
        made["ResourceType"] = "Payload"
    made.setdefault("ResourceType", "Batch")


def _as_number(value: Any) -> Any:
    return (
        int(value)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19
        else value
    )


def _summary_values(element: ElementTree.Element) -> Mapping[str, str]:
    """A summary record as the keys of an APEL message."""
    values: dict[str, str] = {}
    for child in element.iter():
        if len(child):
            continue
        tag, told = _local(child.tag), (child.text or "").strip()
        if tag == "GroupAttribute":
            kind = next(iter(child.attrib.values()), "")
            tag = {"vo-group": "VOGroup", "vo-role": "VORole"}.get(kind, tag)
        elif tag == "Infrastructure":
            told = next(iter(child.attrib.values()), told)
        elif tag.endswith("Duration"):
            told = str(period_seconds(told, tag))
        elif tag.endswith("EndTime"):
            told = str(int(iso_instant(told, tag).timestamp()))
        values[tag] = told
    return values
