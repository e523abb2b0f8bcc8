r"""HTCondor history: one job ad after another, each followed by a banner line. Pure.

As a schedd of HTCondor 23.9 writes it (``condor_config_val HISTORY``), attributes in alphabetical order::

    ClusterId = 2
    CpusProvisioned = 2
    EnteredCurrentStatus = 1795367929
    GlobalJobId = "vdt@127-0-0-1.itb.example#2.0#1795367894"
    JobStartDate = 1795367912
    JobStatus = 3
    MachineAttrGLIDEIN_Site0 = "ITB-CONDOR"
    NumJobStarts = 2
    RemoteWallClockTime = 14.0
    VO = "atlas"
    *** Offset = 15736 ClusterId = 2 ProcId = 0 Owner = "vdt" CompletionDate = -1

``Offset`` is where the last line of the file began before the ad was written: the banner before it. It
proves that everything between the two banners is one ad. Where it does not (a schedd that died while
writing, files put together by hand), the ad is looked at line by line.

What counts: one record a job, for all its starts. ``RemoteWallClockTime`` is the sum over all starts, so
CPU is the sum too (``CumulativeRemoteUserCpu``, where the schedd is new enough to have it).
``CompletionDate`` is 0 or absent for a removed job, which ends when it was removed
(``EnteredCurrentStatus``). A job that never started has wall time 0 and no start. Source: HTCondor manual,
"Job ClassAd Attributes"; condor_utils/classadHistory.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from opengoc.accounting.formats.ads import Ad, Wanted
from opengoc.accounting.formats.piece import Piece, Tail, shown
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

_BANNER = re.compile(rb"\*\*\*[^\n]*\n")
_BANNER_FIELDS = re.compile(rb"\*\*\* Offset = (-?\d{1,18}) ClusterId = (-?\d{1,18}) ProcId = (-?\d{1,18})\b")
_EPOCH_BANNER = re.compile(rb"\*\*\* *(?:EPOCH|SPAWN|INPUT|OUTPUT|CHECKPOINT|COMMON|STARTER)\b")
_LINE = re.compile(rb"^(?:[ \t]*([A-Za-z_][\w.]*)[ \t]*=[^\n]*|[^\n]*\S[^\n]*)(?:\n|\Z)", re.M)

#: Written when the job is submitted, once an ad, by every version of HTCondor.
_ONCE = (b"clusterid", b"procid", b"globaljobid", b"qdate", b"mytype", b"owner", b"user", b"cmd", b"iwd")
STATUS = {
    1: "idle",
    2: "running",
    3: "removed",
    4: "completed",
    5: "held",
    6: "transferring",
    7: "suspended",
}
GRID_UNIVERSE = 9

_NAMES = """
    GlobalJobId ClusterId ProcId QDate JobUniverse JobStatus EnteredCurrentStatus CompletionDate
    JobStartDate JobCurrentStartDate RemoteWallClockTime
    CumulativeRemoteUserCpu CumulativeRemoteSysCpu RemoteUserCpu RemoteSysCpu
    CpusProvisioned RequestCpus ResidentSetSize_RAW ResidentSetSize ExitCode ExitBySignal ExitSignal
    VO GOC_VO x509UserProxyVOName User Owner ProjectName AcctGroup AccountingGroup
    GLIDEIN_Entry_Name GOC_Entry GOC_Digest GOC_PilotId GOC_Probe GLIDEIN_Resource
    MachineAttrGLIDEIN_Site0 MachineAttrGLIDEIN_Resource0 MachineAttrGLIDEIN_Entry_Name0
    MachineAttrGOC_Digest0 MachineAttrGOC_PilotId0
    """
#: What is read of an ad.
ATTRIBUTES = tuple(_NAMES.split())
_WANTED = Wanted(_NAMES)


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:
    """The records of a history file, or of a per-job history file (``Tail.WHOLE``)."""
    start = 0
    #: Where in the file the banner before began; None while it is not known.
    before = 0 if offset == 0 else None
    while (found := _next_banner(data, start)) is not None:
        yield from between(data, start, banner(data, *found.span()), before, offset, source)
        start, before = found.end(), offset + found.start()
    if data[start:].isspace() or start == len(data):
        # Blanks wait for what follows them, but the last ones have nothing to wait for.
        if start < len(data) and tail is not Tail.OPEN:
            yield Piece(start=start, end=len(data))
    elif tail is Tail.WHOLE:
        yield _piece(data, start, len(data), len(data), source)
    elif tail is Tail.ENDED:
        yield Piece(start=start, end=len(data), fault="is not finished where the file ends")


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """A banner line [start, end), and what it says; None where it does not."""

    start: int
    end: int
    #: Where in the file the last line began before the ad was written.
    previous: int | None
    cluster: int | None
    proc: int | None


def banner(data: bytes, start: int, end: int) -> Banner:
    """The banner that this line is."""
    told = _BANNER_FIELDS.match(data, start, end)
    if told is None:
        return Banner(start=start, end=end, previous=None, cluster=None, proc=None)
    return Banner(start=start, end=end, previous=int(told[1]), cluster=int(told[2]), proc=int(told[3]))


def _next_banner(data: bytes, start: int) -> re.Match[bytes] | None:
    """The next whole line that begins with three stars."""
    if not data.startswith(b"***", start):
        # The search for plain bytes is many times as fast as a pattern.
        newline = data.find(b"\n***", start)
        if newline < 0:
            return None
        start = newline + 1
    return _BANNER.match(data, start)


def between(
    data: bytes, start: int, after: Banner, before: int | None, offset: int, source: Source
) -> Iterator[Piece]:
    """The ad before a banner: one record, or two run together where a writer died.

    ``before`` is where in the file the banner before that begins, ``offset`` where ``data`` does.
    """
    if after.previous is not None and after.previous == before:
        begin, fault = start, ""
    elif _EPOCH_BANNER.match(data, after.start, after.end):
        begin, fault = start, "is a record of one start (JOB_EPOCH_HISTORY): name the HISTORY file instead"
    else:
        last_line = after.previous - offset if after.previous is not None else None
        begin, fault = _separate(data, start, after.start, last_line)
    if begin > start:
        yield Piece(start=start, end=begin, fault="a record cut off in the middle; the next follows at once")
    if fault:
        yield Piece(start=begin, end=after.end, fault=fault)
        return
    yield _piece(data, begin, after.start, after.end, source, after)


def _separate(data: bytes, start: int, end: int, last_line: int | None) -> tuple[int, str]:
    """Where the last ad between two banners begins, and what is wrong with it.

    An ad writes its attributes once. Where some stand twice, an earlier ad was cut off, mostly in the
    middle of a line that now also holds the first attribute of the next ad. ``last_line`` is where the
    banner says that the last line began before its ad was written: exact after a writer died, meaningless
    after bytes were taken out or put in.
    """
    if data[start:end].lstrip()[:1] == b"[":
        return start, ""
    lines = list(_LINE.finditer(data, start, end))
    names = [line[1].lower() if line[1] else None for line in lines]
    at = next((i for i, line in enumerate(lines) if line.start() == last_line), None)
    if at is not None and _begins_anew(lines, names, at):
        return _after(lines[at]), ""
    damaged = [line for line, name in zip(lines, names, strict=True) if name is None]
    if not damaged and not any(names.count(name) > 1 for name in _ONCE):
        return start, ""
    if damaged == lines[:1] and len(lines) > 1:
        return lines[1].start(), ""
    return _by_repetition(lines, names, start, damaged)


def _begins_anew(lines: list[re.Match[bytes]], names: list[bytes | None], at: int) -> bool:
    """Whether an ad of its own follows line ``at``, beside what stands before it.

    The first attribute of that ad may be within the line itself, behind what was cut off.
    """
    rest, earlier = set(names[at + 1 :]), set(names[:at])
    if not {b"clusterid", b"procid"} <= rest:
        return False
    within = lines[at][0].lower()
    return not earlier or not rest.isdisjoint(earlier) or any(name and name in within for name in earlier)


def _by_repetition(
    lines: list[re.Match[bytes]], names: list[bytes | None], start: int, damaged: list[re.Match[bytes]]
) -> tuple[int, str]:
    """Where the last ad begins, told by the attributes that stand twice."""
    first = len(names)
    seen: set[bytes | None] = set()
    while first and names[first - 1] not in seen:
        first -= 1
        seen.add(names[first])
    earlier = set(names[:first])
    glued = next((i for i in range(first, len(names)) if names[i] in earlier), len(names)) - first
    if not first or glued > 1:
        # More than one attribute that only one of the two ads has: whose are they?
        return start, _damage(damaged)
    return (_after(lines[first]) if glued else lines[first].start()), ""


def _after(damaged: re.Match[bytes]) -> int:
    """Where the next ad goes on: at an attribute that matters within the damaged line, else behind it."""
    whole = _WANTED.glued(damaged[0])
    return damaged.start() + whole if whole else damaged.end()


def _damage(damaged: list[re.Match[bytes]]) -> str:
    if damaged:
        return f"is damaged: {shown(damaged[0][0].strip())} is no attribute"
    return "two records run together that cannot be told apart"


def _piece(
    data: bytes, start: int, ad_end: int, end: int, source: Source, after: Banner | None = None
) -> Piece:
    raw = data[start:ad_end]
    if not raw.strip():
        return Piece(start=start, end=end, fault="a banner without an ad before it")
    ad = _WANTED.read(raw)
    try:
        if after is not None and after.previous is not None:
            _check_banner(ad, after)
        return Piece(start=start, end=end, record=_record(ad, source))
    except InvalidInput as error:
        return Piece(start=start, end=end, fault=str(error))


def _check_banner(ad: Ad, after: Banner) -> None:
    cluster, proc = ad.whole(b"clusterid"), ad.whole(b"procid")
    if (cluster, proc) != (after.cluster, after.proc):
        raise InvalidInput(
            "banner", f"{after.cluster}.{after.proc}", f"names another job than its ad, {cluster}.{proc}"
        )


def _record(ad: Ad, source: Source) -> UsageRecord:
    """The usage of one job. Raises InvalidInput naming what is missing or broken."""
    instance, job = _identity(ad, source)
    started, ended = _instant(ad, b"jobstartdate", b"jobcurrentstartdate"), _instant(ad, b"completiondate")
    left_queue = _instant(ad, b"enteredcurrentstatus")
    ended = ended or left_queue
    if ended is None:
        raise InvalidInput(
            job, None, "has neither CompletionDate nor EnteredCurrentStatus: its end is not known"
        )
    wall = ad.number(b"remotewallclocktime")
    if wall is None:
        raise InvalidInput(job, None, "RemoteWallClockTime is missing or no number")
    pilot = source.kind is not Kind.PAYLOAD
    cpu_user, cpu_system = _cpu(ad)
    return UsageRecord(
        instance=instance,
        global_job_id=job,
        attempt=0,
        # The house's own test jobs go the way of pilots and are none.
        kind=Kind.BATCH if b"goc_probe" in ad.attributes else source.kind,
        site=source.site or ad.string(b"machineattrglidein_site0"),
        resource=ad.string(b"machineattrglidein_resource0", *((b"glidein_resource",) if pilot else ())),
        vo=ad.string(b"goc_vo", b"vo", b"x509userproxyvoname"),
        user=ad.string(b"user", b"owner"),
        project=ad.string(b"projectname", b"acctgroup", b"accountinggroup"),
        queue=None,
        submitted_at=_instant(ad, b"qdate"),
        started_at=started,
        ended_at=ended,
        wall_seconds=wall,
        cpu_user_seconds=cpu_user,
        cpu_system_seconds=cpu_system,
        processors=_processors(ad, job, wall),
        memory_mib=_memory_mib(ad),
        status=STATUS.get(ad.whole(b"jobstatus") or 0, "unknown"),
        exit_code=None if ad.true(b"exitbysignal") else ad.whole(b"exitcode"),
        exit_signal=ad.whole(b"exitsignal") if ad.true(b"exitbysignal") else None,
        policy_digest=ad.string(b"machineattrgoc_digest0", *((b"goc_digest",) if pilot else ())),
        pilot_id=ad.string(b"machineattrgoc_pilotid0", *((b"goc_pilotid",) if pilot else ())),
        entry=ad.string(
            b"machineattrglidein_entry_name0", *((b"goc_entry", b"glidein_entry_name") if pilot else ())
        ),
        sequence=int((left_queue or ended).timestamp()),
    )


def _identity(ad: Ad, source: Source) -> tuple[str, str]:
    """The schedd and the job's id in it: ``schedd#cluster.proc#submission`` since HTCondor 6.7."""
    job = ad.string(b"globaljobid")
    if job is not None:
        schedd, sign, _ = job.partition("#")
        return (schedd if sign and schedd else source.instance or source.name), job
    parts = [ad.whole(name) for name in (b"clusterid", b"procid", b"qdate")]
    if None in parts:
        raise InvalidInput("GlobalJobId", None, "is missing: the job cannot be told from others")
    return source.instance or source.name, f"{parts[0]}.{parts[1]}#{parts[2]}"


def _instant(ad: Ad, *names: bytes) -> datetime | None:
    """Seconds since 1970 as UTC; 0 and below are HTCondor's words for "not yet"."""
    for name in names:
        seconds = ad.number(name)
        if seconds is not None and 0 < seconds < 253_402_300_800:
            return datetime.fromtimestamp(seconds, UTC)
    return None


def _cpu(ad: Ad) -> tuple[float | None, float | None]:
    """User and system CPU over all starts, as far as the schedd counts them; else of the last start."""
    user = ad.number(b"cumulativeremoteusercpu", b"remoteusercpu")
    system = ad.number(b"cumulativeremotesyscpu", b"remotesyscpu")
    # A schedd begins with CPU 0 and leaves it there when nobody measures: a grid job is measured elsewhere,
    # and a starter that sampled a process saw it occupy memory.
    unmeasured = ad.whole(b"jobuniverse") == GRID_UNIVERSE or ad.number(b"residentsetsize_raw") == 0
    return (None, None) if unmeasured and not user and not system else (user, system)


def _processors(ad: Ad, job: str, wall: float) -> int:
    """What the slot gave, else what was asked for; 1 is HTCondor's own default."""
    count = ad.whole(b"cpusprovisioned", b"requestcpus")
    if count is not None:
        return count
    if b"requestcpus" in ad.attributes and wall > 0:
        raise InvalidInput(job, None, "RequestCpus is an expression and CpusProvisioned is missing")
    return 1


def _memory_mib(ad: Ad) -> int | None:
    kib = ad.number(b"residentsetsize_raw", b"residentsetsize")
    return ceil(kib / 1024) if kib is not None and kib > 0 else None
