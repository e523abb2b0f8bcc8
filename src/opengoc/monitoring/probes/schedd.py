"""Probe ``htcondor-schedd``: does the schedd answer a query of its queue."""

from __future__ import annotations

from dataclasses import dataclass

from opengoc.condor.classads import Ad, literal
from opengoc.condor.observation import Observation
from opengoc.condor.session import Session
from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.answers import could_not_probe, failure

METRIC = "htcondor-schedd"


@dataclass(frozen=True, kw_only=True)
class ScheddProbe:
    """Asks one schedd, found through the collector of its pool."""

    session: Session
    schedd: str

    def run(self, _timeout_seconds: float, /) -> Finding:
        """Two queries; each is bounded by the session's own timeout."""
        ads = self.session.schedds(
            f"Name == {literal(self.schedd)}", ["TotalIdleJobs", "TotalRunningJobs", "TotalHeldJobs"]
        )
        if not ads.complete:
            # Nothing is known of a schedd behind a dead collector; the probe of the pool tells of that.
            return could_not_probe(ads.error)
        if not ads.items:
            return Finding(status=Status.CRITICAL, summary=f"the collector knows no schedd {self.schedd}")
        # No job has this number: the answer is short however long the queue is.
        return judge(ads.items[0], self.session.jobs(self.schedd, "ClusterId == 0", ["ClusterId"]))


def judge(ad: Ad, answer: Observation[Ad]) -> Finding:
    """The state of a schedd that the collector knows."""
    if not answer.complete:
        return failure(answer)
    counts = ", ".join(
        f"{ad[name]} {word}"
        for name, word in (
            ("TotalRunningJobs", "running"),
            ("TotalIdleJobs", "idle"),
            ("TotalHeldJobs", "held"),
        )
        if name in ad
    )
    return Finding(status=Status.OK, summary=f"answers{': ' + counts if counts else ''}")
