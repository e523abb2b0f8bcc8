"""What to do about a pilot that is held: a table of reasons, and the pure function that looks it up.

HTCondor says why with a code, a subcode and words
(https://htcondor.readthedocs.io/en/latest/codes-other-values/hold-reason-codes.html). The gridmanager gives
many holds no code of their own: there the words decide, as the grid type writes them. The table for people:
docs/reference/protection.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Treatment(StrEnum):
    """What to do with a held pilot."""

    #: Nothing is wrong, or a person is at it.
    WAIT = "wait"
    #: Release it: the next attempt may go well.
    RETRY = "retry"
    #: Remove it: it will not run, and another one may.
    KILL = "kill"
    #: Remove it and pause its entry: every other pilot would meet the same.
    PAUSE = "pause"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why a pilot is held."""

    #: First word of the entry's grid resource: ``condor``, ``batch``, ``arc``.
    grid_type: str
    reason: str
    #: HoldReasonCode and HoldReasonSubCode; None where the ad does not say.
    code: int | None = None
    subcode: int | None = None
    since: datetime
    #: How often it was held so far, this time included.
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class HoldRule:
    """One row: what it is for, and what to do. A hold must have everything that the row names."""

    name: str
    treatment: Treatment
    codes: frozenset[int] = frozenset()
    subcodes: frozenset[int] = frozenset()
    #: Found anywhere in the reason, whatever its case; empty: any reason.
    words: str = ""
    #: Empty: any grid type.
    grid_types: frozenset[str] = frozenset()
    #: Whether a pilot that is removed for it is a bad end, for which its entry may be paused.
    is_of_entry: bool = True

    def covers(self, hold: Hold) -> bool:
        """Whether this row is about such a hold."""
        return (
            (not self.codes or hold.code in self.codes)
            and (not self.subcodes or hold.subcode in self.subcodes)
            and (not self.grid_types or hold.grid_type in self.grid_types)
            and (not self.words or re.search(self.words, hold.reason, re.IGNORECASE) is not None)
        )


def _row(
    name: str,
    treatment: Treatment,
    *codes: int,
    words: str = "",
    of: str = "",
    is_of_entry: bool = True,
) -> HoldRule:
    return HoldRule(
        name=name,
        treatment=treatment,
        codes=frozenset(codes),
        words=words,
        grid_types=frozenset(of.split()),
        is_of_entry=is_of_entry,
    )


#: The first row that covers a hold counts: what is said in words before what is said in codes.
HOLD_RULES: tuple[HoldRule, ...] = (
    # Code 16: the files of a spooled job are on their way to the schedd.
    _row("spooling", Treatment.WAIT, 16, is_of_entry=False),
    _row("held by a person", Treatment.WAIT, 1, 15, is_of_entry=False),
    # Nothing that a retry or another pilot would cure.
    _row("credential", Treatment.PAUSE, 4),
    _row(
        "credential refused",
        Treatment.PAUSE,
        words=r"authenticat|authoriz|permission denied|not permitted|token.*(expired|invalid)|"
        r"credential.*(expired|invalid)|(expired|invalid).*credential|no credentials|SECMAN:2010",
        of="condor arc",
    ),
    _row(
        "request refused by the batch system",
        Treatment.PAUSE,
        words=r"invalid (partition|account|qos|user|group|feature)|partition.*(down|inactive)|"
        r"unknown queue|queue.*(does not exist|not found|disabled)|requested node configuration|"
        r"memory specification can ?not be satisfied|time limit.*(invalid|exceed)|access.*denied|"
        r"unauthorized request|job violates|submit limit|maxsubmitjob",
        of="batch arc",
    ),
    _row(
        "no route at the CE",
        Treatment.PAUSE,
        words=r"no (matching )?route|not (matched|routed)|did not match any route",
        of="condor",
    ),
    _row("no space", Treatment.PAUSE, words=r"no space left|disk quota exceeded|quota.*exceeded"),
    _row("no account at the site", Treatment.PAUSE, 23),
    _row("files too large for the site", Treatment.PAUSE, 32),
    # Something was away.
    _row(
        "site away",
        Treatment.RETRY,
        words=r"failed to (connect|start gahp|initialize gahp)|connection (refused|reset|timed out)|"
        r"timed? ?out|temporarily|unable to contact|cannot connect|error (connecting|locating)|"
        r"no route to host|name resolution|service unavailable|too many (open files|connections)",
    ),
    _row("files between factory and site", Treatment.RETRY, 7, 8, 9, 10, 11, 12, 13, 18, 22),
    _row("staging", Treatment.RETRY, words=r"stage-?(in|out) failed|data staging", of="arc batch"),
    _row("program not started", Treatment.RETRY, 6, 14),
    _row("hook at the site", Treatment.RETRY, 19, 48),
    # It ran, and the site had enough of it.
    _row("more than it asked for", Treatment.KILL, 34),
    _row("time is over", Treatment.KILL, 46, 47, is_of_entry=False),
    _row(
        "killed by the batch system",
        Treatment.KILL,
        words=r"(wall|cpu|v?mem|memory).*(limit|exceed)|(exceed|over).*(wall|cpu|memory|limit)|"
        r"job (was )?(killed|cancelled|preempted)|node fail",
        of="batch arc",
        is_of_entry=False,
    ),
    _row("policy of the site", Treatment.KILL, 3, 5, 21, 26, 27),
    _row("container of the site", Treatment.KILL, 35, 45),
    # Nobody knows: another pilot costs less than a guess, and many of them pause the entry.
    _row("anything else", Treatment.KILL),
)


@dataclass(frozen=True, kw_only=True)
class HoldCare:
    """How patient the factory is with held pilots."""

    #: Releases of one pilot; after these it is removed.
    retries: int = 3
    #: Before the first release; twice as long before each further one.
    retry_seconds: float = 60.0
    #: Left alone for so long, then removed all the same: it keeps a place of the entry.
    wait_seconds: float = 3600.0


@dataclass(frozen=True, kw_only=True)
class Treated:
    """What to do now about one hold."""

    treatment: Treatment
    #: Name of the row that says so.
    rule: str
    #: What to do, in words, for the log and the job's ad.
    reason: str
    #: Whether it is time: a retry that is not due yet waits.
    is_due: bool = True
    #: Whether a removal is a bad end of the entry's.
    is_of_entry: bool = True


def treat(hold: Hold, *, now: datetime, care: HoldCare | None = None) -> Treated:
    """What to do about a held pilot at ``now``."""
    care = care or HoldCare()
    rule = next(rule for rule in HOLD_RULES if rule.covers(hold))
    age = now - hold.since
    if rule.treatment is Treatment.WAIT and age >= timedelta(seconds=care.wait_seconds):
        return _treated(Treatment.KILL, rule, hold, f"held for {age.total_seconds():.0f} s")
    if rule.treatment is not Treatment.RETRY:
        return _treated(rule.treatment, rule, hold, "")
    if hold.times > care.retries:
        return _treated(Treatment.KILL, rule, hold, f"held {hold.times} times")
    pause = timedelta(seconds=care.retry_seconds * 2 ** max(0, hold.times - 1))
    return _treated(
        Treatment.RETRY, rule, hold, f"attempt {hold.times} of {care.retries}", is_due=age >= pause
    )


def _treated(
    treatment: Treatment, rule: HoldRule, hold: Hold, detail: str, *, is_due: bool = True
) -> Treated:
    said = f"{rule.name}: {hold.reason or 'held without a reason'}"
    return Treated(
        treatment=treatment,
        rule=rule.name,
        reason=f"{said} ({detail})" if detail else said,
        is_due=is_due,
        is_of_entry=rule.is_of_entry,
    )
