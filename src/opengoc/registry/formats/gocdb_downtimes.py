"""GOCDB's downtimes (get_downtime, XML): one element a service on a host, several a downtime."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, DowntimeClass, Severity
from opengoc.registry.findings import Findings
from opengoc.registry.snapshot import Registry

_MAX_BYTES = 64 * 1024 * 1024
_SEVERITIES = {"OUTAGE": Severity.OUTAGE, "WARNING": Severity.INTERMITTENT}


def read_gocdb_downtimes(path: Path, registry: Registry, findings: Findings) -> dict[str, Downtime]:
    """Downtimes by id, one a downtime of GOCDB and host; the host's resource where the registry knows it.

    What cannot be read is left out and noted as a fault; a host that the registry does not know is noted as a
    doubt and goes by its own name. Raises InvalidInput for a file that is no such feed, has entities, or is
    larger than 64 MiB.

    <DOWNTIME ID="32578" PRIMARY_KEY="123456G0" CLASSIFICATION="SCHEDULED"> <HOSTNAME>…</HOSTNAME>
    <SERVICE_TYPE>webdav</SERVICE_TYPE> <SEVERITY>WARNING</SEVERITY> <INSERT_DATE>1656137042</INSERT_DATE> …
    """
    hosts = {
        host.lower(): resource
        for resource in registry.resources.values()
        for host in (resource.fqdn, *resource.aliases)
    }
    found: dict[str, Downtime] = {}
    for number, element in enumerate(_elements(path), start=1):
        where = f"{path.name}:{number}"
        host = _text(element, "HOSTNAME").lower()
        resource = hosts.get(host)
        try:
            downtime = _downtime(element, resource.name if resource else host, where)
        except InvalidInput as error:
            findings.fault(where, error.value, error.rule, kind="downtime")
            continue
        if resource is None:
            findings.doubt(
                where, host, "is no resource of the registry: it goes by its name", kind="downtime"
            )
        found[downtime.id] = _joined(found.get(downtime.id), downtime)
    return found


def _elements(path: Path) -> list[Element]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidInput(str(path), path.stat().st_size, f"is larger than {_MAX_BYTES} bytes")
        root: Element = fromstring(path.read_bytes(), forbid_dtd=True)
    except OSError as error:
        raise InvalidInput(str(path), error.strerror, "cannot be read") from error
    except DefusedXmlException as error:
        raise InvalidInput(str(path), type(error).__name__, "declares entities: refused") from error
    except ParseError as error:
        raise InvalidInput(str(path), str(error), "is not XML") from error
    if root.tag != "results":
        raise InvalidInput(str(path), root.tag, "is no answer of GOCDB's get_downtime")
    return root.findall("DOWNTIME")


def _downtime(element: Element, resource: str, where: str) -> Downtime:
    key = element.get("PRIMARY_KEY") or _text(element, "PRIMARY_KEY")
    severity, classification = _text(element, "SEVERITY"), element.get("CLASSIFICATION", "")
    if severity not in _SEVERITIES:
        raise InvalidInput(where, severity, f"SEVERITY must be one of: {', '.join(_SEVERITIES)}")
    if classification not in set(DowntimeClass):
        raise InvalidInput(
            where, classification, f"CLASSIFICATION must be one of: {', '.join(DowntimeClass)}"
        )
    if not key or not resource:
        raise InvalidInput(where, key, "needs a PRIMARY_KEY and a HOSTNAME")
    return Downtime(
        id=f"gocdb-{key}-{resource}",
        resource=resource,
        services=(_text(element, "SERVICE_TYPE"),),
        interval=Interval(_time(element, "START_DATE", where), _time(element, "END_DATE", where)),
        severity=_SEVERITIES[severity],
        description=_text(element, "DESCRIPTION"),
        declared_at=_time(element, "INSERT_DATE", where),
        claimed_class=DowntimeClass(classification),
        announcement=key,
    )


def _joined(one: Downtime | None, other: Downtime) -> Downtime:
    """The same downtime on the same host, of one more service."""
    if one is None:
        return other
    return Downtime(**{**vars(other), "services": tuple(sorted({*one.services, *other.services}))})


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _time(element: Element, tag: str, where: str) -> datetime:
    text = _text(element, tag)
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        raise InvalidInput(where, text, f"{tag} must be seconds since 1970")
    return datetime.fromtimestamp(int(text), UTC)
