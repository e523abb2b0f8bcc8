"""Slurm's completion log (``JobCompType=jobcomp/filetxt``): one line for each time a job ended. Pure.

As slurmctld 24.11 writes it, one line::

    JobId=2 UserId=vdt(1000) GroupId=(null)(1000) Name=pilot-0002 JobState=COMPLETED Partition=grid
    TimeLimit=UNLIMITED StartTime=2026-11-22T17:32:58 EndTime=2026-11-22T17:33:01 NodeList=itb-slurm NodeCnt=1
    ProcCnt=2 WorkDir=/mnt ReservationName= Tres=cpu=2,mem=128M,node=1,billing=2 Account= QOS= WcKey=
    Cluster=unknown SubmitTime=2026-11-22T17:32:57 EligibleTime=2026-11-22T17:32:57 DerivedExitCode=0:0
    ExitCode=0:0

What counts: one record an attempt. A job that was requeued has a line for each attempt under one JobId, the
earlier ones in state PENDING; they are told apart by their starts (by submission where there is none, which
a requeue moves on). A job cancelled while it waited has no nodes and no processors; the log gives it a start
all the same. Times are local to the controller: ``Source.time_zone`` says which zone; in the hour that
clocks repeat in autumn they are read as the first of the two, unless the end would then come before the
start. CPU and memory used are not in this log: None. Source: slurm, jobcomp_filetxt.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from opengoc.accounting.formats.piece import Piece, Tail, shown, text
from opengoc.accounting.model import UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

_LINE = re.compile(
    rb"JobId=(?P<job>\d{1,18}) UserId=(?P<user>[^ ]*)\(\d+\) GroupId=[^ ]* Name=(?P<name>.*) "
    rb"JobState=(?P<state>\S+) Partition=(?P<partition>.*?) TimeLimit=\S* "
    rb"StartTime=(?P<start>\S+) EndTime=(?P<end>\S+) NodeList=\S* "
    rb"NodeCnt=(?P<nodes>\d{1,18}) ProcCnt=(?P<processors>\d{1,18})"
    rb"(?: (?P<rest>.*))?",
    re.S,
)
_STATES = re.compile(rb" JobState=\S+ Partition=")
#: Fields after WorkDir, present or not by the release of Slurm. The last one of a name is Slurm's own: a
#: working folder may hold anything.
_FIELD = re.compile(rb"(?:^| )(Account|Cluster|SubmitTime|ExitCode)=(\S*)")
#: Slurm's words for how an attempt ended where they say how the job stands.
_STATUS = {b"PENDING": "requeued"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The attempts of a completion log."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1
        if end:
            yield _piece(data, start, end, source)
            start = end
        elif tail is Tail.OPEN:
            return
        else:
            yield Piece(start=start, end=len(data), fault="is not finished where the file ends")
            return


def _piece(data: bytes, start: int, end: int, source: Source) -> Piece:
    line = data[start:end].strip()
    if not line:
        return Piece(start=start, end=end)
    found = _LINE.fullmatch(line)
    if found is None:
        return Piece(start=start, end=end, fault=f"is no line of jobcomp/filetxt: {shown(line)}")
    if len(_STATES.findall(line)) > 1:
        # Which of the two states is true cannot be known.
        return Piece(start=start, end=end, fault="the job's name or folder imitates the fields of this log")
    try:
        return Piece(start=start, end=end, record=_record(found, source))
    except InvalidInput as error:
        return Piece(start=start, end=end, fault=str(error))


def _record(found: re.Match[bytes], source: Source) -> UsageRecord:
    """The usage of one attempt. Raises InvalidInput."""
    rest = dict(_FIELD.findall(found["rest"] or b""))
    job, name = text(found["job"]), text(found["name"])
    zone = ZoneInfo(source.time_zone)
    submitted = _instant(rest.get(b"SubmitTime", b""), zone, job)
    ran = int(found["nodes"]) > 0
    started = _instant(found["start"], zone, job) if ran else None
    ended = _instant(found["end"], zone, job)
    if ended is None:
        raise InvalidInput(job, text(found["end"]), "EndTime is not known")
    if started is not None and ended < started:
        # Clocks went back between the two: the end lies in the second of the two equal hours.
        ended = _instant(found["end"], zone, job, fold=1) or ended
    attempt = started or submitted
    if attempt is None:
        raise InvalidInput(
            job, None, "has neither StartTime nor SubmitTime: its attempts cannot be told apart"
        )
    exit_code, exit_signal = _exit(rest.get(b"ExitCode", b""))
    cluster = text(rest.get(b"Cluster", b""))
    return UsageRecord(
        instance=source.instance or (cluster if cluster not in ("", "unknown") else source.name),
        global_job_id=job,
        attempt=int(attempt.timestamp()),
        kind=source.kind,
        site=source.site,
        resource=None,
        vo=text(rest.get(b"Account", b"")) or None,
        user=text(found["user"]) or None,
        project=None,
        queue=text(found["partition"]) or None,
        submitted_at=submitted,
        started_at=started,
        ended_at=ended,
        wall_seconds=(ended - started).total_seconds() if started else 0.0,
        cpu_user_seconds=None,
        cpu_system_seconds=None,
        processors=int(found["processors"]) if ran else max(1, int(found["processors"])),
        memory_mib=None,
        status=_STATUS.get(found["state"], text(found["state"]).lower()),
        exit_code=exit_code,
        exit_signal=exit_signal,
        policy_digest=None,
        # The factory names a batch job after its pilot.
        pilot_id=name or None,
        entry=None,
        sequence=int(ended.timestamp()),
    )


def _instant(raw: bytes, zone: ZoneInfo, job: str, *, fold: int = 0) -> datetime | None:
    """A local time as UTC; None for ``Unknown`` and ``None``. Raises InvalidInput for anything else.

    ``fold`` 1 reads an hour that comes twice as the second one (PEP 495).
    """
    shown_time = text(raw)
    if shown_time in ("", "Unknown", "unknown", "None", "N/A"):
        return None
    try:
        if _TIME.fullmatch(shown_time) is None:
            raise ValueError(shown_time)
        local = datetime.fromisoformat(shown_time).replace(tzinfo=zone, fold=fold)
        return local.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(job, shown_time, "is no time such as 2026-11-22T17:00:00") from error


def _exit(raw: bytes) -> tuple[int | None, int | None]:
    """``code:signal``; a job that a signal ended has no exit code."""
    code, _, signal = text(raw).partition(":")
    if not (code.isascii() and code.isdigit() and signal.isascii() and signal.isdigit()):
        return None, None
    return (None, int(signal)) if int(signal) else (int(code), None)
