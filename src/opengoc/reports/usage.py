"""From usage rows to figures: sums, ratios and changes, each with what it lacks.

Hours, pilot jobs and the cpu/wall ratio come from pilot records, payload figures from payload records; the
two are never added, or work would count twice. Records belong to the week in which they ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from opengoc.base.figure import Figure, FigureState
from opengoc.base.units import SECONDS_PER_HOUR, hours, percent
from opengoc.reports.inputs import Coverage, DayUsage, RunningSpell, WeekUsage
from opengoc.reports.wording import NOT_BEGUN, TO_DATE

PILOT = "pilot"
PAYLOAD = "payload"
#: Jobs of a site's batch system that are no pilots: test jobs of the probes, local users.
BATCH = "batch"
TRANSFER = "transfer"
#: Seconds between two cycles, and a restart now and then: not worth calling a week partial.
UNSEEN_SECONDS = 3600.0
#: Of many reasons of a source, and of many sources that lack the same, so many are named with a figure; the
#: section on sources has them all.
_REASONS_SHOWN, _NAMES_SHOWN = 2, 5


@dataclass(frozen=True, kw_only=True)
class Lack:
    """What a week's records lack; ``nothing_seen`` when none were had at all."""

    reason: str = ""
    nothing_seen: bool = False


def days_of(week: WeekUsage) -> tuple[date, ...]:
    """The seven days, Monday first."""
    return tuple((week.interval.start + timedelta(days=n)).date() for n in range(7))


def lack_of(
    week: WeekUsage,
    kind: str,
    as_of: datetime,
    *,
    days: Iterable[date] | None = None,
    site: str | None = None,
) -> Lack:
    """What the records of one kind lack over the week (or over ``days`` of it), as known at ``as_of``.

    ``site``: of this site alone, so that a source of another site is not held against it.
    """
    # A site's other jobs stand in the same records as its pilots.
    kinds = (PILOT, BATCH) if kind == BATCH else (kind,)
    sources = [c for c in week.coverage if c.kind in kinds and (site is None or c.site in ("", site))]
    if not sources:
        where = f" at {site}" if site else ""
        return Lack(reason=f"no source of {kind} records{where}", nothing_seen=True)
    wanted = tuple(days) if days is not None else days_of(week)
    begun = [day for day in wanted if day <= as_of.date()]
    if not begun:
        return Lack(reason=NOT_BEGUN, nothing_seen=True)
    if not any(day in source.days for source in sources for day in begun):
        unread = {source.source: _why(source, begun) or f"no {kind} records were read" for source in sources}
        return Lack(reason=_named(unread), nothing_seen=True)
    assert week.interval.end is not None
    short = {
        source.source: _of_days(sum(day in source.days for day in begun), len(begun), _why(source, begun))
        for source in sources
        if any(day not in source.days for day in begun)
    }
    to_date = TO_DATE if as_of < week.interval.end and as_of.date() in begun else ""
    return Lack(reason=", ".join(filter(None, (to_date, _named(short)))))


def _of_days(read: int, days: int, why: str) -> str:
    """What a source has of some days; of one day, why it is not there."""
    if days == 1 and why:
        return why
    return f"{read} of {days} days ({why})" if why else f"{read} of {days} days"


def _why(source: Coverage, days: Iterable[date]) -> str:
    """Why a source lacks some of these days, as far as it is known."""
    lacking = (source.reasons.get(day) for day in days if day not in source.days)
    reasons = list(dict.fromkeys(reason for reason in lacking if reason))
    more = f"; and {len(reasons) - _REASONS_SHOWN} more" if len(reasons) > _REASONS_SHOWN else ""
    return "; ".join(reasons[:_REASONS_SHOWN]) + more


def _named(told: Mapping[str, str]) -> str:
    """What sources lack, those together that lack the same: ``a, b: 6 of 7 days``."""
    by_words: dict[str, list[str]] = {}
    for name, words in sorted(told.items()):
        by_words.setdefault(words, []).append(name)
    return "; ".join(f"{_names(names)}: {words}" for words, names in by_words.items())


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Added rows of one kind."""

    jobs: int = 0
    wall_seconds: float = 0.0
    core_seconds: float = 0.0
    cpu_seconds: float = 0.0
    cpu_core_seconds: float = 0.0
    jobs_without_cpu: int = 0
    suspects: int = 0


def add(rows: Iterable[DayUsage]) -> Sums:
    """The sums of rows; processor time only of the jobs that state it."""
    rows = list(rows)
    return Sums(
        jobs=sum(row.jobs for row in rows),
        wall_seconds=sum(row.wall_seconds for row in rows),
        core_seconds=sum(row.core_seconds for row in rows),
        cpu_seconds=sum(row.cpu_seconds or 0.0 for row in rows if row.cpu_core_seconds is not None),
        cpu_core_seconds=sum(row.cpu_core_seconds or 0.0 for row in rows if row.cpu_seconds is not None),
        jobs_without_cpu=sum(row.jobs_without_cpu for row in rows),
        suspects=sum(row.suspects for row in rows),
    )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Makes the figures of one VO, site or day: what they share is said once."""

    sums: Sums
    lack: Lack
    as_of: datetime
    dimensions: Mapping[str, str]
    evidence: Mapping[str, object]

    def count(self, name: str, value: float | int, unit: str) -> Figure:
        """A sum: zero only when everything was read and nothing was there.

        Records that came without their day being read through still count: the sum is then partial.
        """
        if self.lack.nothing_seen and not self.sums.jobs:
            return self._missing(name, unit, self.lack.reason)
        return Figure.known(
            name,
            value,
            unit,
            as_of=self.as_of,
            lacking=self.lack.reason,
            dimensions=self.dimensions,
            evidence=self._evidence(),
        )

    def efficiency(self, name: str) -> Figure:
        """100 × Σ cpu / Σ (wall × cores) over the jobs that state their processor time."""
        if self.lack.nothing_seen and not self.sums.jobs:
            return self._missing(name, "percent", self.lack.reason)
        ratio = percent(self.sums.cpu_seconds, self.sums.cpu_core_seconds)
        if ratio is None:
            why = "no job states its processor time" if self.sums.jobs else "no jobs"
            return self._missing(name, "percent", why)
        lacking = [self.lack.reason] if self.lack.reason else []
        if self.sums.jobs_without_cpu:
            lacking.append(
                f"{self.sums.jobs_without_cpu:,} of {self.sums.jobs:,} jobs state no processor time"
            )
        return Figure.known(
            name,
            ratio,
            "percent",
            as_of=self.as_of,
            lacking=", ".join(lacking),
            dimensions=self.dimensions,
            evidence=self._evidence(),
        )

    def _missing(self, name: str, unit: str, reason: str) -> Figure:
        return Figure.missing(
            name, unit, reason, as_of=self.as_of, dimensions=self.dimensions, evidence=self._evidence()
        )

    def _evidence(self) -> dict[str, object]:
        counted = {"jobs": self.sums.jobs, "suspect_records": self.sums.suspects}
        return {**self.evidence, **counted}


def figures_of_kind(
    week: WeekUsage, kind: str, dimensions: Mapping[str, str], as_of: datetime
) -> tuple[Figure, ...]:
    """Jobs, wall hours, core hours and CPU/wall of the records of one kind; of transfers, jobs and bytes."""
    made = _measured(week, kind, dimensions, as_of)
    if kind == TRANSFER:
        rows = _rows(week, kind, dimensions)
        moved = sum(row.bytes or 0 for row in rows)
        return made.count("transfers", made.sums.jobs, "jobs"), made.count(
            "transferred_bytes", moved, "bytes"
        )
    return (
        made.count(f"{kind}_jobs", made.sums.jobs, "jobs"),
        made.count(f"{kind}_wall_hours", hours(made.sums.wall_seconds), "hours"),
        made.count(f"{kind}_core_hours", hours(made.sums.core_seconds), "core hours"),
        made.efficiency(f"{kind}_cpu_efficiency"),
    )


def _rows(week: WeekUsage, kind: str, dimensions: Mapping[str, str]) -> list[DayUsage]:
    return [
        row
        for row in week.days
        if row.kind == kind and all(getattr(row, name) == value for name, value in dimensions.items())
    ]


def _measured(week: WeekUsage, kind: str, dimensions: Mapping[str, str], as_of: datetime) -> Measured:
    """What makes the figures of one kind, for one VO, site or both."""
    mine = _rows(week, kind, dimensions)
    return Measured(
        sums=add(mine),
        lack=lack_of(week, kind, as_of, site=dimensions.get("site") or None),
        as_of=as_of,
        dimensions=dimensions,
        evidence={**(week.evidence or {}), "records": kind, "sites": sorted({row.site for row in mine})},
    )


def usage_figures(
    week: WeekUsage, dimensions: Mapping[str, str], as_of: datetime, suffix: str = ""
) -> list[Figure]:
    """The usage figures of one VO (dimension ``vo``) or of one VO at one site (``vo`` and ``site``)."""
    figures = []
    for kind, prefix in ((PAYLOAD, "payload_"), (PILOT, "")):
        made = _measured(week, kind, dimensions, as_of)
        figures += [
            made.count(f"{kind}_jobs{suffix}", made.sums.jobs, "jobs"),
            made.count(f"{prefix}wall_hours{suffix}", hours(made.sums.wall_seconds), "hours"),
            made.count(f"{prefix}core_hours{suffix}", hours(made.sums.core_seconds), "core hours"),
            made.efficiency(f"{prefix}cpu_efficiency{suffix}"),
        ]
    return figures


def batch_figures(week: WeekUsage, site: str, as_of: datetime) -> tuple[Figure, Figure]:
    """Jobs and core hours of a site that are no pilots."""
    mine = [row for row in week.days if row.kind == BATCH and row.site == site]
    made = Measured(
        sums=add(mine),
        lack=lack_of(week, BATCH, as_of, site=site),
        as_of=as_of,
        dimensions={"site": site},
        evidence={**(week.evidence or {}), "records": BATCH},
    )
    return (
        made.count("batch_jobs", made.sums.jobs, "jobs"),
        made.count("batch_core_hours", hours(made.sums.core_seconds), "core hours"),
    )


def transfer_figures(week: WeekUsage, vo: str, as_of: datetime) -> tuple[Figure, Figure]:
    """Bytes that a VO moved, and the mean rate over the part of the week that is over.

    Missing with the reason where nothing was had of them: a transfer that nobody measured is not 0 bytes.
    """
    mine = [row for row in week.days if row.kind == TRANSFER and row.vo == vo]
    known = [row.bytes for row in mine if row.bytes is not None]
    lack = lack_of(week, TRANSFER, as_of)
    unsaid = sum(row.jobs for row in mine if row.bytes is None)
    if unsaid and not lack.nothing_seen:
        lack = Lack(reason=", ".join(filter(None, (lack.reason, f"{unsaid:,} transfers state no bytes"))))
    made = Measured(
        sums=Sums(jobs=sum(row.jobs for row in mine if row.bytes is not None)),
        lack=lack,
        as_of=as_of,
        dimensions={"vo": vo},
        evidence={**(week.evidence or {}), "records": TRANSFER},
    )
    assert week.interval.end is not None
    seconds = max(1.0, (min(week.interval.end, as_of) - week.interval.start).total_seconds())
    return (
        made.count("transferred_bytes", sum(known), "bytes"),
        made.count("transfer_rate", sum(known) / seconds, "bytes/s"),
    )


def change(name: str, now: Figure, before: Figure) -> Figure:
    """Change in percent against the week before; missing wherever that comparison would mislead.

    A week that was not observed, or only in part, gives no change: a hole is no growth.
    """
    reason = ""
    if before.state is FigureState.MISSING:
        reason = "the week before was not observed"
    elif before.state is FigureState.PARTIAL:
        reason = "the week before is partial"
    elif now.state in (FigureState.MISSING, FigureState.PARTIAL):
        reason = f"this week is {now.state.value}"
    elif before.state is FigureState.ZERO:
        reason = "the week before was zero"
    if reason:
        return Figure.missing(name, "percent", reason, as_of=now.as_of, dimensions=now.dimensions)
    assert now.value is not None
    assert before.value is not None
    evidence = {"this_week": now.value, "week_before": before.value}
    value = 100.0 * (now.value - before.value) / before.value
    return Figure.known(name, value, "percent", as_of=now.as_of, dimensions=now.dimensions, evidence=evidence)


def running_figures(
    week: WeekUsage, what: str, vo: str | None, as_of: datetime, suffix: str = ""
) -> tuple[Figure, Figure]:
    """Mean over time and peak of what ran of a VO (None: of all), as far as the factory saw the queues.

    ``what``: ``pilots`` in its own queue, or ``jobs`` in the queues of the VOs.
    """
    dimensions = {"vo": vo} if vo is not None else {}
    names = (f"running_{what}_mean{suffix}", f"running_{what}_peak{suffix}")
    every = week.pilots if what == "pilots" else week.jobs
    spells = [spell for spell in every if week.interval.overlaps(spell.interval)]
    seen = sum(spell.interval.seconds for spell in spells)
    if not seen:
        why = f"no cycle of the factory kept what {what} ran"
        mean, peak = (Figure.missing(n, what, why, as_of=as_of, dimensions=dimensions) for n in names)
        return mean, peak
    lacking = _unseen(week, spells, seen, as_of)
    counts = [
        (sum(spell.running.values()) if vo is None else spell.running.get(vo, 0), spell.interval.seconds)
        for spell in spells
    ]
    values = (sum(count * seconds for count, seconds in counts) / seen, max(count for count, _ in counts))
    mean, peak = (
        Figure.known(
            name,
            value,
            what,
            as_of=as_of,
            lacking=lacking,
            dimensions=dimensions,
            evidence={"seen_seconds": seen, "spells": len(spells)},
        )
        for name, value in zip(names, values, strict=True)
    )
    return mean, peak


def _unseen(week: WeekUsage, spells: Iterable[RunningSpell], seen: float, as_of: datetime) -> str:
    """What the factory did not see of the week."""
    assert week.interval.end is not None
    elapsed = (min(week.interval.end, as_of) - week.interval.start).total_seconds()
    lacking = [TO_DATE] if as_of < week.interval.end else []
    if elapsed - seen > UNSEEN_SECONDS:
        lacking.append(f"seen for {duration(seen)} of {duration(elapsed)}")
    blind = sum(spell.interval.seconds for spell in spells if not spell.complete)
    if blind:
        lacking.append(f"not whole for {duration(blind)}")
    return ", ".join(lacking)


def duration(seconds: float) -> str:
    """A length of time for people: ``40 s``, ``12 min``, ``31.5 h``."""
    if seconds < 2 * 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * SECONDS_PER_HOUR else f"{hours(seconds):.1f} h"
