"""APEL messages: individual jobs, sums of months, and counts to compare. Pure. See ``formats.apel``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from opengoc.accounting.model import Kind, UsageRecord

_LEVELS = {"HS06": "hepspec", "HEPscore23": "HEPscore23", "Si2k": "Si2k"}
_JOBS = (Kind.BATCH, Kind.PILOT, Kind.PAYLOAD)


def jobs(records: Iterable[UsageRecord]) -> Iterator[str]:
    """A message of individual jobs, v0.3; a job that never started has no record in APEL."""
    yield "APEL-individual-job-message: v0.3\n"
    for record in records:
        if record.kind in _JOBS and record.started_at is not None and record.site is not None:
            yield _record(_job(record))


def _job(record: UsageRecord) -> dict[str, Any]:
    assert record.started_at is not None
    level = _LEVELS.get(record.benchmark or "")
    worth = record.benchmark_value
    return {
        "Site": record.site,
        "SubmitHost": record.submit_host or (record.instance if record.instance != record.site else None),
        "MachineName": record.resource,
        "Queue": record.queue,
        "LocalJobId": record.global_job_id,
        "GlobalUserName": record.user,
        "FQAN": record.fqan,
        "VO": record.vo,
        "WallDuration": round(record.wall_seconds),
        "CpuDuration": None if record.cpu_seconds is None else round(record.cpu_seconds),
        "Processors": record.processors,
        "NodeCount": record.node_count,
        "StartTime": int(record.started_at.timestamp()),
        "EndTime": int(record.ended_at.timestamp()),
        "MemoryReal": None if record.memory_mib is None else record.memory_mib * 1024,
        "ServiceLevelType": level if worth else None,
        "ServiceLevel": format(worth, ".15g") if level and worth else None,
    }


def summaries(records: Iterable[UsageRecord]) -> Iterator[str]:
    """A message of sums, v0.4: by month, site, submit host, VO, attribute, user and processors."""
    groups: dict[tuple[Any, ...], list[UsageRecord]] = defaultdict(list)
    for record in records:
        if record.kind in _JOBS and record.site is not None:
            worth = record.benchmark if record.benchmark_value else None
            month = (record.ended_at.year, record.ended_at.month)
            who = (record.vo, record.fqan, record.user, record.processors, record.node_count)
            groups[(month, record.site, record.submit_host or record.instance, *who, worth)].append(record)
    yield "APEL-normalised-summary-message: v0.4\n"
    for key in sorted(groups, key=repr):
        yield _record(_summary(key, groups[key]))


def _summary(key: tuple[Any, ...], group: list[UsageRecord]) -> dict[str, Any]:
    (year, month), site, host, vo, fqan, user, processors, nodes, benchmark = key
    group_name, _, role = (fqan or "").partition("/Role=")
    level = _LEVELS.get(benchmark or "")
    cpu = [record.cpu_seconds for record in group]
    # Of APEL's sums one without CPU cannot be told from one of nought: it is left out for all.
    measured = None if None in cpu else round(sum(each or 0.0 for each in cpu))
    normalised = round(sum(r.wall_seconds * (r.benchmark_value or 0.0) for r in group)) if level else None
    return {
        "Site": site,
        "SubmitHost": host,
        "Month": month,
        "Year": year,
        "GlobalUserName": user,
        "VO": vo,
        "VOGroup": group_name or None,
        "VORole": f"Role={role.partition('/')[0]}" if role else None,
        "WallDuration": round(sum(record.wall_seconds for record in group)),
        "CpuDuration": measured,
        "NormalisedWallDuration": None if normalised is None else f"{{{level}: {normalised}}}",
        "Processors": processors,
        "NodeCount": nodes,
        "NumberOfJobs": sum(record.jobs for record in group),
        "EarliestEndTime": int(min(record.ended_at for record in group).timestamp()),
        "LatestEndTime": int(max(record.ended_at for record in group).timestamp()),
    }


def syncs(records: Iterable[UsageRecord]) -> Iterator[str]:
    """A message of counts, v0.1: how many jobs of each month and submit host were sent."""
    counts: dict[tuple[str, str, int, int], int] = defaultdict(int)
    for record in records:
        if record.kind in _JOBS and record.site is not None:
            host = record.submit_host or record.instance
            counts[(record.site, host, record.ended_at.year, record.ended_at.month)] += record.jobs
    yield "APEL-sync-message: v0.1\n"
    for (site, host, year, month), count in sorted(counts.items()):
        yield _record({"Site": site, "SubmitHost": host, "Month": month, "Year": year, "NumberOfJobs": count})


def _record(values: dict[str, Any]) -> str:
    lines = [f"{name}: {_line(value)}\n" for name, value in values.items() if value is not None]
    return "".join([*lines, "%%\n"])


def _line(value: Any) -> str:
    """A value on one line: whatever would end it is spelt out."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in str(value))
