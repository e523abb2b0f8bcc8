"""What a query of HTCondor that failed says about the service, and what about ourselves."""

from __future__ import annotations

from opengoc.condor.classads import Ad
from opengoc.condor.observation import Observation
from opengoc.monitoring.model import Finding, RunOutcome, Status

#: Parts of the condor room's messages when the fault lies on our side of the wire.
_OURS = ("check the token", "the process that talks to HTCondor ended")


def failure(observation: Observation[Ad]) -> Finding:
    """The finding of an incomplete observation: CRITICAL when the service did not answer, else UNKNOWN."""
    if any(part in observation.error for part in _OURS):
        return could_not_probe(observation.error)
    return Finding(status=Status.CRITICAL, summary=observation.error)


def could_not_probe(reason: str) -> Finding:
    """The finding of a probe that was kept from finding out."""
    return Finding(status=Status.UNKNOWN, summary=reason, outcome=RunOutcome.FAILED)
