"""What the end of a pilot says about the place it was sent to. Pure.

A pilot that ended leaves its report, or does not; a report holds every validation that was run, or lacks
some. The verdict goes into the entry's health; the findings are for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import parse_instant
from opengoc.factory.finding import FindingKind


class Verdict(StrEnum):
    """What one end says."""

    GOOD = "good"
    BAD = "bad"
    #: Nothing about the place: somebody took the pilot away, or it had lived long.
    NEUTRAL = "neutral"
    #: Every other pilot of the entry would meet the same.
    PAUSE = "pause"


#: By the reason that a pilot gives for its end (docs/reference/pilot.md, "Ends and exit codes").
VERDICTS: Final[Mapping[str, Verdict]] = {
    "idle": Verdict.GOOD,
    "walltime": Verdict.GOOD,
    "drained": Verdict.GOOD,
    "signal": Verdict.NEUTRAL,
    "pilot-error": Verdict.BAD,
    "config-error": Verdict.BAD,
    "validation-failed": Verdict.BAD,
    "startd-died": Verdict.BAD,
}
#: Ends before any validation could be run.
_BEFORE_VALIDATIONS = frozenset({"config-error"})
#: A validation that did not run for want of something says so; one that nobody asked for is no validation.
_NOT_ASKED = "not asked for"


@dataclass(frozen=True, kw_only=True)
class PilotEnd:
    """One pilot that ended: as its job ended, and what it reported."""

    pilot_id: str
    entry: str
    vo: str
    submitted_at: datetime
    ended_at: datetime
    #: As the site gives it; None where it does not.
    exit_code: int | None = None
    #: Why it was held, when it was removed for that; empty for one that ran to its end.
    hold_reason: str = ""
    #: Whether such a hold pauses the entry.
    pauses: bool = False
    #: None: it left none.
    report: Mapping[str, Any] | None = None
    #: Names of the validations that it was to run.
    expected: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The worker node; empty where nobody knows."""
        return str((self.report or {}).get("host") or "")

    @property
    def started_at(self) -> datetime:
        """When it began to run, or else when it was submitted."""
        return _instant(self.report, "started_at") or self.submitted_at

    @property
    def lived_seconds(self) -> float | None:
        """How long it ran; None where nobody knows."""
        started, ended = _instant(self.report, "started_at"), _instant(self.report, "ended_at")
        return None if started is None or ended is None else (ended - started).total_seconds()

    @property
    def joined(self) -> bool:
        """Whether its startd reached the pool."""
        return bool(((self.report or {}).get("startd") or {}).get("joined_at"))


@dataclass(frozen=True, kw_only=True)
class PilotFinding:
    """One thing that is wrong with a pilot that ended."""

    kind: FindingKind
    pilot_id: str
    entry: str
    at: datetime
    host: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One end, judged."""

    end: PilotEnd
    verdict: Verdict
    #: The verdict in words.
    reason: str
    findings: tuple[PilotFinding, ...]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What counts as what."""

    #: A pilot that fails within this time is short-lived: the place is bad. Later it is an accident.
    short_seconds: float = 600.0
    #: So many jobs, each shorter than ``eaten_seconds`` on average, look like a node that eats jobs.
    eaten_jobs: int = 20
    eaten_seconds: float = 5.0


def judge(end: PilotEnd, measure: Measure | None = None) -> Judged:
    """The verdict and the findings of one end."""
    measure = measure or Measure()
    if end.hold_reason:
        verdict = Verdict.PAUSE if end.pauses else Verdict.BAD
        return _judged(end, verdict, end.hold_reason, [_finding(end, FindingKind.HELD, end.hold_reason)])
    if end.report is None:
        code = "no exit code" if end.exit_code is None else f"exit code {end.exit_code}"
        found = [_finding(end, FindingKind.REPORT_MISSING, code)]
        return _judged(end, Verdict.BAD, f"left no report ({code})", found)
    why = str((end.report.get("end") or {}).get("reason") or "")
    message = str((end.report.get("end") or {}).get("message") or "")
    findings = [*_validations(end, why), *_eaten(end, measure)]
    verdict = VERDICTS.get(why, Verdict.BAD)
    if verdict is not Verdict.BAD:
        return _judged(end, verdict, why, findings)
    lived = end.lived_seconds
    if end.joined and lived is not None and lived >= measure.short_seconds:
        return _judged(end, Verdict.NEUTRAL, f"{why} after {lived:.0f} s", findings)
    words = f"{why or 'report without an end'}: {message}".rstrip(": ")
    if why != "validation-failed":
        after = "an unknown time" if lived is None else f"{lived:.0f} s"
        findings.append(_finding(end, FindingKind.SHORT_LIVED, f"{words}, after {after}"))
    return _judged(end, Verdict.BAD, words, findings)


def _validations(end: PilotEnd, why: str) -> list[PilotFinding]:
    """Validations that failed, and those that are not in the report or were skipped without a reason."""
    rows = {str(row.get("name")): row for row in (end.report or {}).get("validations") or []}
    found = []
    for name in end.expected:
        row = rows.get(name)
        if row is None and why not in _BEFORE_VALIDATIONS:
            found.append(_finding(end, FindingKind.VALIDATION_MISSING, f"{name} is not in the report"))
        elif (
            row is not None
            and row.get("result") == "skipped"
            and row.get("message") in ("", None, _NOT_ASKED)
        ):
            found.append(_finding(end, FindingKind.VALIDATION_MISSING, f"{name} was not run"))
    for name, row in rows.items():
        if row.get("result") in ("failed", "error"):
            detail = f"{name}: {row.get('message')}"
            found.append(_finding(end, FindingKind.VALIDATION_FAILED, detail))
    return found


def _eaten(end: PilotEnd, measure: Measure) -> list[PilotFinding]:
    """A node that ends jobs as soon as it gets them looks busy and healthy."""
    jobs = (end.report or {}).get("jobs") or {}
    finished, wall = jobs.get("finished"), jobs.get("wall_seconds")
    if not isinstance(finished, int) or not isinstance(wall, int | float) or finished < measure.eaten_jobs:
        return []
    if wall / finished >= measure.eaten_seconds:
        return []
    return [_finding(end, FindingKind.EATS_JOBS, f"{finished} jobs of {wall / finished:.1f} s on average")]


def _finding(end: PilotEnd, kind: FindingKind, detail: str) -> PilotFinding:
    return PilotFinding(
        kind=kind, pilot_id=end.pilot_id, entry=end.entry, at=end.ended_at, host=end.host, detail=detail
    )


def _judged(end: PilotEnd, verdict: Verdict, reason: str, findings: list[PilotFinding]) -> Judged:
    return Judged(end=end, verdict=verdict, reason=reason, findings=tuple(findings))


def _instant(report: Mapping[str, Any] | None, name: str) -> datetime | None:
    text = (report or {}).get(name)
    try:
        return parse_instant(text) if isinstance(text, str) else None
    except InvalidInput:
        # A report comes from a machine that is not ours: what cannot be read is not known.
        return None
