"""A small world for the factory's unit tests: two entries, two VOs, and ways to put jobs and pilots in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from opengoc.base.interval import Interval
from opengoc.condor.observation import Observation
from opengoc.factory.configuration import Configuration, digest_of
from opengoc.factory.entries import Entry, KnownResource, read_entries
from opengoc.factory.model import (
    Payload,
    PayloadState,
    Pilot,
    PilotState,
    Slot,
    Snapshot,
    Submission,
)
from opengoc.factory.policy import Policy, read_policy
from opengoc.registry.downtime import Downtime, Severity
from opengoc.registry.snapshot import Registry

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)

POLICY = """
[entry.HasSquid]
type = "bool"
default = false

[job.WantSquid]
type = "bool"
default = false

[vos.cms]
requirements = '''
// a site of the list, where there is one
(job.DESIRED_Sites == "" || stringListMember(entry.Site, job.DESIRED_Sites))
&& (!job.WantSquid || entry.HasSquid)
'''

[vos.ligo]
requirements = 'job.DESIRED_Sites == "" || stringListMember(entry.Site, job.DESIRED_Sites)'
"""

RESOURCES = {
    "CE-A": KnownResource(site="SITE-A"),
    "CE-B": KnownResource(site="SITE-B"),
}


def policy(text: str = POLICY) -> Policy:
    found, faults = read_policy(text, "policy.toml")
    assert not faults, faults
    return found


def entry_table(name: str, **changes: Any) -> str:
    """One ``[[entries]]`` table; a change to None leaves the key out."""
    keys: dict[str, Any] = {
        "name": f'"{name}"',
        "resource": '"CE-A"',
        "grid_resource": '"batch slurm"',
        "cores": 2,
        "memory_mib": 2048,
        "walltime_seconds": 3600,
        "vos": '["cms", "ligo"]',
        "max_pilots": 10,
        "max_idle": 10,
    } | changes
    lines = [f"{key} = {value}" for key, value in keys.items() if value is not None]
    return "\n".join(["[[entries]]", *lines, ""])


def entries(text: str) -> tuple[Entry, ...]:
    found, faults = read_entries(text, "entries.toml", vocabulary=policy().vocabulary, resources=RESOURCES)
    assert not faults, faults
    return found


def configuration(*tables: str) -> Configuration:
    """The policy above with these entries; without any: A at SITE-A and B at SITE-B."""
    text = "\n".join(tables) or entry_table("A") + entry_table("B", resource='"CE-B"')
    found, rules = entries(text), policy()
    return Configuration(
        entries={entry.name: entry for entry in found}, policy=rules, digest=digest_of(found, rules)
    )


def registry(*downtimes: Downtime) -> Registry:
    empty: dict[str, Any] = {field.name: {} for field in fields(Registry)}
    known = {"known_at": NOW, "downtimes": {downtime.id: downtime for downtime in downtimes}}
    return Registry(**(empty | known))


def outage(resource: str, *, starts_in: float, hours: float, service: str = "CE") -> Downtime:
    start = NOW + timedelta(hours=starts_in)
    return Downtime(
        id=f"dt-{resource}",
        resource=resource,
        services=(service,),
        interval=Interval(start, start + timedelta(hours=hours)),
        severity=Severity.OUTAGE,
        description="power work",
    )


def jobs(
    count: int, *, vo: str = "cms", state: PayloadState = PayloadState.IDLE, **attributes: Any
) -> list[Payload]:
    return [
        Payload(
            id=f"{vo}#{number}.0",
            vo=vo,
            state=state,
            attributes={"VO": vo, "RequestCpus": 1, "RequestMemory": 512, "RequestDisk": 1024} | attributes,
        )
        for number in range(count)
    ]


def pilot(
    number: int,
    *,
    digest: str,
    entry: str = "A",
    vo: str = "cms",
    state: PilotState = PilotState.IDLE,
    age_seconds: float = 30.0,
    exit_code: int | None = None,
) -> Pilot:
    return Pilot(
        id=f"plt-{number:03d}",
        job=f"{number}.0",
        entry=entry,
        vo=vo,
        digest=digest,
        state=state,
        since=NOW - timedelta(seconds=age_seconds),
        hold_reason="no credential" if state is PilotState.HELD else "",
        exit_code=exit_code,
    )


def slot(
    number: int, *, digest: str, entry: str = "A", vo: str = "cms", cores: int = 2, accepting: bool = True
) -> Slot:
    return Slot(
        name=f"slot1@{number}",
        pilot_id=f"plt-{number:03d}",
        entry=entry,
        vos=(vo,),
        digest=digest,
        cores=cores,
        memory_mib=1024 * cores,
        accepting=accepting,
    )


def whole(source: str, items: Iterable[Any]) -> Observation[Any]:
    return Observation(source=source, items=tuple(items), taken_at=NOW, complete=True)


def failed(source: str) -> Observation[Any]:
    return Observation(source=source, items=(), taken_at=NOW, complete=False, error="no answer within 20 s")


def snapshot(
    payloads: Iterable[Payload] = (),
    pilots: Iterable[Pilot] = (),
    slots: Iterable[Slot] = (),
    submissions: Iterable[Submission] = (),
) -> Snapshot:
    return Snapshot(
        queues=(whole("jobs of pool", payloads),),
        pilots=whole("jobs of factory", pilots),
        slots=whole("slots", slots),
        submissions=tuple(submissions),
    )
