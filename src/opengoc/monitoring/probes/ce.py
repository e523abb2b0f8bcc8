"""Probe ``ce-job``: a real test job through the factory's schedd to a compute element, out and back.

The job prints a word that only this run knows. It is marked with ``GOC_Probe`` (the entry) and
``GOC_ProbeRun`` (the word), removes itself from the queue by age, and each run first removes what an earlier
run that was killed left behind: no test job stays for ever.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opengoc.base.errors import GocError
from opengoc.base.ids import new_id
from opengoc.condor.classads import Ad, literal
from opengoc.condor.observation import Observation
from opengoc.condor.session import Session
from opengoc.monitoring.model import Finding, RunOutcome, Status
from opengoc.monitoring.probes.answers import could_not_probe

METRIC = "ce-job"

_LOG = logging.getLogger(__name__)

#: Shell built-ins only: a worker node need not have more.
JOB = '#!/bin/sh\necho "goc-probe $1"\n'

_ATTRIBUTES = (
    "JobStatus",
    "HoldReason",
    "HoldReasonCode",
    "ExitCode",
    "GridJobId",
    "GridJobStatus",
    "GridResourceUnavailableTime",
)
_RUNNING, _REMOVED, _COMPLETED, _HELD = 2, 3, 4, 5
#: HoldReasonCode of a job whose files are on their way into the queue.
_SPOOLING = 16

#: Of the probe's time, the part that the job may take; the rest is for fetching its output and removing it.
_WAIT_SHARE = 0.8
_POLL_SECONDS = 1.0
#: A test job this many timeouts old belongs to a run that was killed.
_STALE_TIMEOUTS = 3


@dataclass(frozen=True, kw_only=True)
class CeProbe:
    """Sends test jobs the way an entry's pilots go."""

    session: Session
    #: The factory's schedd.
    schedd: str
    entry: str
    #: ``condor SCHEDD COLLECTOR`` or ``batch slurm``.
    grid_resource: str
    #: Further submit commands of the entry, e.g. {"batch_queue": "grid"}.
    submit: Mapping[str, str] = field(default_factory=dict)

    def run(self, timeout_seconds: float, /) -> Finding:
        """1. remove stale test jobs; 2. submit; 3. wait; 4. fetch and compare the output; 5. remove."""
        began = time.monotonic()
        self._reap(int(_STALE_TIMEOUTS * timeout_seconds))
        word = new_id("probe")
        mine = f"GOC_ProbeRun =?= {literal(word)}"
        with tempfile.TemporaryDirectory(prefix="goc-probe-") as folder:
            try:
                self.session.submit(
                    self.schedd, self._description(Path(folder), word, timeout_seconds), spool=True
                )
                last = self._wait(mine, began + _WAIT_SHARE * timeout_seconds)
                finding = judge(last, timeout_seconds * _WAIT_SHARE)
                if finding is not None:
                    return finding
                self.session.retrieve(self.schedd, mine)
                return judge_output(Path(folder) / "out", word, time.monotonic() - began)
            finally:
                self._remove(mine)

    def _description(self, folder: Path, word: str, timeout_seconds: float) -> dict[str, str]:
        script = folder / "goc-probe.sh"
        script.write_text(JOB)
        script.chmod(0o755)
        stale = f"(time() - QDate) > {int(_STALE_TIMEOUTS * timeout_seconds)}"
        return {
            **self.submit,
            "universe": "grid",
            "grid_resource": self.grid_resource,
            "executable": str(script),
            "arguments": word,
            "initialdir": str(folder),
            "output": "out",
            "error": "err",
            "should_transfer_files": "YES",
            "when_to_transfer_output": "ON_EXIT",
            "request_cpus": "1",
            "request_memory": "64",
            # The schedd drops the job by itself, whatever becomes of this process.
            "periodic_remove": stale,
            "leave_in_queue": f"JobStatus == {_COMPLETED} && !({stale})",
            "My.GOC_Probe": literal(self.entry),
            "My.GOC_ProbeRun": literal(word),
        }

    def _wait(self, mine: str, deadline: float) -> Observation[Ad]:
        """The last look at the job: when it ended, was held, went away, or the time was up."""
        while True:
            seen = self.session.jobs(self.schedd, mine, _ATTRIBUTES)
            settled = seen.complete and (not seen.items or _has_settled(seen.items[0]))
            if settled or time.monotonic() + _POLL_SECONDS >= deadline:
                return seen
            time.sleep(_POLL_SECONDS)

    def _reap(self, age_seconds: int) -> None:
        stale = f"GOC_Probe =?= {literal(self.entry)} && (time() - QDate) > {age_seconds}"
        self._remove(stale)

    def _remove(self, constraint: str) -> None:
        try:
            self.session.remove(self.schedd, constraint, reason="test job of a probe")
        except GocError as error:
            # The next run, or the job's own periodic_remove, does it.
            _LOG.warning("action=probe-job-left entry=%s error=%s", self.entry, error)


def _has_settled(ad: Ad) -> bool:
    state = ad.get("JobStatus")
    return state in (_REMOVED, _COMPLETED) or (state == _HELD and ad.get("HoldReasonCode") != _SPOOLING)


def judge(seen: Observation[Ad], waited_seconds: float) -> Finding | None:
    """What the job's last state in the factory's queue says of the CE; None when it ended by itself."""
    if not seen.complete:
        return could_not_probe(seen.error)
    if not seen.items:
        return could_not_probe("the test job left the queue before it was looked at: somebody removed it")
    ad = seen.items[0]
    state = ad.get("JobStatus")
    if state == _COMPLETED:
        code = ad.get("ExitCode")
        if code in (None, 0):
            return None
        return Finding(status=Status.CRITICAL, summary=f"the test job ended with exit code {code}")
    if state == _HELD and _has_settled(ad):
        return Finding(status=Status.CRITICAL, summary=f"the test job was held: {ad.get('HoldReason', '?')}")
    if state == _REMOVED:
        return could_not_probe("the test job was removed by somebody else")
    waited = f"after {waited_seconds:.0f} s"
    if ad.get("GridResourceUnavailableTime") is not None:
        return Finding(status=Status.CRITICAL, summary=f"the CE does not answer: no job got through {waited}")
    if state == _RUNNING:
        return Finding(status=Status.WARNING, summary=f"the test job still runs {waited}")
    if ad.get("GridJobId") is not None:
        # Jobs get in; that the batch system is full is no fault of the CE.
        return Finding(status=Status.WARNING, summary=f"the CE took the test job; it waits {waited}")
    return Finding(
        status=Status.UNKNOWN,
        summary=f"the test job has not left the factory's queue {waited}",
        outcome=RunOutcome.TIMEOUT,
    )


def judge_output(file: Path, word: str, seconds: float) -> Finding:
    """Whether the job that ended says what it was told to say."""
    try:
        said = file.read_text(errors="replace").strip()
    except FileNotFoundError:
        return Finding(status=Status.CRITICAL, summary="the test job ended, and its output did not come back")
    if said != f"goc-probe {word}":
        return Finding(
            status=Status.CRITICAL,
            summary="the test job ended, and its output is not what it was told to print",
            detail=said[:1000],
        )
    return Finding(status=Status.OK, summary=f"a test job ran and its output came back in {seconds:.0f} s")
