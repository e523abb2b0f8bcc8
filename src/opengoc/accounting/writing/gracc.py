"""GRACC's flat JSON of jobs and transfers, one object a line. Pure. See ``formats.gracc``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from opengoc.accounting.model import Kind, UsageRecord
from opengoc.base.instant import format_instant

_RESOURCES = {Kind.PAYLOAD: "Payload", Kind.TRANSFER: "Storage"}
_LEVELS = {"HS06": "hepspec06", "HEPscore23": "HEPscore23", "Si2k": "Si2k"}


def write(records: Iterable[UsageRecord]) -> Iterator[str]:
    """One line a record that tells of jobs or transfers; grants, counts and space are no such records."""
    for record in records:
        if record.kind not in (Kind.GRANT, Kind.SYNC, Kind.STORAGE):
            yield json.dumps(flat(record), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def flat(record: UsageRecord) -> dict[str, Any]:
    """A record as GRACC's flat object."""
    told: dict[str, Any] = {
        "type": "JobUsageRecord",
        "RecordId": f"{record.instance}:{record.global_job_id}.{record.attempt}",
        "CreateTime": format_instant(datetime.fromtimestamp(record.sequence, UTC)),
        "ProbeName": record.instance,
        "GlobalJobId": record.global_job_id,
        "ResourceType": _RESOURCES.get(record.kind, "Batch"),
        "SiteName": record.site,
        "MachineName": record.resource,
        "VOName": record.fqan or record.vo,
        "ReportableVOName": record.vo,
        "DN": record.user,
        "ProjectName": record.project,
        "Queue": record.queue,
        "QueueTime": _instant(record.submitted_at),
        "StartTime": _instant(record.started_at),
        "EndTime": _instant(record.ended_at),
        "WallDuration": _seconds(record.wall_seconds),
        "CpuDuration_user": _seconds(record.cpu_user_seconds),
        "CpuDuration_system": _seconds(record.cpu_system_seconds),
        "CpuDuration": _seconds(record.cpu_seconds),
        "Processors": str(record.processors),
        "Status": record.status,
        "Resource_ExitCode": _text(record.exit_code),
        "Njobs": str(record.jobs),
        "NodeCount": _text(record.node_count),
        "SubmitHost": record.submit_host,
        "Resource_Protocol": record.protocol,
        "Resource_Source": record.source_host,
        "Resource_Destination": record.destination_host,
    }
    if record.memory_mib is not None:
        told |= {"Memory": str(record.memory_mib), "Memory_storageUnit": "MB"}
    if record.bytes is not None and record.kind is Kind.TRANSFER:
        told |= {"Network": str(record.bytes), "Network_storageUnit": "b"}
    if record.benchmark in _LEVELS and record.benchmark_value is not None:
        told |= {
            "ServiceLevel": format(record.benchmark_value, ".15g"),
            "ServiceLevel_type": _LEVELS[record.benchmark],
        }
    return {name: value for name, value in told.items() if value is not None}


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else format_instant(moment)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _seconds(seconds: float | None) -> float | int | None:
    return int(seconds) if seconds is not None and seconds == int(seconds) else seconds
