"""What a weekly report is built from: plain values, gathered before the pure build begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from opengoc.base.figure import Figure
from opengoc.base.interval import Interval
from opengoc.reports.model import Correction, Note, Strip


@dataclass(frozen=True, kw_only=True)
class DayUsage:
    """What one VO used at one site on one UTC day: records whose end time lies in that day."""

    vo: str
    site: str
    day: date
    #: ``payload``, ``pilot``, ``batch`` (a site's other jobs) or ``transfer``; they are never added.
    kind: str
    jobs: int
    wall_seconds: float
    core_seconds: float
    #: Core seconds of the jobs whose processor time is known, the ratio's denominator; None where unknown.
    cpu_core_seconds: float | None
    #: None when no job said its processor time.
    cpu_seconds: float | None
    jobs_without_cpu: int = 0
    #: Records whose numbers contradict each other, e.g. more processor time than wall × cores.
    suspects: int = 0
    #: Bytes moved; None where no record says any.
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which days a source of records has whole, of those that it is expected to report."""

    source: str
    kind: str
    days: frozenset[date]
    #: Site whose records they are; empty: of any site.
    site: str = ""
    #: Why other days lack, as far as it is known.
    reasons: Mapping[date, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunningSpell:
    """A stretch of time through which the same number of pilots or jobs ran, by VO, as the factory saw it."""

    interval: Interval
    #: A VO that is not named had none.
    running: Mapping[str, int]
    #: False when a queue did not answer: the counts may be old.
    complete: bool = True


@dataclass(frozen=True, kw_only=True)
class WeekUsage:
    """All that is known of one week's usage."""

    week: str
    interval: Interval
    days: tuple[DayUsage, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    #: What ran in the factory's queue, and in the queues of the VOs.
    pilots: tuple[RunningSpell, ...] = ()
    jobs: tuple[RunningSpell, ...] = ()
    #: What the query ran on: table versions, correction version.
    evidence: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """How a service stood at the end of the week, or at ``as_of`` while the week runs."""

    site: str
    resource: str
    service: str
    status: str
    since: datetime | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """What monitoring says of the week."""

    #: Named ``availability`` and ``reliability``, with dimension ``site``.
    figures: tuple[Figure, ...] = ()
    strips: tuple[Strip, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    #: Why there is nothing, when there is nothing.
    missing_reason: str = "no probe results"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A configuration of the factory, and since when its cycles ran with it."""

    digest: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class EntryWeek:
    """One factory entry over the week."""

    entry: str
    site: str
    #: Pilots that arrived in the factory's queue.
    submitted: int
    #: Most pilots seen running at once; None when no cycle saw the entry.
    peak_running: int | None = None
    #: Limits that kept pilots back, with the time they bound and the last reason, one sentence each.
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FactoryWeek:
    """What the pilot factory did in the week."""

    #: Configurations that ran, oldest first; the first may have begun before the week.
    configurations: tuple[Running, ...] = ()
    #: What was put in force within the week, when, by whom and with what difference; one sentence each.
    applied: tuple[str, ...] = ()
    entries: tuple[EntryWeek, ...] = ()
    #: Share of the elapsed week in which cycles were seen, in seconds.
    seen_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    #: What the guard found, one sentence each; None: no guard keeps a record.
    findings: tuple[str, ...] | None = None
    missing_reason: str = "no cycle of the factory is on record for this week"


@dataclass(frozen=True, kw_only=True)
class DowntimeNews:
    """A downtime that was announced, changed or cancelled within the week."""

    id: str
    what: str
    at: datetime
    who: str
    where: str
    interval: Interval
    severity: str
    description: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Everything ``build`` needs; nothing is looked up later."""

    vos: tuple[str, ...]
    usage: WeekUsage
    before: WeekUsage
    monitoring: Monitoring = Monitoring()
    factory: FactoryWeek = FactoryWeek()
    #: Known within the week.
    downtimes: tuple[DowntimeNews, ...] = ()
    #: In force within the week or the two after it: id, where, interval, severity, description as sentences.
    downtimes_ahead: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    #: Figures of other weeks' published reports that changed since.
    corrections: tuple[Correction, ...] = ()
