"""APEL messages: records of ``Key: value`` lines, ``%%`` after each. Pure.

As clients of EGI send them, all of a kind behind one header::

    APEL-individual-job-message: v0.3
    Site: RAL-LCG2
    SubmitHost: ce01.rl.ac.uk:8443/cream-pbs-grid
    LocalJobId: 31564872
    LocalUserId: atlasprd019
    GlobalUserName: /C=whatever/D=someDN
    FQAN: /atlas/Role=production/Capability=NULL
    WallDuration: 234256
    CpuDuration: 2345
    Processors: 1
    StartTime: 1234567890
    EndTime: 1234567899
    ServiceLevelType: HEPSPEC
    ServiceLevel: 10.5
    %%

Kinds: individual jobs (v0.1-v0.4), summaries and normalised summaries of a month (v0.1-v0.4), and sync
messages, which say how many jobs were sent. The kind of a record is told by its keys, so a record stands by
itself. Cloud records are no usage of jobs. Durations in ``v0.4`` summaries may be ``{HEPscore23: 1, …}``.

What counts: the identity of a job is its submit host, or its site where there is none, with the local job id
and the start: sites number jobs anew after a reinstallation, and two hosts of a site number alike. Source:
APEL wiki, "Message format" 0.2 to 0.4; apel/db/records.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from opengoc.accounting.formats import lines
from opengoc.accounting.formats.piece import Piece, Tail, shown, text
from opengoc.accounting.formats.values import epoch, known, number, size_mib, whole
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

_HEADER = re.compile(rb"APEL-[\w-]+: ?v[\d.]+")
_KNOWN_HEADER = re.compile(
    rb"APEL-(?:individual-job|summary-job|normalised-summary|sync)-message: ?v0\.[1-4]", re.I
)
#: The end of a record: a line of two per cent signs.
_END = re.compile(rb"^%%[^\n]*(?:\n|\Z)", re.M)
_KEYS = re.compile(r"^\s*([A-Za-z][\w ]*?)\s*:[ \t]*(.*?)\s*$")
_NORMALISED = re.compile(r"([\w.-]+)\s*:\s*([\d.eE+]+)")
#: Names of benchmarks as sources write them, lower case → as we do.
BENCHMARKS = {
    "hepspec": "HS06",
    "hepspec06": "HS06",
    "hs06": "HS06",
    "hepscore23": "HEPscore23",
    "si2k": "Si2k",
}


def recognises(head: bytes) -> bool:
    """Whether a file that begins so is an APEL message, or a record of one."""
    first = head.lstrip()
    return _HEADER.match(first) is not None or (
        re.match(rb"(?:[A-Z]\w+:[^\n]*\n\s*){3}", first) is not None and b"Site" in first[:2000]
    )


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The records of a message."""
    start = 0
    for end in _END.finditer(data):
        if tail is Tail.OPEN and end.end() == len(data) and not end[0].endswith(b"\n"):
            return
        yield from _pieces(data, start, end.start(), end.end(), source)
        start = end.end()
    if tail is not Tail.OPEN and start < len(data):
        yield from _pieces(data, start, len(data), len(data), source)


def _pieces(data: bytes, start: int, stop: int, end: int, source: Source) -> Iterator[Piece]:
    body = data[start:stop]
    blank = len(body) - len(body.lstrip())
    header = _HEADER.match(body, blank)
    if header is not None:
        line_end = data.find(b"\n", start + header.start(), stop) + 1 or stop
        fault = "" if _KNOWN_HEADER.match(header[0]) else f"{shown(header[0])} is no message that is read"
        if fault:
            yield Piece(start=start, end=end, fault=fault)
            return
        yield Piece(start=start, end=line_end)
        start = line_end
    if start < end:
        yield lines.piece(data, start, end, lambda body: _record(body.split(b"\n%%")[0], source))


def _record(body: bytes, source: Source) -> UsageRecord | None:
    if not body.strip() or body.startswith(b"%%"):
        return None
    values: dict[str, str] = {}
    for line in text(body).splitlines():
        found = _KEYS.match(line)
        if found:
            values[found[1]] = found[2]
        elif line.strip():
            raise InvalidInput("line", line[:60], "must be Key: value")
    if "VMUUID" in values:
        raise InvalidInput("VMUUID", values["VMUUID"], "is a record of a virtual machine, which is not read")
    if "NumberOfJobs" in values:
        return summary(values, source)
    return _job(values, source)


def _required(values: Mapping[str, str], *names: str) -> str:
    for name in names:
        value = known(values.get(name))
        if value is not None:
            return value
    raise InvalidInput(" or ".join(names), None, "is missing")


def _job(values: Mapping[str, str], source: Source) -> UsageRecord:
    job = _required(values, "LocalJobId", "LocalJobID")
    site = _required(values, "Site")
    host = known(values.get("SubmitHost")) or known(values.get("MachineName"))
    started = epoch(_required(values, "StartTime"), "StartTime")
    ended = epoch(_required(values, "EndTime"), "EndTime")
    if ended is None or started is None:
        raise InvalidInput(job, values["EndTime"], "StartTime and EndTime must be later than 1970")
    benchmark, worth = _service_level(values)
    return UsageRecord(
        instance=source.instance or host or site,
        global_job_id=job,
        attempt=int(started.timestamp()),
        kind=source.kind,
        site=site,
        resource=known(values.get("MachineName")),
        vo=vo_of(values),
        user=known(values.get("GlobalUserName")) or known(values.get("LocalUserId")),
        project=None,
        queue=known(values.get("Queue")),
        submitted_at=None,
        started_at=started,
        ended_at=ended,
        wall_seconds=number(_required(values, "WallDuration"), "WallDuration"),
        cpu_user_seconds=_number(values, "CpuDuration"),
        cpu_system_seconds=None,
        processors=_processors(values),
        memory_mib=None
        if known(values.get("MemoryReal")) is None
        else size_mib(values["MemoryReal"] + "K", "MemoryReal"),
        status="completed",
        exit_code=None,
        exit_signal=None,
        policy_digest=None,
        pilot_id=None,
        entry=None,
        sequence=int(ended.timestamp()),
        fqan=known(values.get("FQAN")) or known(values.get("UserFQAN")),
        node_count=_whole(values, "NodeCount"),
        submit_host=host,
        benchmark=benchmark,
        benchmark_value=worth,
    )


def summary(values: Mapping[str, str], source: Source) -> UsageRecord:
    """A month's sum as a record, or how many jobs a source says it sent. Raises InvalidInput."""
    site, host = _required(values, "Site"), known(values.get("SubmitHost"))
    month, begun, end = _month(values)
    jobs = whole(values["NumberOfJobs"], "NumberOfJobs")
    sync = "WallDuration" not in values
    vo, group, role = vo_of(values), known(values.get("VOGroup")), known(values.get("VORole"))
    user, processors = known(values.get("GlobalUserName")), _processors(values)
    benchmark, worth = _worth(values) if not sync else (None, None)
    parts = (
        site,
        month,
        host,
        vo,
        group,
        role,
        user,
        values.get("Infrastructure"),
        processors,
        _whole(values, "NodeCount"),
        benchmark,
    )
    latest = _latest_end(values, f"{site} {month}")
    return UsageRecord(
        instance=source.instance or site,
        global_job_id=("sync" if sync else "summary") + "|" + "|".join(str(each or "") for each in parts),
        attempt=0,
        kind=Kind.SYNC if sync else Kind.SUMMARY,
        site=site,
        resource=None,
        vo=vo,
        user=user,
        project=None,
        queue=None,
        submitted_at=None,
        started_at=None,
        # A count of the month that runs: its last second is not yet.
        ended_at=begun if sync else latest or end,
        wall_seconds=0.0 if sync else number(_required(values, "WallDuration"), "WallDuration"),
        cpu_user_seconds=None if sync else _number(values, "CpuDuration"),
        cpu_system_seconds=None,
        processors=processors,
        memory_mib=None,
        status="completed",
        exit_code=None,
        exit_signal=None,
        policy_digest=None,
        pilot_id=None,
        entry=None,
        sequence=0,
        jobs=jobs,
        fqan=_fqan(group, role),
        node_count=_whole(values, "NodeCount"),
        submit_host=host,
        benchmark=benchmark,
        benchmark_value=worth,
        estimated=latest is None,
    )


def _latest_end(values: Mapping[str, str], where: str) -> datetime | None:
    """When the last of the jobs ended, where it is told. Raises InvalidInput when the first ended later."""
    latest, earliest = (
        epoch(values[name], name) if known(values.get(name)) else None
        for name in ("LatestEndTime", "EarliestEndTime")
    )
    if latest and earliest and earliest > latest:
        raise InvalidInput(where, values["EarliestEndTime"], "EarliestEndTime is after LatestEndTime")
    return latest


def _month(values: Mapping[str, str]) -> tuple[str, datetime, datetime]:
    """The month of a summary, and its first and last second."""
    year, month = whole(_required(values, "Year"), "Year"), whole(_required(values, "Month"), "Month")
    if not (1990 <= year <= 9998 and 1 <= month <= 12):
        raise InvalidInput("Month", f"{year}-{month}", "must be a month from 1990 on")
    last = datetime(year, month, monthrange(year, month)[1], tzinfo=UTC)
    return f"{year:04d}-{month:02d}", last.replace(day=1), last + timedelta(days=1, seconds=-1)


def vo_of(values: Mapping[str, str]) -> str | None:
    """The VO of a record: named, or the first part of its FQAN."""
    vo = known(values.get("VO"))
    fqan = known(values.get("FQAN")) or known(values.get("UserFQAN")) or known(values.get("VOGroup")) or ""
    return vo or (fqan.split("/")[1] if fqan.startswith("/") and len(fqan) > 1 else None) or None


def _fqan(group: str | None, role: str | None) -> str | None:
    return f"{group}/{role}" if group and role else group


def _number(values: Mapping[str, str], name: str) -> float | None:
    raw = known(values.get(name))
    return None if raw is None else number(raw, name)


def _whole(values: Mapping[str, str], name: str) -> int | None:
    raw = known(values.get(name))
    return None if raw is None else whole(raw, name)


def _processors(values: Mapping[str, str]) -> int:
    # APEL clients of old leave it out, or write 0, for "not known": one is the specification's default.
    return _whole(values, "Processors") or 1


def _service_level(values: Mapping[str, str]) -> tuple[str | None, float | None]:
    """What a processor of the machine is worth: named twice in v0.2/v0.3, a list in v0.4."""
    several = known(values.get("ServiceLevel"))
    if several is not None and several.startswith("{"):
        return _best({name: float(worth) for name, worth in _NORMALISED.findall(several)})
    kind = known(values.get("ServiceLevelType")) or known(values.get("ScalingFactorUnit"))
    worth = _number(values, "ServiceLevel") or _number(values, "ScalingFactor")
    return (BENCHMARKS.get(kind.lower(), kind), worth) if kind and worth else (None, None)


def _worth(values: Mapping[str, str]) -> tuple[str | None, float | None]:
    """The benchmark of a summary: told, or normalised wall time over wall time."""
    normalised = known(values.get("NormalisedWallDuration"))
    wall = number(_required(values, "WallDuration"), "WallDuration")
    if normalised is None:
        return _service_level(values)
    if normalised.startswith("{"):
        each = {name: number(worth, name) for name, worth in _NORMALISED.findall(normalised)}
    else:
        each = {"hepspec": number(normalised, "NormalisedWallDuration")}
    return _best({name: worth / wall for name, worth in each.items()} if wall > 0 else {})


def _best(each: Mapping[str, float]) -> tuple[str | None, float | None]:
    """The newest benchmark of several: HEPscore23 before HS06."""
    named = {BENCHMARKS.get(name.lower(), name): worth for name, worth in each.items()}
    for name in ("HEPscore23", "HS06", *sorted(named)):
        if name in named:
            return name, named[name]
    return None, None
