r"""Slurm's ``sacct --parsable2``: the jobs of its accounting database, one line a job and one a step. Pure.

Which columns there are is told by a header line, or by their number where there is none: XDMoD's list (26),
APEL's (15), and the wide list of ``slurm-jobinfo`` (28)::

    163485|163485|phillips|focaccia|qos|chaff|chaff|45789|noror|380693|2016-12-22T07:15:12|
    2016-12-22T07:15:12|2016-12-22T07:15:13|2017-01-01T20:42:19|10-13:27:06|0:0|CANCELLED by 380693|1|12|12|
    31000Mn|cpu=12,node=1|billing=12,…|37-14:00:00|cpn-f11-31|name

What counts: the line of a job, with the peak memory of its steps, which follow it (``163485.batch``). Wall
time is ``Elapsed``, so suspended time is out and a night when clocks change is right. A job that runs or
waits is no usage yet; one that was resized has a line for each size, the earlier ones in state RESIZING.
Times are local to the cluster: ``Source.time_zone``. A job is named by ``JobIDRaw`` where that is listed, and
attempts are told apart by their starts, as in the completion log, so that a job read from both is one: of an
array's tasks, and of an array that never ran, ``JobID`` says what no other listing does (Slurm 24.11)::

    3_1|12|itb|grid|atlas|…
    24_[1-2,4,8,15-16,23,42,99-100,104,109,150,177-178,200,222-223,2...]|24|itb|grid|cms|…

Source: Slurm manual, sacct(1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from opengoc.accounting.formats import lines
from opengoc.accounting.formats.piece import Piece, Tail, text
from opengoc.accounting.formats.values import clock_seconds, known, local_instant, size_mib, whole
from opengoc.accounting.model import UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

_XDMOD = (
    "jobid jobidraw cluster partition qos account group gid user uid submit eligible start end elapsed"
    " exitcode state nnodes ncpus reqcpus reqmem reqtres alloctres timelimit nodelist jobname"
)
_APEL = (
    "jobid jobname user group start end elapsed totalcpu partition ncpus nnodes nodelist maxrss maxvmsize"
    " state"
)
_WIDE = (
    "jobid jobname user partition nodelist nnodes ncpus ntasks state submit start end timelimit elapsed"
    " totalcpu usercpu systemcpu reqmem maxrss tresusageintot tresusageouttot maxdiskread maxdiskwrite"
    " maxrssnode"
    " maxdiskreadnode maxdiskwritenode comment admincomment"
)
_LAYOUTS = {len(names.split()): names.split() for names in (_XDMOD, _APEL, _WIDE)}
_DELIMITERS = (b"|", "☃".encode(), b"\x1e")
#: Tasks of an array that never ran are a list with ranges, steps and a limit, cut off with dots.
_JOB = re.compile(r"(\d{1,18}(?:_(?:\d{1,9}|\[[\d,:%.-]{1,65536}\]))?(?:\+\d{1,9})?)(\.\S+)?")
_RAW_JOB = re.compile(r"\d{1,18}")
_ENDED = [
    "boot_fail",
    "cancelled",
    "completed",
    "deadline",
    "failed",
    "node_fail",
    "out_of_memory",
    "preempted",
    "revoked",
    "timeout",
    "requeued",
]
_NOT_ENDED = [
    "completing",
    "configuring",
    "pending",
    "requeue_hold",
    "requeued",
    "resizing",
    "running",
    "stopped",
    "suspended",
    "signaling",
]


def recognises(head: bytes) -> bool:
    """Whether a file that begins so is the output of sacct."""
    first = next((line for line in head.splitlines() if line.strip()), b"")
    columns = _columns(first)
    if columns is None:
        return False
    return (
        first.lower().startswith(b"jobid")
        or _JOB.fullmatch(text(first.split(_delimiter(first))[0])) is not None
    )


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The jobs of a listing, each with its steps."""
    columns = _columns((source.preamble or data).lstrip().split(b"\n", 1)[0])
    for start, end in _groups(data, tail):
        group = data[start:end].splitlines()

        def record(_: bytes, group: Sequence[bytes] = group) -> UsageRecord | None:
            return _record(group, columns, source)

        yield lines.piece(data, start, end, record)


def _groups(data: bytes, tail: Tail) -> Iterator[tuple[int, int]]:
    """Stretches of a job's line and its steps' lines; the last one may go on, so it waits while it may."""
    begin = start = 0
    job: bytes | None = None
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        line = data[start:end]
        whose = _job_of(line)
        if start > begin and not (whose is not None and whose == job and _is_step(line)):
            yield begin, start
            begin = start
        job, start = whose, end
    if begin < len(data) and tail is not Tail.OPEN:
        yield begin, len(data)


def _first(line: bytes) -> bytes:
    return line.split(_delimiter(line), 1)[0]


def _is_step(line: bytes) -> bool:
    return b"." in _first(line).rpartition(b"]")[2]


def _job_of(line: bytes) -> bytes | None:
    tasks, bracket, rest = _first(line).rpartition(b"]")
    named = tasks + bracket + rest.split(b".", 1)[0]
    return named if named[:1].isdigit() else None


def _delimiter(line: bytes) -> bytes:
    return next((each for each in _DELIMITERS if each in line), b"|")


def _columns(line: bytes) -> Sequence[str] | None:
    """The names of the columns, lower case; None where they cannot be told."""
    fields = [text(field).strip().lower() for field in line.split(_delimiter(line))]
    if fields[0] in ("jobid", "jobidraw"):
        return fields
    return _LAYOUTS.get(len(fields))


def _record(group: Sequence[bytes], columns: Sequence[str] | None, source: Source) -> UsageRecord | None:
    rows = [_fields(line, columns) for line in group]
    job = rows[0]
    if job["jobid"].lower() in ("jobid", "jobidraw"):
        return None
    found = _JOB.fullmatch(job["jobid"])
    if found is None:
        raise InvalidInput("JobID", job["jobid"], "must be the id of a job, an array task or a step")
    if found[2]:
        raise InvalidInput(
            "JobID", job["jobid"], "is a step, and the line of its job does not stand before it"
        )
    raw = _RAW_JOB.fullmatch(job.get("jobidraw", ""))
    return _usage(job, rows[1:], raw[0] if raw else found[1], _status(job), source)


def _fields(line: bytes, columns: Sequence[str] | None) -> dict[str, str]:
    values = [text(value) for value in line.rstrip(b"\r").split(_delimiter(line))]
    if columns is None:
        raise InvalidInput(
            "line", len(values), f"has no header, and its columns are none of {sorted(_LAYOUTS)} known lists"
        )
    if len(values) > len(columns) and columns[-1] == "jobname":
        # Names of jobs may hold the delimiter.
        values[len(columns) - 1 :] = ["|".join(values[len(columns) - 1 :])]
    if len(values) != len(columns):
        raise InvalidInput("line", len(values), f"must hold {len(columns)} columns")
    return dict(zip(columns, values, strict=True))


def _status(job: Mapping[str, str]) -> str:
    state = job.get("state", "").split()
    status = state[0].lower().rstrip("+") if state else ""
    if status in _ENDED or (status == "resizing" and known(job.get("end")) is not None):
        return status
    if status in _NOT_ENDED:
        raise InvalidInput(
            f"{job['jobid']} State", job["state"], "has not ended: it is accounted once it has"
        )
    raise InvalidInput(f"{job['jobid']} State", job.get("state"), f"must be of {', '.join(_ENDED)}")


def _usage(
    job: Mapping[str, str], steps: Sequence[Mapping[str, str]], job_id: str, status: str, source: Source
) -> UsageRecord:
    zone = ZoneInfo(source.time_zone)
    submitted = _instant(job, "submit", zone)
    started, ended = _instant(job, "start", zone), _instant(job, "end", zone)
    if ended is None:
        raise InvalidInput(f"{job_id} End", job.get("end"), "is not known")
    if known(job.get("nodelist")) in (None, "None assigned"):
        started = None
    if started is not None and ended < started:
        # Clocks went back between the two: the end lies in the second of the two equal hours.
        ended = _instant(job, "end", zone, fold=1) or ended
    attempt = started or submitted or ended
    wall = _wall(job, started, ended)
    user_cpu, system_cpu = _cpu(job)
    if wall and not (user_cpu or system_cpu) and not _was_sampled([job, *steps]):
        user_cpu = system_cpu = None
    code, signal = _exit(job.get("exitcode", ""))
    return UsageRecord(
        instance=source.instance or known(job.get("cluster")) or source.name,
        global_job_id=job_id,
        attempt=int(attempt.timestamp()),
        kind=source.kind,
        site=source.site,
        resource=None,
        vo=known(job.get("account")),
        user=known(job.get("user")),
        project=known(job.get("account")),
        queue=known(job.get("partition")),
        submitted_at=submitted,
        started_at=started,
        ended_at=ended,
        wall_seconds=wall,
        cpu_user_seconds=user_cpu,
        cpu_system_seconds=system_cpu,
        processors=_processors(job),
        memory_mib=_memory([job, *steps]),
        status=status,
        exit_code=code,
        exit_signal=signal,
        policy_digest=None,
        pilot_id=known(job.get("jobname")) if source.names_pilots else None,
        entry=None,
        sequence=int(ended.timestamp()),
        node_count=_count(job, "nnodes"),
    )


def _wall(job: Mapping[str, str], started: datetime | None, ended: datetime) -> float:
    if started is None:
        return 0.0
    if known(job.get("elapsed")) is not None:
        return clock_seconds(job["elapsed"], "Elapsed")
    return (ended - started).total_seconds()


def _cpu(job: Mapping[str, str]) -> tuple[float | None, float | None]:
    """User and system CPU; where only their sum is told it counts as user."""
    user, system, total = (
        clock_seconds(job[name], name) if known(job.get(name)) is not None else None
        for name in ("usercpu", "systemcpu", "totalcpu")
    )
    if user is None and system is None and total is None and known(job.get("cputimeraw")) is not None:
        # CPUTimeRAW is elapsed × processors: it measures nothing.
        return None, None
    return (user, system) if user is not None else (total, None)


def _was_sampled(rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a CPU time of 0 was measured: sacct prints it as well where no step was followed.

    A step that was followed has its peak memory; where that is not listed the 0 is taken as it stands.
    """
    return "maxrss" not in rows[0] or any(known(row["maxrss"]) is not None for row in rows)


def _count(job: Mapping[str, str], name: str) -> int | None:
    return whole(job[name], name) if known(job.get(name)) is not None else None


def _processors(job: Mapping[str, str]) -> int:
    for name in ("alloccpus", "ncpus", "reqcpus"):
        count = _count(job, name)
        if count:
            return count
    return 1


def _memory(rows: Sequence[Mapping[str, str]]) -> int | None:
    return max((size_mib(row["maxrss"], "MaxRSS") for row in rows if known(row.get("maxrss"))), default=None)


def _exit(raw: str) -> tuple[int | None, int | None]:
    """``code:signal``; a job that a signal ended has no exit code."""
    code, _, signal = raw.partition(":")
    if not (code.isascii() and code.isdigit() and signal.isascii() and signal.isdigit()):
        return None, None
    return (None, int(signal)) if int(signal) else (int(code), None)


def _instant(job: Mapping[str, str], name: str, zone: ZoneInfo, *, fold: int = 0) -> datetime | None:
    raw = known(job.get(name))
    return None if raw is None else local_instant(raw, f"{job['jobid']} {name}", zone, fold=fold)
