"""Probe ``htcondor-pool``: does the collector answer, does a negotiator match, how many slots are there."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from opengoc.condor.classads import Ad
from opengoc.condor.observation import Observation
from opengoc.condor.session import Session
from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.answers import could_not_probe, failure

METRIC = "htcondor-pool"

#: A negotiator that ended no cycle for this long is alive, and does not match.
STALE_CYCLE_SECONDS = 900

#: A query that failed after this share of its time was not answered; one that failed before was refused.
_NO_ANSWER_SHARE = 0.6
_CONNECT_SECONDS = 5.0
_COLLECTOR_PORT = 9618


@dataclass(frozen=True, kw_only=True)
class PoolProbe:
    """Asks the collector of one pool."""

    session: Session

    def run(self, _timeout_seconds: float, /) -> Finding:
        """Three queries; each is bounded by the session's own timeout."""
        began = time.monotonic()
        collectors = self.session.ads("Collector", projection=["Name"])
        if not collectors.complete:
            timed_out = time.monotonic() - began > _NO_ANSWER_SHARE * self.session.pool.timeout_seconds
            accepts = not timed_out and _accepts(self.session.pool.collector)
            return judge_failure(collectors, timed_out=timed_out, accepts=accepts)
        negotiators = self.session.ads("Negotiator", projection=["Name", "LastNegotiationCycleEnd0"])
        slots = self.session.slots(projection=["State"])
        return judge(negotiators, slots)


def judge_failure(query: Observation[Ad], *, timed_out: bool, accepts: bool) -> Finding:
    """What a failed query says of the collector.

    HTCondor has one message for a collector that is gone and for one that does not take our token. One that
    takes connections and ends ours at once may be well: then nothing is known of it.
    """
    if timed_out or not accepts:
        return failure(query)
    return could_not_probe(f"{query.error} It takes connections: check the token and what it is granted")


def judge(negotiators: Observation[Ad], slots: Observation[Ad]) -> Finding:
    """The state of a pool whose collector answers.

    No slots is no fault of the pool: it has as many as pilots brought.
    """
    if not negotiators.complete:
        return could_not_probe(negotiators.error)
    if not slots.complete:
        return could_not_probe(slots.error)
    claimed = sum(slot.get("State") == "Claimed" for slot in slots.items)
    count = f"{len(slots.items)} slots, {claimed} claimed"
    if not negotiators.items:
        return Finding(status=Status.CRITICAL, summary=f"the collector knows no negotiator; {count}")
    ends = [end for ad in negotiators.items if isinstance(end := ad.get("LastNegotiationCycleEnd0"), int)]
    idle_seconds = negotiators.taken_at.timestamp() - max(ends) if ends else 0.0
    if idle_seconds > STALE_CYCLE_SECONDS:
        minutes = int(idle_seconds // 60)
        return Finding(
            status=Status.WARNING, summary=f"the negotiator ended no cycle for {minutes} min; {count}"
        )
    return Finding(status=Status.OK, summary=f"collector and negotiator answer; {count}")


def _accepts(address: str) -> bool:
    """Whether somebody takes connections there."""
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "")
    try:
        socket.create_connection((host, int(port or _COLLECTOR_PORT)), _CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
