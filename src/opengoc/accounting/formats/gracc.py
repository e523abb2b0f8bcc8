"""Gratia's usage record as GRACC's flat JSON, and what it says of a job, a transfer or a space. Pure.

GRACC writes a Gratia/OGF usage record as one flat object: elements by name, their attributes behind ``_``,
durations in seconds, every other value as its text::

    {"type": "JobUsageRecord", "RecordId": "submit-3.wisc.edu:1140965.8929", "ProbeName": "condor:submit-3",
     "GlobalJobId": "condor.submit-3#60242911.0#1464388571", "VOName": "GLOW", "SiteName": "CHTC",
     "WallDuration": 5, "CpuDuration": 0, "CpuDuration_user": 0, "Processors": "1", "ResourceType": "Batch",
     "StartTime": "2016-05-27T22:36:37Z", "EndTime": "2016-05-27T22:36:42Z"}

What counts: identity is the probe with the global job id, or with the record id where there is none (two
records of one job on two probes are two). ``Njobs`` above one is a record of several jobs. Source: OGF
GFD.98; gracc, "gracc-collector/gracc/jobUsageRecord.go".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from opengoc.accounting.formats.values import iso_instant, known, number, period_seconds, whole
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

#: What Gratia's probes call the resource that a record is of.
KINDS = {
    "payload": Kind.PAYLOAD,
    "batchpilot": Kind.PAYLOAD,
    "storage": Kind.TRANSFER,
    "gridftp": Kind.TRANSFER,
}
_BYTES = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40, "pb": 2**50}
_BENCHMARKS = {
    "hepspec": "HS06",
    "hepspec06": "HS06",
    "hs06": "HS06",
    "hepscore23": "HEPscore23",
    "si2k": "Si2k",
}


def is_gracc(value: Mapping[str, Any]) -> bool:
    """Whether an object is a flat usage record."""
    return str(value.get("type", "")).endswith("Record") or "RecordId" in value or "ProbeName" in value


def record(flat: Mapping[str, Any], source: Source) -> UsageRecord:
    """The usage that a flat record tells of. Raises InvalidInput."""
    kind = flat.get("type")
    if kind in ("StorageElementRecord", "StorageUsageRecord"):
        return _space(flat, source)
    if kind not in (None, "JobUsageRecord", "UsageRecord"):
        raise InvalidInput("type", kind, "is a record that tells of no usage")
    return _usage(flat, source)


def _usage(flat: Mapping[str, Any], source: Source) -> UsageRecord:
    job = _first(flat, "GlobalJobId") or _first(flat, "RecordId") or _first(flat, "LocalJobId")
    if job is None:
        raise InvalidInput(
            "GlobalJobId", None, "is missing, and so is RecordId: the job cannot be told from others"
        )
    started, ended, wall, estimated = _times(flat, job)
    user, system = _cpu(flat)
    fqan = _first(flat, "VOName") or _first(flat, "GroupAttribute_FQAN")
    form = KINDS.get(str(flat.get("ResourceType", "")).lower(), source.kind)
    return UsageRecord(
        instance=source.instance
        or _first(flat, "ProbeName", "MachineName", "SiteName", "Site")
        or source.name,
        global_job_id=job,
        attempt=0,
        kind=form,
        site=_first(flat, "SiteName", "Site") or source.site,
        resource=_first(flat, "MachineName"),
        vo=_vo(flat, fqan),
        user=_first(flat, "DN", "CommonName", "GlobalUsername", "GlobalUserName", "LocalUserId"),
        project=_first(flat, "ProjectName"),
        queue=_first(flat, "Queue"),
        submitted_at=_instant(flat, "QueueTime", "TimeInstant_submit"),
        started_at=started,
        ended_at=ended,
        wall_seconds=wall,
        cpu_user_seconds=user,
        cpu_system_seconds=system,
        processors=_whole(flat, "Processors") or 1,
        memory_mib=_memory_mib(flat),
        status=(_first(flat, "Status") or "unknown").lower(),
        exit_code=_exit_code(flat),
        exit_signal=None,
        policy_digest=None,
        pilot_id=None,
        entry=None,
        sequence=_sequence(flat, ended),
        jobs=_whole(flat, "Njobs") or 1,
        fqan=fqan if fqan is not None and fqan.startswith("/") else None,
        node_count=_whole(flat, "NodeCount"),
        submit_host=_first(flat, "SubmitHost"),
        benchmark=_benchmark(flat),
        benchmark_value=_number(flat, "ServiceLevel") if _benchmark(flat) else None,
        bytes=_bytes(flat, "Network", job) if form is Kind.TRANSFER else None,
        protocol=_first(flat, "Resource_Protocol", "Protocol"),
        source_host=_first(flat, "Resource_Source", "Source"),
        destination_host=_first(flat, "Resource_Destination", "Destination"),
        estimated=estimated,
    )


def _space(flat: Mapping[str, Any], source: Source) -> UsageRecord:
    """Space taken: Gratia's ``StorageElementRecord``, and OGF's StAR (GFD.201)."""
    unit = _first(flat, "UniqueID", "StorageSystem")
    ended = _instant(flat, "Timestamp", "EndTime")
    if unit is None or ended is None:
        raise InvalidInput("UniqueID, Timestamp", (unit, flat.get("Timestamp")), "must be told")
    started = _instant(flat, "StartTime")
    group, site = _first(flat, "Group", "SubjectIdentity_Group"), _first(flat, "SiteName", "Site")
    measured = (unit, _first(flat, "MeasurementType"), _first(flat, "StorageType", "StorageMedia"), group)
    return UsageRecord(
        instance=source.instance or _first(flat, "ProbeName") or site or unit,
        global_job_id=_first(flat, "RecordId")
        or "|".join([*(each or "" for each in measured), ended.isoformat()]),
        attempt=0,
        kind=Kind.STORAGE,
        site=site or source.site or unit.split(":")[0],
        resource=unit,
        vo=group,
        user=_first(flat, "LocalUser", "UserIdentity"),
        project=None,
        queue=measured[2],
        submitted_at=None,
        started_at=started,
        ended_at=ended,
        wall_seconds=(ended - started).total_seconds() if started and started <= ended else 0.0,
        cpu_user_seconds=None,
        cpu_system_seconds=None,
        processors=1,
        memory_mib=None,
        status="measured",
        exit_code=None,
        exit_signal=None,
        policy_digest=None,
        pilot_id=None,
        entry=None,
        sequence=int(ended.timestamp()),
        bytes=_whole(flat, "UsedSpace", "ResourceCapacityUsed"),
        files=_whole(flat, "FileCount"),
    )


def _first(flat: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = flat.get(name)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            continue
        told = known(value if isinstance(value, str) else str(value))
        if told is not None:
            return told
    return None


def _number(flat: Mapping[str, Any], *names: str) -> float | None:
    raw = _first(flat, *names)
    return None if raw is None else number(raw, names[0])


def _whole(flat: Mapping[str, Any], *names: str) -> int | None:
    raw = _first(flat, *names)
    return None if raw is None else whole(raw, names[0])


def _instant(flat: Mapping[str, Any], *names: str) -> datetime | None:
    raw = _first(flat, *names)
    return None if raw is None else iso_instant(raw, names[0])


def _seconds(flat: Mapping[str, Any], name: str) -> float | None:
    raw = _first(flat, name)
    return None if raw is None else period_seconds(raw, name)


def _times(flat: Mapping[str, Any], job: str) -> tuple[datetime | None, datetime, float, bool]:
    """Start, end and wall seconds; one of them may be missing, and is then worked out."""
    started, ended = _instant(flat, "StartTime"), _instant(flat, "EndTime")
    wall = _seconds(flat, "WallDuration")
    if ended is None and started is not None and wall is not None:
        try:
            return started, started + timedelta(seconds=wall), wall, True
        except OverflowError as error:
            raise InvalidInput(f"{job} WallDuration", wall, "is too long") from error
    if ended is None:
        raise InvalidInput(f"{job} EndTime", None, "is missing")
    if wall is not None:
        return started, ended, wall, False
    if started is None or started > ended:
        raise InvalidInput(f"{job} WallDuration", None, "is missing, and the times do not give it")
    return started, ended, (ended - started).total_seconds(), True


def _cpu(flat: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """User and system CPU; where only their sum is told it counts as user."""
    user, system = _seconds(flat, "CpuDuration_user"), _seconds(flat, "CpuDuration_system")
    if user is None and system is None:
        return _seconds(flat, "CpuDuration_all") or _seconds(flat, "CpuDuration"), None
    return user, system


def _vo(flat: Mapping[str, Any], fqan: str | None) -> str | None:
    named = _first(flat, "ReportableVOName", "Group")
    if named is not None or fqan is None:
        return named
    return (fqan.split("/")[1] or None) if fqan.startswith("/") else fqan


def _exit_code(flat: Mapping[str, Any]) -> int | None:
    raw = _first(flat, "Resource_ExitCode", "ExitStatus", "Status")
    return int(raw) if raw is not None and raw.isascii() and raw.isdigit() and len(raw) < 10 else None


def _sequence(flat: Mapping[str, Any], ended: datetime) -> int:
    """When the source made the record: of two, the later one stands."""
    raw = _first(flat, "CreateTime")
    try:
        made = iso_instant(raw, "CreateTime") if raw is not None else ended
    except InvalidInput:
        # It orders versions only: a record is not lost for it.
        made = ended
    return max(0, int(made.timestamp()))


def _bytes(flat: Mapping[str, Any], name: str, job: str) -> int | None:
    count = _number(flat, name)
    if count is None:
        return None
    unit = _BYTES.get(str(flat.get(f"{name}_storageUnit", "b")).lower())
    if unit is None or not 0 <= count * unit < 2**63:
        raise InvalidInput(
            f"{job} {name}", (count, flat.get(f"{name}_storageUnit")), "must be an amount of bytes"
        )
    return int(count * unit)


def _memory_mib(flat: Mapping[str, Any]) -> int | None:
    """Real memory, where its unit is told: bare numbers of old probes are of any unit."""
    unit = _BYTES.get(str(flat.get("Memory_storageUnit", "")).lower())
    if unit is None or flat.get("Memory_type") in ("virtual", "shared"):
        return None
    amount = _number(flat, "Memory")
    if amount is not None and not 0 <= amount * unit < 2**80:
        raise InvalidInput("Memory", amount, "must be an amount of memory")
    return None if amount is None else ceil(amount * unit / 2**20)


def _benchmark(flat: Mapping[str, Any]) -> str | None:
    return _BENCHMARKS.get(str(flat.get("ServiceLevel_type", "")).lower())
