"""Records of an imagined grid in any format, always the same ones, and what they sum up to.

``python -m bench.records 100000 --format apel > messages`` writes records to standard output and the true
sums as JSON to standard error. Jobs of 40 sites and 12 VOs, eight weeks from 2026-09-07, in the order they
ended.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

BEGIN = datetime(2026, 9, 7, tzinfo=UTC)
SPAN_SECONDS = 8 * 7 * 86400
VOS = ("alice", "atlas", "belle", "cms", "dune", "glow", "icecube", "ligo", "lhcb", "nova", "osg", "xenon")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One job."""

    number: int
    site: int
    vo: str
    user: int
    end: int
    wall: int
    cpu: int
    processors: int

    @property
    def start(self) -> int:
        return self.end - self.wall


def jobs(count: int, seed: int = 1) -> Iterator[Job]:
    """The first ``count`` jobs of a grid that runs so many in eight weeks."""
    chance = random.Random(seed)
    begin = int(BEGIN.timestamp())
    for number in range(count):
        wall = min(int(chance.expovariate(1 / 14_000)) + 30, 4 * 86_400)
        processors = chance.choice((1, 1, 1, 4, 8))
        yield Job(
            number=number,
            site=int(chance.paretovariate(1.1)) % 40,
            vo=VOS[int(chance.paretovariate(0.9)) % len(VOS)],
            user=chance.randrange(400),
            end=begin + number * SPAN_SECONDS // count,
            wall=wall,
            cpu=int(wall * processors * chance.uniform(0.3, 0.98)),
            processors=processors,
        )


#: Namespaces and places that every record of a probe repeats.
_SPACE = "http://www.gridforum.org/2003/ur-wg"
_SECONDS = 'urwg:description="Was entered in seconds"'


def iso(seconds: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat() + "Z"  # noqa: DTZ001


def apel(job: Job) -> str:
    return (
        f"Site: SITE-{job.site:02}\n"
        f"SubmitHost: ce{job.site % 3}.site{job.site:02}.example.org:9619/htcondor\n"
        f"MachineName: batch.site{job.site:02}.example.org\nQueue: grid\n"
        f"LocalJobId: {7_000_000 + job.number}\n"
        f"LocalUserId: {job.vo}{job.user:03}\n"
        f"GlobalUserName: /DC=org/DC=example/OU=People/CN=User {job.user}\n"
        f"FQAN: /{job.vo}/Role=production/Capability=NULL\nVO: {job.vo}\nVOGroup: /{job.vo}\n"
        f"VORole: Role=production\nWallDuration: {job.wall}\nCpuDuration: {job.cpu}\n"
        f"Processors: {job.processors}\nNodeCount: 1\nStartTime: {job.start}\nEndTime: {job.end}\n"
        f"InfrastructureDescription: APEL-CREAM-HTCONDOR\nInfrastructureType: grid\nMemoryReal: 2048000\n"
        f"MemoryVirtual: 4096000\nServiceLevelType: HEPscore23\nServiceLevel: {10 + job.site % 7}.5\n%%\n"
    )


def gratia(job: Job) -> str:
    host = f"ce{job.site % 3}.site{job.site:02}.example.org"
    return (
        f'<JobUsageRecord xmlns="{_SPACE}" xmlns:urwg="{_SPACE}"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        f' xsi:schemaLocation="{_SPACE} file:///u:/OSG/urwg-schema.11.xsd">\n'
        f'<RecordIdentity urwg:createTime="{iso(job.end + 600)}" urwg:recordId="{host}:{job.number}.1"/>\n'
        f"<JobIdentity>\n    <GlobalJobId>condor.{host}#{job.number}.0#{job.start - 60}</GlobalJobId>\n"
        f"    <LocalJobId>{job.number}</LocalJobId>\n</JobIdentity>\n"
        f"<UserIdentity>\n    <LocalUserId>{job.vo}{job.user:03}</LocalUserId>\n"
        f"    <GlobalUsername>{job.vo}{job.user:03}@{host}</GlobalUsername>\n"
        f"    <DN>/DC=org/DC=example/OU=People/CN=User {job.user}</DN>\n"
        f"    <VOName>/{job.vo}/Role=production/Capability=NULL</VOName>\n"
        f"    <ReportableVOName>{job.vo}</ReportableVOName>\n</UserIdentity>\n"
        f"    <JobName>{host}#{job.number}.0#{job.start - 60}</JobName>\n"
        f"    <MachineName>{host}</MachineName>\n"
        f'    <SubmitHost>{host}</SubmitHost>\n    <Status urwg:description="Condor Exit Status">0</Status>\n'
        f"    <WallDuration {_SECONDS}>PT{job.wall}.0S</WallDuration>\n"
        f'    <TimeDuration urwg:type="RemoteUserCpu">PT{job.cpu}.0S</TimeDuration>\n'
        f'    <CpuDuration {_SECONDS} urwg:usageType="system">PT0S</CpuDuration>\n'
        f'    <CpuDuration {_SECONDS} urwg:usageType="user">PT{job.cpu}.0S</CpuDuration>\n'
        f"    <EndTime {_SECONDS}>{iso(job.end)}</EndTime>\n"
        f"    <StartTime {_SECONDS}>{iso(job.start)}</StartTime>\n"
        f'    <Host primary="true">node{job.number % 997}.site{job.site:02}.example.org</Host>\n'
        f'    <Queue urwg:description="Condor\'s JobUniverse field">5</Queue>\n'
        f'    <NodeCount urwg:metric="max">1</NodeCount>\n'
        f'    <Processors urwg:metric="max">{job.processors}</Processors>\n'
        f'    <Resource urwg:description="CondorMyType">Job</Resource>\n'
        f'    <Resource urwg:description="ExitCode">0</Resource>\n'
        f"    <ProbeName>condor:{host}</ProbeName>\n    <SiteName>SITE-{job.site:02}</SiteName>\n"
        f"    <Grid>OSG</Grid>\n    <Njobs>1</Njobs>\n"
        f'    <Resource urwg:description="ResourceType">Batch</Resource>\n</JobUsageRecord>\n'
    )


def _ours(job: Job) -> dict[str, object]:
    return {
        "instance": f"ce{job.site % 3}.site{job.site:02}.example.org",
        "global_job_id": f"{7_000_000 + job.number}",
        "kind": "batch",
        "site": f"SITE-{job.site:02}",
        "vo": job.vo,
        "user_name": f"{job.vo}{job.user:03}",
        "started_at": iso(job.start),
        "ended_at": iso(job.end),
        "wall_seconds": job.wall,
        "cpu_user_seconds": job.cpu,
        "processors": job.processors,
        "memory_mib": 2000,
        "status": "completed",
        "exit_code": 0,
    }


def json_line(job: Job) -> str:
    return json.dumps(_ours(job), separators=(",", ":")) + "\n"


#: Bytes of an ad and of its banner: all are of one length, so that a banner can tell where the one before is.
_AD, _BANNER = 3_300, 120


def history(job: Job) -> str:
    host = f"ce{job.site % 3}.site{job.site:02}.example.org"
    told = {
        "CpusProvisioned": job.processors,
        "CumulativeRemoteSysCpu": "0.0",
        "CumulativeRemoteUserCpu": f"{job.cpu}.0",
        "EnteredCurrentStatus": job.end,
        "ExitBySignal": "false",
        "ExitCode": 0,
        "GlobalJobId": f'"{host}#{job.number}.0#{job.start - 60}"',
        "JobStartDate": job.start,
        "JobStatus": 4,
        "JobUniverse": 5,
        "MachineAttrGLIDEIN_Resource0": f'"CE-{job.site:02}"',
        "MachineAttrGLIDEIN_Site0": f'"SITE-{job.site:02}"',
        "MemoryUsage": "((ResidentSetSize + 1023) / 1024)",
        "Owner": f'"{job.vo}{job.user:03}"',
        "ProcId": 0,
        "QDate": job.start - 60,
        "RemoteSysCpu": "0.0",
        "RemoteUserCpu": f"{job.cpu}.0",
        "RemoteWallClockTime": f"{job.wall}.0",
        "RequestCpus": job.processors,
        "ResidentSetSize": 2_050_000,
        "ResidentSetSize_RAW": 2_048_000,
        "User": f'"{job.vo}{job.user:03}@{host}"',
        "VO": f'"{job.vo}"',
        # As many lines as a schedd writes.
        **{f"Attribute{number:02}OfNobody": 17 * number for number in range(80)},
    }
    lines = [f"ClusterId = {job.number}", f"CompletionDate = {job.end}"]
    ad = "\n".join(
        [*lines, *(f"{name} = {value}" for name, value in told.items()), 'WhenToTransferOutput = "']
    )
    ad += "x" * (_AD - len(ad) - 2) + '"\n'
    before = (job.number - 1) * (_AD + _BANNER) + _AD if job.number else 0
    banner = f'*** Offset = {before} ClusterId = {job.number} ProcId = 0 Owner = "{job.vo}" CompletionDate = '
    return ad + banner + str(job.end).rjust(_BANNER - len(banner) - 1) + "\n"


#: Format → (before all, one job, after all).
TEXTS: dict[str, tuple[str, Callable[[Job], str], str]] = {
    "apel": ("APEL-individual-job-message: v0.3\n", apel, ""),
    "ur-xml": ('<?xml version="1.0" encoding="UTF-8"?>\n<RecordEnvelope>\n', gratia, "</RecordEnvelope>\n"),
    "json": ("", json_line, ""),
    "condor-history": ("", history, ""),
}
FORMATS = (*TEXTS, "parquet")


def write(path: Path, form: str, count: int) -> dict[str, float]:
    """Write ``count`` jobs to a file; gives their sums."""
    if form == "parquet":
        return _write_parquet(path, count)
    before, text, after = TEXTS[form]
    with path.open("w") as file:
        file.write(before)
        sums = summed(jobs(count), lambda job: file.write(text(job)))
        file.write(after)
    return sums


def summed(made: Iterable[Job], use: Callable[[Job], object]) -> dict[str, float]:
    """Use each job; gives jobs, wall hours, core hours and CPU hours of all."""
    count = wall = core = cpu = 0
    for job in made:
        use(job)
        count, wall, cpu = count + 1, wall + job.wall, cpu + job.cpu
        core += job.wall * job.processors
    return {"jobs": count, "wall_hours": wall / 3600, "core_hours": core / 3600, "cpu_hours": cpu / 3600}


def _write_parquet(path: Path, count: int) -> dict[str, float]:
    import pyarrow
    import pyarrow.parquet

    from opengoc.accounting.table import RECORD

    rows: list[dict[str, object]] = []
    writer = pyarrow.parquet.ParquetWriter(path, RECORD)

    def flush() -> None:
        columns = {
            field.name: pyarrow.array([row.get(field.name) for row in rows], field.type) for field in RECORD
        }
        writer.write_table(pyarrow.table(columns, schema=RECORD))
        rows.clear()

    def add(job: Job) -> None:
        row = _ours(job)
        row["started_at"] = datetime.fromtimestamp(job.start, UTC)
        row["ended_at"] = datetime.fromtimestamp(job.end, UTC)
        rows.append(row)
        if len(rows) == 100_000:
            flush()

    sums = summed(jobs(count), add)
    flush()
    writer.close()
    return sums


def main() -> None:
    """Write to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--format", choices=FORMATS, default="json")
    asked = parser.parse_args()
    sums = write(Path("/dev/stdout"), asked.format, asked.count)
    json.dump({"format": asked.format, **sums}, sys.stderr)
    sys.stderr.write("\n")


if __name__ == "__main__":
    main()
