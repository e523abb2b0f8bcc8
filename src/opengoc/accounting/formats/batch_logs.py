"""Accounting lines of PBS/Torque, Grid Engine and LSF. Pure.

PBS, ``E`` lines (other letters are stations on the way)::

    10/02/2011 06:41:44;E;21048463.lcgbatch01;user=patls009 group=prodatls jobname=cre09 queue=grid4000M
    ctime=1317509574 start=1317509945 end=1317534104 exec_host=lcg1277/5 Exit_status=0
    resources_used.cput=18:15:24 resources_used.mem=2031040kb resources_used.walltime=19:23:42

Grid Engine, fields between colons (times in milliseconds since UGE 8.2)::

    grid.q:node101:prdatl:prdatl26:cream_324:3294013:sge:0:1404167579:1404169049:1404169408:0:0:359:32.18:…

LSF, ``JOB_FINISH`` lines of words, texts in quotes with quotes doubled::

    "JOB_FINISH" "9.11" 1389683139 404717 22025 33882739 128 1389642318 0 0 1389642771 "user" "queue" …

HTCondor, as APEL's probe lists it, words between bars::

    arcce.rl.ac.uk#2376.0#71589|tatls011|287|107|11|1435671643|1435671930|26636|26832|1|

What counts: the job id with its start, for ids come again. Sources: Torque, "Accounting records"; Grid
Engine, accounting(5); LSF, lsb.acct(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from opengoc.accounting.formats import lines
from opengoc.accounting.formats.piece import Piece, Tail, text
from opengoc.accounting.formats.values import clock_seconds, epoch_instant, known, number, size_mib, whole
from opengoc.accounting.model import UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

_PBS = re.compile(r"(?:\d{8}:)?\d\d/\d\d/\d{4} \d\d:\d\d:\d\d;([A-Z]);([^;]+);(.*)", re.S)
_PBS_PAIR = re.compile(r"(?:^|\s)([A-Za-z_][\w.]*)=(\S*)")
#: Fields of a Grid Engine line that are read, and where they stand.
_SGE = {
    "queue": 0, "host": 1, "group": 2, "owner": 3, "name": 4, "job": 5, "submit": 8, "start": 9, "end": 10,
    "failed": 11, "exit": 12, "wall": 13, "project": 31, "slots": 34, "cpu": 36, "task": 39, "maxvmem": 42,
}  # fmt: skip
_SGE_LEAST = 43
#: Later than this a count of seconds is one of milliseconds: the year 5138.
_MILLISECONDS = 10**11
_LSF_WORD = re.compile(r'"((?:[^"]|"")*)"|(\S+)')


def recognises_sge(head: bytes) -> bool:
    """Whether a file that begins so is Grid Engine's."""
    first = next((line for line in head.splitlines() if line.strip() and not line.startswith(b"#")), b"")
    return first.count(b":") >= 15 and b";" not in first[:30] and not first.startswith((b"{", b"<", b'"'))


def read_pbs(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The ended jobs of a PBS or Torque log."""
    return lines.pieces(data, tail, lambda line: _pbs(line, source))


def read_sge(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The jobs of a Grid Engine log."""
    return lines.pieces(data, tail, lambda line: None if line.startswith(b"#") else _sge(line, source))


def read_lsf(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The ended jobs of an LSF log."""
    return lines.pieces(data, tail, lambda line: None if line.startswith(b"#") else _lsf(line, source))


def _pbs(line: bytes, source: Source) -> UsageRecord:
    found = _PBS.fullmatch(text(line))
    if found is None:
        raise InvalidInput("line", text(line)[:60], "must begin with date;letter;job;")
    letter, job, rest = found.groups()
    if letter != "E":
        raise InvalidInput(f"{job} event", letter, "is no end of a job: only E lines tell of usage")
    values = dict(_PBS_PAIR.findall(rest))
    nodes = _pbs_slots(values.get("exec_host", ""))
    slots = _whole(values, "total_execution_slots") or _whole(values, "resources_used.ncpus") or nodes[1]
    cpu, wall = _clock(values, "resources_used.cput"), _clock(values, "resources_used.walltime")
    memory = known(values.get("resources_used.mem"))
    return _batch(
        source,
        job=job,
        user=values.get("user"),
        group=values.get("group"),
        project=values.get("account"),
        queue=values.get("queue"),
        submitted=_epoch(values, "ctime"),
        started=_epoch(values, "start"),
        ended=_epoch(values, "end"),
        wall=wall,
        cpu=(cpu, None),
        processors=slots or _whole(values, "Resource_List.ncpus") or 1,
        nodes=_whole(values, "unique_node_count") or nodes[0] or None,
        memory_mib=None if memory is None else size_mib(memory, "resources_used.mem"),
        exit_code=_signed(values.get("Exit_status")),
        status="completed",
    )


def _pbs_slots(hosts: str) -> tuple[int, int]:
    """Nodes and slots of ``n1/0+n1/1`` or ``n1/0-3``."""
    names, slots = set(), 0
    for part in hosts.split("+"):
        name, _, which = part.partition("/")
        if not name:
            continue
        names.add(name)
        for span in which.split(","):
            first, dash, last = span.partition("-")
            both = first.isascii() and first.isdigit() and last.isascii() and last.isdigit()
            slots += max(1, int(last[:9]) - int(first[:9]) + 1) if dash and both else 1
    return len(names), slots


def _sge(line: bytes, source: Source) -> UsageRecord:
    fields = text(line).split(":")
    if len(fields) < _SGE_LEAST:
        raise InvalidInput("line", len(fields), f"must hold at least {_SGE_LEAST} fields between colons")
    values = {name: fields[at] for name, at in _SGE.items()}
    task = known(values["task"])
    job = values["job"] if task in (None, "0") else f"{values['job']}.{task}"
    started, ended = _sge_instant(values, "start"), _sge_instant(values, "end")
    submitted, failed = _sge_instant(values, "submit"), whole(values["failed"].split(" ")[0], "failed")
    if ended is None:
        raise InvalidInput(f"{job} end_time", values["end"], "is not known: the job never ran")
    return _batch(
        source,
        job=job,
        user=values["owner"],
        group=values["group"],
        project=values["project"],
        queue=values["queue"],
        submitted=submitted,
        started=started,
        ended=ended,
        wall=number(values["wall"], "ru_wallclock"),
        cpu=(number(values["cpu"], "cpu"), None),
        processors=whole(values["slots"], "slots") or 1,
        nodes=None,
        memory_mib=size_mib(str(int(number(values["maxvmem"], "maxvmem"))), "maxvmem"),
        exit_code=_signed(values["exit"]),
        status="failed" if failed else "completed",
    )


def _sge_instant(values: Mapping[str, str], name: str) -> datetime | None:
    seconds = number(values[name], name)
    return epoch_instant(seconds / 1000 if seconds > _MILLISECONDS else seconds, name)


def _lsf(line: bytes, source: Source) -> UsageRecord:
    words = [
        quoted.replace('""', '"') if quoted or not bare else bare
        for quoted, bare in _LSF_WORD.findall(text(line))
    ]
    if words[:1] != ["JOB_FINISH"]:
        raise InvalidInput(
            "event", words[0][:60] if words else "", "is no end of a job: only JOB_FINISH tells of usage"
        )
    at = _LsfWords(words)
    ended, job, _, _, processors = (at.whole(n) for n in (2, 3, 4, 5, 6))
    submitted, started = at.whole(7), at.whole(10)
    # Word 22 counts the hosts that were asked for; each count that follows moves what comes behind it.
    asked = at.whole(22)
    run_on = at.whole(23 + asked)
    hosts = at.texts(24 + asked, run_on)
    rest = 24 + asked + run_on
    index = at.whole(rest + 29) if len(words) > rest + 29 else 0
    cpu = tuple(None if value < 0 else value for value in (at.number(rest + 4), at.number(rest + 5)))
    memory = at.whole(rest + 30) if len(words) > rest + 30 else None
    return _batch(
        source,
        job=f"{job}[{index}]" if index > 0 else str(job),
        user=words[11],
        group=None,
        project=words[rest + 24] if len(words) > rest + 24 else None,
        queue=words[12],
        submitted=epoch_instant(submitted, "submitTime"),
        started=epoch_instant(started, "startTime"),
        ended=epoch_instant(ended, "Event Time"),
        wall=float(ended - started) if started else 0.0,
        cpu=(cpu[0], cpu[1]),
        processors=sum(int(host.split("*")[0]) if re.match(r"\d{1,6}\*", host) else 1 for host in hosts)
        or processors
        or 1,
        nodes=len({host.rpartition("*")[2] for host in hosts}) or None,
        memory_mib=None if memory is None else size_mib(f"{memory}K", "maxRMem"),
        exit_code=at.whole(rest + 25) if len(words) > rest + 25 else None,
        status={64: "completed", 32: "exited"}.get(at.whole(rest), "unknown"),
    )


class _LsfWords:
    """The words of a line, by their place."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def _at(self, index: int) -> str:
        if not 0 <= index < len(self._words):
            raise InvalidInput("line", len(self._words), f"ends before word {index + 1}")
        return self._words[index]

    def whole(self, index: int) -> int:
        return whole(self._at(index), f"word {index + 1}")

    def number(self, index: int) -> float:
        return number(self._at(index), f"word {index + 1}")

    def texts(self, index: int, count: int) -> list[str]:
        if not 0 <= count <= len(self._words):
            raise InvalidInput(f"word {index}", count, "counts more words than the line has")
        return [self._at(index + n) for n in range(count)]


def read_condor(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The jobs of APEL's listing of an HTCondor history."""
    return lines.pieces(data, tail, lambda line: _condor(line, source))


def _condor(line: bytes, source: Source) -> UsageRecord:
    fields = text(line).split("|")
    if not 10 <= len(fields) <= 12:
        raise InvalidInput("line", len(fields), "must hold 10 to 12 fields between bars")
    wall, user, system, started, ended, memory = (number(each, "field") for each in fields[2:8])
    return _batch(
        source,
        job=fields[0],
        user=fields[1],
        group=None,
        project=None,
        queue=None,
        submitted=None,
        started=epoch_instant(started, "JobStartDate"),
        ended=epoch_instant(ended, "EnteredCurrentStatus"),
        wall=wall,
        cpu=(user, system),
        processors=whole(fields[9], "RequestCpus"),
        nodes=None,
        memory_mib=size_mib(f"{int(memory)}K", "ResidentSetSize"),
        exit_code=None,
        status="completed",
    )


def _clock(values: Mapping[str, str], name: str) -> float | None:
    raw = known(values.get(name))
    return None if raw is None else clock_seconds(raw, name)


def _whole(values: Mapping[str, str], name: str) -> int | None:
    raw = known(values.get(name))
    return None if raw is None else whole(raw, name)


def _epoch(values: Mapping[str, str], name: str) -> datetime | None:
    raw = known(values.get(name))
    return None if raw is None else epoch_instant(number(raw, name), name)


def _signed(raw: str | None) -> int | None:
    return int(raw) if raw is not None and re.fullmatch(r"-?\d{1,9}", raw, re.A) else None


def _batch(
    source: Source, *, job: str, ended: datetime | None, wall: float | None, **told: Any
) -> UsageRecord:
    """A job of a batch system that knows no grid."""
    started, submitted = told["started"], told["submitted"]
    if ended is None:
        raise InvalidInput(f"{job} end", None, "is not known")
    if wall is None and started is None:
        raise InvalidInput(f"{job} walltime", None, "is not known, and no start gives it")
    attempt = started or submitted or ended
    return UsageRecord(
        instance=source.instance or source.name,
        global_job_id=job,
        attempt=int(attempt.timestamp()),
        kind=source.kind,
        site=source.site,
        resource=None,
        vo=None,
        user=known(told["user"]),
        project=known(told["project"]) or known(told["group"]),
        queue=known(told["queue"]),
        submitted_at=submitted,
        started_at=started,
        ended_at=ended,
        wall_seconds=wall if wall is not None else (ended - started).total_seconds(),
        cpu_user_seconds=told["cpu"][0],
        cpu_system_seconds=told["cpu"][1],
        processors=told["processors"],
        memory_mib=told["memory_mib"],
        status=told["status"],
        exit_code=told["exit_code"],
        exit_signal=None,
        policy_digest=None,
        pilot_id=None,
        entry=None,
        sequence=int(ended.timestamp()),
        node_count=told["nodes"],
        estimated=wall is None,
    )
