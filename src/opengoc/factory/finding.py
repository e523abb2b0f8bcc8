"""What is found wrong in a factory: by the guard in what runs, and in how pilots ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FindingKind(StrEnum):
    """What is wrong: first what does not agree with what was applied, then what ended pilots show."""

    #: The files say something else than what is in force, or cannot be read.
    SOURCE = "source differs"
    #: A pilot in the factory's queue has a digest that was never in force.
    PILOT_DIGEST = "pilot of an unknown digest"
    #: A startd has a digest that was never in force.
    STARTD_DIGEST = "startd of an unknown digest"
    #: A startd decides by another START than the one rendered for it.
    START = "START differs"
    #: A job runs where the policy in force does not let it.
    JOB = "job not allowed"
    #: A running job would not be taken now, for its attributes were seen to change.
    JOB_CHANGED = "job changed"

    REPORT_MISSING = "report-missing"
    VALIDATION_MISSING = "validation-missing"
    VALIDATION_FAILED = "validation-failed"
    SHORT_LIVED = "short-lived"
    EATS_JOBS = "eats-jobs"
    HELD = "held"


#: Kinds that are found in how pilots ended.
OF_ENDS: Final = frozenset(
    {
        FindingKind.REPORT_MISSING,
        FindingKind.VALIDATION_MISSING,
        FindingKind.VALIDATION_FAILED,
        FindingKind.SHORT_LIVED,
        FindingKind.EATS_JOBS,
        FindingKind.HELD,
    }
)


class Action(StrEnum):
    """What is done about it."""

    ALARM = "alarm"
    #: The pilot's job is removed: its startd ends, its jobs return to their queue.
    STOP = "pilot stopped"
    STOP_AND_PAUSE = "pilot stopped, entry paused"
    PAUSE = "entry paused; no pilot of this factory to stop"
    NOBODY = "no pilot of this factory to stop"
    #: A startd that no pilot of this factory carries; whether it obeys, the pool shows.
    TOLD = "startd told to end"
    #: Of ends: enough bad ones close the entry until a canary does well; some close it at once.
    COUNTED = "counted against the entry"
    CLOSED = "entry closed until a canary does well"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    kind: FindingKind
    #: The job, pilot or startd, the pilots of an entry, or ``files``.
    subject: str
    action: Action
    #: What was seen and what should have been, in words.
    evidence: str
    entry: str = ""
    vo: str = ""
    digest: str = ""
