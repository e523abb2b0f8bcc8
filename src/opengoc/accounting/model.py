"""What one job used: a usage record, valid by construction.

The fields are those of an OGF usage record (GFD.204) as far as the sources measure them. A thing that was not
measured is None, never 0 and never 1970.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isfinite

from opengoc.base.errors import InvalidInput

#: Clocks of submit hosts run ahead by a little; an end further ahead than this is a broken clock.
CLOCK_SKEW = timedelta(minutes=5)
#: Ends before this are a clock that was never set: no source of ours is older.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)

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

    def __post_init__(self) -> None:
        if not self.instance or not self.global_job_id:
            raise self._broken("identity", (self.instance, self.global_job_id), "must not be empty")
        if not 0 < self.processors <= _INT32_MAX:
            raise self._broken("processors", self.processors, "must be at least 1")
        self._check_times()
        self._check_seconds()
        for name in ("attempt", "sequence", "memory_mib"):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= _INT64_MAX:
                raise self._broken(name, number, "must be a number of 64 bits, not negative")
        for name in ("exit_code", "exit_signal"):
            number = getattr(self, name)
            if number is not None and abs(number) > _INT32_MAX:
                raise self._broken(name, number, "must be a number of 32 bits")

    def _check_seconds(self) -> None:
        for name in ("wall_seconds", "cpu_user_seconds", "cpu_system_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not (seconds >= 0 and isfinite(seconds)):
                raise self._broken(name, seconds, "must not be negative")

    def _check_times(self) -> None:
        for name in ("submitted_at", "started_at", "ended_at"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                raise self._broken(name, moment.isoformat(), "must be UTC")
        if self.ended_at < EARLIEST:
            raise self._broken(
                "ended_at", self.ended_at.isoformat(), "is before 1990: a clock that was not set"
            )
        if self.started_at is not None and self.ended_at < self.started_at:
            raise self._broken(
                "ended_at", self.ended_at.isoformat(), f"is before the start, {self.started_at}"
            )

    def _broken(self, field: str, value: object, rule: str) -> InvalidInput:
        return InvalidInput(f"{self.global_job_id} {field}", value, rule)

    def refuse_future(self, now: datetime) -> None:
        """Raise InvalidInput for a job that ends after ``now``; a clock a few minutes ahead is let pass."""
        if self.ended_at > now + CLOCK_SKEW:
            raise self._broken(
                "ended_at", self.ended_at.isoformat(), f"is in the future (now {now.isoformat()})"
            )

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

    @property
    def fingerprint(self) -> str:
        """Digest of all that the record says; equal for a replay, different for a restatement."""
        said = "\x1f".join([str(getattr(self, name)) for name in _FIELD_NAMES])
        return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


_FIELD_NAMES = tuple(field.name for field in fields(UsageRecord))
