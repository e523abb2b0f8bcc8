"""Downtimes as the trees of /rgdowntime, and as the lines of a calendar."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

from opengoc.registry.downtime import Downtime
from opengoc.registry.snapshot import Registry
from opengoc.web.myosg.numbers import number_of
from opengoc.web.public import without_addresses

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f]")


def downtime_tree(
    registry: Registry, downtime: Downtime, services: Collection[int] = ()
) -> dict[str, Any] | None:
    """A downtime of a resource that stands; None where the resource offers none of the services any more.

    ``services``: numbers of the kinds of service to show; empty: all.
    """
    resource = registry.resources[downtime.resource]
    offered = {service.kind: service for service in resource.services}
    shown = []
    for name in downtime.services:
        kind = registry.service_kinds.get(name)
        number = number_of(kind) if kind else None
        if name in offered and (not services or number in services):
            shown.append(
                {
                    "ID": number,
                    "Name": name,
                    "Description": without_addresses(offered[name].description) or None,
                }
            )
    if not shown:
        return None
    claimed = downtime.claimed_class or downtime.derived_class()
    return {
        "ID": downtime.id,
        "ResourceID": number_of(resource),
        "ResourceGroup": {
            "GroupName": resource.group,
            "GroupID": number_of(registry.groups[resource.group]),
        },
        "ResourceName": resource.name,
        "ResourceFQDN": resource.fqdn,
        "StartTime": _time(downtime.interval.start),
        "EndTime": _time(downtime.interval.end),
        "Class": claimed.value if claimed else None,
        "Severity": downtime.severity.value,
        "CreatedTime": _time(downtime.declared_at),
        "UpdateTime": "Not Available",
        "Services": {"Service": shown},
        "Description": without_addresses(downtime.description) or None,
    }


def _time(moment: datetime | None) -> str:
    """``Aug 15, 2026 04:00 AM UTC``: hours to 24, and AM or PM beside them all the same."""
    if moment is None:
        return "Not Available"
    day = f"{_MONTHS[moment.month - 1]} {moment.day:02d}, {moment.year:04d}"
    return f"{day} {moment:%H:%M} {'AM' if moment.hour < 12 else 'PM'} UTC"


def calendar_event(registry: Registry, downtime: Downtime) -> str:
    """A downtime as VEVENT (RFC 5545, section 3.6.1)."""
    resource = registry.resources[downtime.resource]
    claimed = downtime.claimed_class or downtime.derived_class()
    said = without_addresses(downtime.description)
    description = (
        f"Class: {claimed.value if claimed else 'unknown'}\nSeverity: {downtime.severity.value}\n"
        f"Affected Services: {', '.join(downtime.services)}\nDescription: {said}"
    )
    end = downtime.interval.end or downtime.interval.start
    lines = [
        "BEGIN:VEVENT",
        f"SUMMARY:{_escaped(f'{resource.group} / {resource.name}')}",
        f"DTSTAMP:{_stamp(downtime.declared_at or downtime.interval.start)}",
        f"DTSTART:{_stamp(downtime.interval.start)}",
        f"DTEND:{_stamp(end)}",
        f"UID:{_escaped(downtime.id)}",
        f"DESCRIPTION:{_escaped(description)}",
        "END:VEVENT",
    ]
    return "".join(_folded(line) for line in lines)


def calendar(events: str) -> str:
    """Events as a calendar."""
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Open Science Grid//Topology//EN\r\n"
    return f"{head}{events}END:VCALENDAR\r\n"


def _stamp(moment: datetime) -> str:
    return f"{moment.year:04d}{moment:%m%dT%H%M%S}Z"


def _escaped(text: str) -> str:
    """TEXT of RFC 5545, section 3.3.11, which has no control characters but the tab."""
    for letter in ("\\", ";", ","):
        text = text.replace(letter, f"\\{letter}")
    lines = text.replace("\r\n", "\n").replace("\r", "")
    return _CONTROL.sub("\ufffd", lines).replace("\n", "\\n")


def _folded(line: str) -> str:
    """Lines of at most 75 octets (section 3.1), never cut inside a letter."""
    parts: list[str] = []
    rest = line
    while len(rest.encode()) > (limit := 75 if not parts else 74):
        cut = len(rest.encode()[:limit].decode(errors="ignore"))
        parts.append(rest[:cut])
        rest = rest[cut:]
    return "\r\n ".join([*parts, rest]) + "\r\n"
