"""A/R of a month or week: sites and federations, figures with their evidence, from cells."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure
from opengoc.base.ids import canonical_json, digest
from opengoc.base.instant import YEARS
from opengoc.base.interval import Interval, week
from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring import argo, federation, store
from opengoc.monitoring.assess import assess, lacking_text
from opengoc.monitoring.availability import DayCount, Ratio, day_counts, over_days
from opengoc.monitoring.federation import Federation
from opengoc.monitoring.profile import Formula, Profile, Quirk
from opengoc.monitoring.refresh import Availability
from opengoc.monitoring.table import TABLE
from opengoc.store.database import Database
from opengoc.store.lake import Lake

_MONTH = re.compile(r"(\d{4})-(\d{2})")


def period(name: str) -> Interval:
    """The UTC month ``YYYY-MM`` or ISO week ``YYYY-Www``. Raises InvalidInput."""
    found = _MONTH.fullmatch(name)
    if found is None:
        return week(name)
    year, month = int(found[1]), int(found[2])
    try:
        if year not in YEARS:
            raise ValueError(name)
        start = datetime(year, month, 1, tzinfo=UTC)
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    except ValueError as error:
        raise InvalidInput("month", name, "must be a month such as 2026-10") from error
    return Interval(start, end)


@dataclass(frozen=True, kw_only=True)
class Period:
    """Counters of every site for each day of a period that is over at ``as_of``, or begun."""

    #: ``2026-10`` or ``2026-W47``.
    name: str
    window: Interval
    as_of: datetime
    profile: Profile
    #: By site, in order of day.
    days: Mapping[str, tuple[DayCount, ...]]
    federations: tuple[Federation, ...]
    #: SHA-256 of all inputs of each site's days, where every day is over.
    inputs: Mapping[str, str]
    table_version: int | None

    def ratio(self, site: str, formula: Formula) -> Ratio:
        """Seconds of a site's whole period."""
        return over_days(self.days[site], formula)

    def percent(self, site: str, formula: Formula) -> float | None:
        """A or R of a site: the ratio of the sums, unless the profile repeats ARGO's mean of days."""
        if Quirk.MEAN_OF_DAYS not in self.profile.quirks:
            return self.ratio(site, formula).percent
        fractions = []
        for count in self.days[site]:
            up = count.ratio(self.profile.availability)
            down = up.counted_seconds - count.ratio(self.profile.reliability).counted_seconds
            total = up.total_seconds
            unknown = (total - up.counted_seconds) / total
            fractions.append(
                argo.DailyFractions(up=up.up_seconds / total, down=down / total, unknown=unknown)
            )
        answer = argo.monthly(fractions)
        return answer.availability if formula == self.profile.availability else answer.reliability

    def figures(self) -> tuple[Figure, ...]:
        """Availability and reliability of every site and federation, in percent, by name."""
        formulas = {"availability": self.profile.availability, "reliability": self.profile.reliability}
        of_sites = [
            self._site_figure(name, site, formula)
            for site in sorted(self.days)
            for name, formula in formulas.items()
        ]
        of_federations = [
            self._federation_figure(name, each, formula)
            for each in self.federations
            for name, formula in formulas.items()
        ]
        return (*of_sites, *of_federations)

    def _site_figure(self, name: str, site: str, formula: Formula) -> Figure:
        ratio = self.ratio(site, formula)
        evidence = self._evidence() | {
            "up_seconds": ratio.up_seconds,
            "counted_seconds": ratio.counted_seconds,
            "known_seconds": ratio.known_seconds,
            "total_seconds": ratio.total_seconds,
            "inputs": self.inputs.get(site, ""),
        }
        percent = self.percent(site, formula) if ratio.counted_seconds else None
        if not ratio.known_seconds or percent is None:
            reason = (
                "in downtime for all of the time that is known"
                if ratio.known_seconds
                else "no probe result says anything about this period"
            )
            return Figure.missing(
                name,
                "percent",
                reason,
                as_of=self.as_of,
                dimensions={"site": site},
                evidence=evidence,
            )
        return Figure.known(
            name,
            percent,
            "percent",
            as_of=self.as_of,
            lacking=lacking_text(ratio),
            dimensions={"site": site},
            evidence=evidence,
        )

    def _federation_figure(self, name: str, of: Federation, formula: Formula) -> Figure:
        days = {site: [count.ratio(formula) for count in counts] for site, counts in self.days.items()}
        value = federation.percent(of, days, self.profile)
        evidence = self._evidence() | {"weights": dict(of.weights)}
        dimensions = {"federation": of.name}
        silent = sorted(s for s in of.weights if s not in days or not any(r.known_seconds for r in days[s]))
        if value is None:
            known = of.weights.keys() - silent
            reason = "no second of its sites counts" if known else "nothing is known of any of its sites"
            if known and not any(of.weights[site] + self.profile.weight_offset for site in known):
                reason = "those of its sites of which anything is known weigh 0"
            return Figure.missing(
                name, "percent", reason, as_of=self.as_of, dimensions=dimensions, evidence=evidence
            )
        return Figure.known(
            name,
            value,
            "percent",
            as_of=self.as_of,
            lacking=f"nothing is known of {', '.join(silent)}" if silent else "",
            dimensions=dimensions,
            evidence=evidence,
        )

    def _evidence(self) -> dict[str, object]:
        return {
            "profile": self.profile.name,
            "profile_version": self.profile.version,
            "profile_digest": self.profile.digest,
            "window": str(self.window),
            "table": TABLE,
            "table_version": self.table_version,
        }


def assess_period(
    lake: Lake,
    database: Database,
    profile: Profile,
    name: str,
    *,
    now: datetime,
    sites: Collection[str] | None = None,
    availability: Availability | None = None,
) -> Period:
    """The A/R of a period as known now; whole days come from cells, the day that runs from scratch.

    ``availability``: one that is kept open, where there is one. Raises InvalidInput for a name that is no
    month and no week.
    """
    store.declare(lake)
    window = period(name)
    assert window.end is not None
    version = lake.version(TABLE)
    start, end = int(window.start.timestamp()), int(window.end.timestamp())
    today = int(now.timestamp()) // SECONDS_PER_DAY * SECONDS_PER_DAY
    over = min(end, today)
    counts: defaultdict[str, list[DayCount]] = defaultdict(list)
    hashes: defaultdict[str, list[str]] = defaultdict(list)
    kept = availability or Availability(lake, database)
    if start < over:
        found = kept.days(profile, start=start, end=over, now=now, sites=sites)
        for (site, _), cell in sorted(found.items(), key=lambda item: item[0]):
            counts[site].append(cell.of_site)
            hashes[site].append(cell.inputs)
    with database.read() as conn:
        groups = federation.federations(conn)
        known = kept.circumstances(conn, window) if today < end and start < now.timestamp() else None
    if known is not None:
        running = Interval(max(window.start, datetime.fromtimestamp(today, UTC)), now + timedelta(seconds=1))
        assessed = assess(lake, known, window=running, profile=profile, as_of=now)
        for site, node in assessed.sites.items():
            if sites is None or site in sites:
                counts[site] += day_counts(node)
    return Period(
        name=name,
        window=window,
        as_of=now,
        profile=profile,
        days={site: tuple(each) for site, each in sorted(counts.items())},
        federations=() if sites is not None else groups,
        inputs={site: digest(canonical_json(each)) for site, each in hashes.items()},
        table_version=version,
    )
