"""Gratia's usage records in XML, in one envelope. Pure. See ``formats.ur_xml``; source: OGF GFD.98."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.writing import gracc

_SPACE = "http://www.gridforum.org/2003/ur-wg"
_OPEN = f'<JobUsageRecord xmlns="{_SPACE}" xmlns:urwg="{_SPACE}">'
_DURATIONS = ("WallDuration", "CpuDuration_user", "CpuDuration_system")
_USER = ("DN", "VOName", "ReportableVOName")
#: Elements that stand by their name, in the order of the standard.
_PLAIN = (
    *("Status", "NodeCount", "Processors", "StartTime", "EndTime", "QueueTime", "MachineName", "SiteName"),
    *("SubmitHost", "Queue", "ProjectName", "Memory", "Network", "ServiceLevel", "ProbeName", "Njobs"),
)


def write(records: Iterable[UsageRecord]) -> Iterator[str]:
    """An envelope of the records that tell of jobs or transfers."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<RecordEnvelope>\n'
    for record in records:
        if record.kind not in (Kind.GRANT, Kind.SYNC, Kind.STORAGE):
            yield xml(gracc.flat(record))
    yield "</RecordEnvelope>\n"


def xml(flat: dict[str, Any]) -> str:
    """One flat record as XML."""
    lines = [
        _OPEN,
        f"<RecordIdentity urwg:recordId={_attribute(flat['RecordId'])}"
        f" urwg:createTime={_attribute(flat['CreateTime'])}/>",
        f"<JobIdentity>{_element('GlobalJobId', flat['GlobalJobId'])}</JobIdentity>",
        "<UserIdentity>"
        + "".join(_element(name, flat[name]) for name in _USER if name in flat)
        + "</UserIdentity>",
    ]
    for name in _DURATIONS:
        if name in flat:
            tag, _, usage = name.partition("_")
            lines.append(_element(tag, f"PT{flat[name]:.6f}S", usageType=usage))
    for name in _PLAIN:
        if name in flat:
            unit, kind = flat.get(f"{name}_storageUnit", ""), flat.get(f"{name}_type", "")
            lines.append(_element(name, flat[name], storageUnit=unit, type=kind))
    for name, value in flat.items():
        if name == "ResourceType" or name.startswith("Resource_"):
            lines.append(_element("Resource", value, description=name.removeprefix("Resource_")))
    return "\n".join([*lines, "</JobUsageRecord>\n"])


def _element(tag: str, value: str, **attributes: str) -> str:
    told = "".join(f" urwg:{name}={_attribute(each)}" for name, each in attributes.items() if each)
    return f"<{tag}{told}>{escape(_printable(value))}</{tag}>"


def _attribute(value: str) -> str:
    return quoteattr(_printable(value))


def _printable(value: str) -> str:
    """The text without characters that XML 1.0 cannot hold, spelt out."""
    return "".join(c if c.isprintable() or c in "\t\n" else f"\\u{ord(c):04x}" for c in value)
