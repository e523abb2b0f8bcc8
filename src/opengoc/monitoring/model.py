"""What a probe says, and about what: states, results, endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import require_utc


class Status(StrEnum):
    """State of a metric, an endpoint, a service or a site."""

    OK = "OK"
    #: Works, with a warning; counts as up.
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    #: The probe could not find out.
    UNKNOWN = "UNKNOWN"
    #: No result though one was expected.
    MISSING = "MISSING"
    #: Laid over by a downtime; never a probe's own answer.
    DOWNTIME = "DOWNTIME"
    #: Not counted at all: the identity of every combination.
    EXCLUDED = "EXCLUDED"


#: What a probe may answer.
MEASURED = frozenset({Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.MISSING})


class RunOutcome(StrEnum):
    """How the run of the probe itself ended, apart from what it found."""

    DONE = "done"
    TIMEOUT = "timeout"
    #: Could not be started, was ended by a signal, or broke the plugin convention.
    FAILED = "failed"


@dataclass(frozen=True, order=True)
class Target:
    """What is probed: one service of one resource."""

    resource: str
    #: Kind of the service as the registry names it, e.g. ``CE``.
    service: str

    def __str__(self) -> str:
        return f"{self.resource}/{self.service}"


@dataclass(frozen=True, order=True)
class Endpoint:
    """A target and the site it counts for."""

    site: str
    resource: str
    service: str

    @property
    def target(self) -> Target:
        """The endpoint without its site."""
        return Target(self.resource, self.service)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a probe found, before the loop stamps it with time, duration and agent."""

    status: Status
    #: One line for people.
    summary: str
    #: Whatever else helps to see why; may have many lines.
    detail: str = ""
    outcome: RunOutcome = RunOutcome.DONE

    def __post_init__(self) -> None:
        _check_answer(self.status, self.outcome)


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """One answer of one metric about one target.

    ``at`` is the UTC second at which the answer was had; fractions are cut off, since states are counted in
    whole seconds. Raises InvalidInput for a state a probe cannot answer, and for a run that did not end by
    itself but claims to know: a probe that could not run is UNKNOWN.
    """

    metric: str
    resource: str
    service: str
    status: Status
    at: datetime
    summary: str
    detail: str = ""
    duration_seconds: float = 0.0
    #: Who probed: host name, or name of the foreign monitoring system.
    agent: str
    outcome: RunOutcome = RunOutcome.DONE

    def __post_init__(self) -> None:
        _check_answer(self.status, self.outcome)
        object.__setattr__(self, "at", require_utc(self.at, "probe result").replace(microsecond=0))
        for name in ("metric", "resource", "service", "agent"):
            if not getattr(self, name):
                raise InvalidInput(f"probe result: {name}", "", "must not be empty")

    @property
    def target(self) -> Target:
        """What was probed."""
        return Target(self.resource, self.service)


@dataclass(frozen=True, kw_only=True)
class CurrentStatus:
    """The newest answer of a metric about a target."""

    metric: str
    target: Target
    status: Status
    #: Since when the metric has answered this status without another between.
    since: datetime
    #: When the newest answer was had.
    at: datetime
    #: Its line.
    summary: str
    outcome: RunOutcome


def _check_answer(status: Status, outcome: RunOutcome) -> None:
    if status not in MEASURED:
        raise InvalidInput(
            "probe result: status", status.value, f"must be one of {', '.join(sorted(MEASURED))}"
        )
    if outcome is not RunOutcome.DONE and status is not Status.UNKNOWN:
        raise InvalidInput(
            "probe result: status",
            status.value,
            f"must be UNKNOWN: the run of the probe ended as {outcome.value}",
        )
