"""What one job used: a usage record, valid by construction.

The fields are those of an OGF usage record (GFD.204) as far as the sources measure them. A thing that was not
measured is None, never 0 and never 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from opengoc.base.errors import InvalidInput

#: Clocks of submit hosts run ahead by a little; an end further ahead than this is a broken clock.
CLOCK_SKEW = timedelta(minutes=5)
#: Ends before this are a clock that was never set: no source of ours is older.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)

#: A job of a million years is a broken number, not a job.
MAX_SECONDS = 3.2e13
MAX_BENCHMARK = 1e9
#: One record of more would make sums overflow, and with them every figure of its time.
MAX_JOBS = 10**9
MAX_BYTES = 2**60
_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1


class Kind(StrEnum):
    """What a record counts. Pilots and payloads overlap in time: they are never added up."""

    #: A pilot as its site saw it: what the site gave.
    PILOT = "pilot"
    #: A job that ran inside a pilot: what the VO made of it.
    PAYLOAD = "payload"
    #: A job given to a site directly.
    BATCH = "batch"
    #: Jobs that a source summed up before it sent them: they overlap the records of the same jobs.
    SUMMARY = "summary"
    #: How many jobs a source says it sent of a month: to be compared, no usage.
    SYNC = "sync"
    #: Whose a batch job is, as the computing element that took it knows: no usage, joined to that of the job.
    GRANT = "grant"
    #: A file, or files, moved.
    TRANSFER = "transfer"
    #: Space taken at one moment, or over a time.
    STORAGE = "storage"


@dataclass(frozen=True, kw_only=True, slots=True)
class RawReference:
    """Where the bytes of a record are kept."""

    #: Digest of the batch in the raw store.
    sha256: str
    #: Position of the record in the batch, bytes.
    offset: int
    #: Length of the record, bytes.
    length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageRecord:
    """The usage of one job, or of one attempt where the source tells attempts apart.

    Raises InvalidInput naming the rule that a value breaks. CPU above wall × processors is kept, as
    ``suspect``: the source measured it, and dropping it would make the job vanish.
    """

    #: The batch system instance whose job ids these are: a schedd, a cluster.
    instance: str
    #: The job's id in that instance, never reused there.
    global_job_id: str
    #: Which attempt, where the source writes a record for each; 0 where it writes one for the whole job.
    attempt: int
    kind: Kind
    #: Registry site; None where the source does not say, e.g. a payload that never matched.
    site: str | None
    resource: str | None
    #: The VO as the source sent it.
    vo: str | None
    #: Identity the job ran for: user@domain, or the local account.
    user: str | None
    project: str | None
    queue: str | None
    submitted_at: datetime | None
    #: First start; None for a job that never started.
    started_at: datetime | None
    ended_at: datetime
    #: Time on the machine, over all the starts that the record covers.
    wall_seconds: float
    #: None: the source does not measure it.
    cpu_user_seconds: float | None
    cpu_system_seconds: float | None
    processors: int
    #: Peak resident memory, MiB.
    memory_mib: int | None
    #: How it ended, in the source's word, lower case: ``completed``, ``removed``, ``timeout``.
    status: str
    exit_code: int | None
    exit_signal: int | None
    #: Digest of the policy that sent the pilot.
    policy_digest: str | None
    pilot_id: str | None
    #: Factory entry of the pilot.
    entry: str | None
    #: The source's own order among versions of a record; the highest stands.
    sequence: int
    #: How many jobs the record stands for: more than one in a summary.
    jobs: int = 1
    #: The whole attribute that the VO's membership service signed, ``/cms/Role=production``.
    fqan: str | None = None
    node_count: int | None = None
    #: Host that the job was submitted from, or through.
    submit_host: str | None = None
    #: What one processor-second of the machine is worth: ``HS06``, ``HEPscore23``, and how much of it.
    benchmark: str | None = None
    benchmark_value: float | None = None
    #: Bytes moved, or bytes of space taken.
    bytes: int | None = None
    files: int | None = None
    protocol: str | None = None
    #: Of a transfer: where it came from and where it went.
    source_host: str | None = None
    destination_host: str | None = None
    #: Whether a time of the record was worked out, for the source does not tell it.
    estimated: bool = False

    def __post_init__(self) -> None:
        if not self.instance or not self.global_job_id:
            raise self._broken("identity", (self.instance, self.global_job_id), "must not be empty")
        if not 0 < self.processors <= _INT32_MAX:
            raise self._broken("processors", self.processors, "must be at least 1")
        self._check_times()
        self._check_seconds()
        self._check_numbers()

    # Every record of every source passes here: the checks are written out, a loop over names costs thrice.

    def _check_times(self) -> None:
        started, ended = self.started_at, self.ended_at
        if ended.tzinfo is not UTC:
            raise self._broken("ended_at", ended.isoformat(), "must be UTC")
        if ended < EARLIEST:
            raise self._broken("ended_at", ended.isoformat(), "is before 1990: a clock that was not set")
        if self.submitted_at is not None and self.submitted_at.tzinfo is not UTC:
            raise self._broken("submitted_at", self.submitted_at.isoformat(), "must be UTC")
        if started is not None:
            if started.tzinfo is not UTC:
                raise self._broken("started_at", started.isoformat(), "must be UTC")
            if ended < started:
                raise self._broken("ended_at", ended.isoformat(), f"is before the start, {started}")

    def _check_seconds(self) -> None:
        # A comparison with NaN is false, so NaN is refused too.
        if not 0 <= self.wall_seconds <= MAX_SECONDS:
            raise self._broken("wall_seconds", self.wall_seconds, "must be a number, not negative")
        user, system = self.cpu_user_seconds, self.cpu_system_seconds
        if user is not None and not 0 <= user <= MAX_SECONDS:
            raise self._broken("cpu_user_seconds", user, "must be a number, not negative")
        if system is not None and not 0 <= system <= MAX_SECONDS:
            raise self._broken("cpu_system_seconds", system, "must be a number, not negative")

    def _check_numbers(self) -> None:
        if not 0 <= self.attempt <= _INT64_MAX:
            raise self._broken("attempt", self.attempt, "must be a number of 64 bits, not negative")
        if not 0 <= self.sequence <= _INT64_MAX:
            raise self._broken("sequence", self.sequence, "must be a number of 64 bits, not negative")
        if not 0 < self.jobs <= MAX_JOBS:
            raise self._broken("jobs", self.jobs, f"must be from 1 to {MAX_JOBS}")
        if self.bytes is not None and self.bytes > MAX_BYTES:
            raise self._broken("bytes", self.bytes, f"must be at most {MAX_BYTES}")
        for name in ("memory_mib", "node_count", "bytes", "files"):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= _INT64_MAX:
                raise self._broken(name, number, "must be a number of 64 bits, not negative")
        value = self.benchmark_value
        if value is not None and not 0 <= value <= MAX_BENCHMARK:
            raise self._broken("benchmark_value", value, "must be a number, not negative")
        if self.exit_code is not None and abs(self.exit_code) > _INT32_MAX:
            raise self._broken("exit_code", self.exit_code, "must be a number of 32 bits")
        if self.exit_signal is not None and abs(self.exit_signal) > _INT32_MAX:
            raise self._broken("exit_signal", self.exit_signal, "must be a number of 32 bits")

    def _broken(self, field: str, value: object, rule: str) -> InvalidInput:
        return InvalidInput(f"{self.global_job_id} {field}", value, rule)

    @property
    def cpu_seconds(self) -> float | None:
        """User and system CPU together; None where the source measured neither."""
        if self.cpu_user_seconds is None and self.cpu_system_seconds is None:
            return None
        return (self.cpu_user_seconds or 0.0) + (self.cpu_system_seconds or 0.0)

    @property
    def core_seconds(self) -> float:
        """Wall time × processors: what the job kept from others."""
        return self.wall_seconds * self.processors

    @property
    def suspect(self) -> bool:
        """Whether more CPU was measured than wall × processors can give."""
        return (self.cpu_seconds or 0.0) > self.core_seconds

    @property
    def identity(self) -> tuple[str, str, int]:
        """What makes two records tell of the same thing."""
        return self.instance, self.global_job_id, self.attempt
