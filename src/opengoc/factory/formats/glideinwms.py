"""Reads the entries in the XML of a glideinWMS factory (``glideinWMS.xml``, ``config.d/*.xml``).

Sample, shortened::

    <glidein>
      <entries>
        <entry name="OSG_US_X" enabled="True" gridtype="condor" gatekeeper="ce.x.edu ce.x.edu:9619" …>
          <config>
            <max_jobs>
              <default_per_frontend glideins="5000" held="50" idle="100"/>
              <per_entry glideins="10000" held="1000" idle="2000"/>
              <per_frontends>
                <per_frontend name="osg:frontend" glideins="20" held="5" idle="5"/>
              </per_frontends>
            </max_jobs>
            <submit cluster_size="10" …>
              <submit_attrs><submit_attr name="+maxMemory" value="2048"/></submit_attrs>
            </submit>
          </config>
          <attrs>
            <attr name="GLIDEIN_MaxMemMBs" type="int" value="2048" publish="True" …/>
          </attrs>
        </entry>
      </entries>
    </glidein>
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.factory.faults import Fault, refuse
from opengoc.factory.formats.foreign import ForeignAttribute, ForeignEntry, ForeignLimits
from opengoc.factory.formats.xml_tree import Element, read_xml

_CAPS = ("glideins", "idle", "held")
_TRUTHS = {"True": True, "False": False}
#: What glideinWMS takes where a file does not say it.
_ENABLED, _TYPE, _GRID_TYPE = "True", "string", "condor"
#: Read apart, by path below the entry; whatever else is there is kept as it is.
_READ = (
    ("attrs", "attr"),
    ("config", "submit", "submit_attrs", "submit_attr"),
    ("config", "max_jobs", "per_entry"),
    ("config", "max_jobs", "default_per_frontend"),
    ("config", "max_jobs", "per_frontends", "per_frontend"),
)


@dataclass(frozen=True, kw_only=True)
class ForeignFile:
    """What one file holds."""

    #: Without its folder.
    name: str
    entries: tuple[ForeignEntry, ...]
    #: Elements beside ``<entries>``, which say nothing of single entries, with their lines.
    ignored: Mapping[str, int]


def read_files(paths: Iterable[Path]) -> tuple[ForeignFile, ...]:
    """The files, in order of name. Raises InvalidInput naming every fault of a file, with line and entry."""
    chosen = sorted(set(paths), key=lambda path: path.name)
    for before, after in pairwise(chosen):
        if before.name == after.name:
            raise InvalidInput(
                str(after), after.name, f"has the name of {before}: entries are kept by file name"
            )
    return tuple(read_file(path) for path in chosen)


def read_file(path: Path) -> ForeignFile:
    """One file. Raises InvalidInput as ``read_files``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(str(path), type(error).__name__, f"cannot be read: {error}") from error
    root = read_xml(content, str(path))
    if root.tag != "glidein":
        raise InvalidInput(
            f"{path}:{root.line}", f"<{root.tag}>", "must be <glidein>: a glideinWMS factory's file"
        )
    faults: list[Fault] = []
    entries = [_entry(element, path.name, faults) for element in root.all("entries", "entry")]
    refuse(str(path), faults)
    return ForeignFile(
        name=path.name,
        entries=tuple(each for each in entries if each is not None),
        ignored={child.tag: child.line for child in root.children if child.tag != "entries"},
    )


def _entry(element: Element, file: str, faults: list[Fault]) -> ForeignEntry | None:
    given = dict(element.attributes)
    name = given.pop("name", "")
    subject = f"entry {name or '(without a name)'}"
    before = len(faults)

    def fault(line: int, rule: str) -> None:
        faults.append(Fault(line=line, subject=subject, rule=rule))

    if not name:
        fault(element.line, "needs a name")
    gatekeeper = given.pop("gatekeeper", "").strip()
    if not gatekeeper:
        fault(element.line, "needs a gatekeeper")
    enabled = given.pop("enabled", _ENABLED)
    if enabled not in _TRUTHS:
        fault(element.line, f"enabled must be True or False, not {enabled!r}")
    for part in (*element.all(*_READ[0]), *element.all(*_READ[1])):
        for key in {"name", "value"} - part.attributes.keys():
            fault(part.line, f"<{part.tag}> {part.attributes.get('name', '')} has no {key}")
    for part in element.all(*_READ[4]):
        if not part.attributes.get("name"):
            fault(part.line, "<per_frontend> has no name")
    if len(faults) > before:
        return None
    grid_type = given.pop("gridtype", _GRID_TYPE)
    return ForeignEntry(
        file=file,
        name=name,
        line=element.line,
        enabled=_TRUTHS[enabled],
        grid_type=" ".join(grid_type.split()),
        gatekeeper=gatekeeper,
        given=given,
        attributes=tuple(_attribute(each, _TYPE) for each in element.all(*_READ[0])),
        submit=tuple(_attribute(each, "") for each in element.all(*_READ[1])),
        per_entry=_limits(element.first(*_READ[2])),
        default_per_frontend=_limits(element.first(*_READ[3])),
        per_frontend=tuple(filter(None, map(_limits, element.all(*_READ[4])))),
        rest=tuple(_rest(element)),
    )


def _attribute(element: Element, default_type: str) -> ForeignAttribute:
    flags = dict(element.attributes)
    return ForeignAttribute(
        name=flags.pop("name"),
        value=flags.pop("value"),
        type=flags.pop("type", default_type),
        flags=flags,
        line=element.line,
    )


def _limits(element: Element | None) -> ForeignLimits | None:
    if element is None:
        return None
    flags = dict(element.attributes)
    scope = flags.pop("name") if element.tag == "per_frontend" else element.tag
    caps = {cap: flags.pop(cap) for cap in _CAPS if cap in flags}
    return ForeignLimits(scope=scope, caps=caps, flags=flags, line=element.line)


def _rest(element: Element, *above: str) -> Iterable[dict[str, Any]]:
    """What ``_READ`` does not name, as JSON values; elements that hold nothing are left out."""
    for child in element.children:
        path = (*above, child.tag)
        if path in _READ:
            continue
        children = list(_rest(child, *path))
        if child.attributes or children:
            attributes = dict(child.attributes)
            yield {"tag": child.tag, "attributes": attributes, "children": children, "line": child.line}
