"""A check: one metric of one target, how it is probed, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from opengoc.base.errors import InvalidInput
from opengoc.monitoring.model import Finding, Target


class Probe(Protocol):
    """What a probe does."""

    def run(self, timeout_seconds: float, /) -> Finding:
        """Probe once, within the time.

        What the service answers, or fails to answer, is a Finding; whatever keeps the probe itself from
        finding out is a GocError or an UNKNOWN.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Check:
    """One metric about one target."""

    metric: str
    target: Target
    probe: Probe = field(compare=False)
    #: Seconds from the start of one run to the start of the next.
    interval_seconds: float
    #: Seconds after which a run is given up.
    timeout_seconds: float

    def __post_init__(self) -> None:
        for name in ("interval_seconds", "timeout_seconds"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"check {self}: {name}", getattr(self, name), "must be above 0")

    def __str__(self) -> str:
        return f"{self.metric} of {self.target}"
