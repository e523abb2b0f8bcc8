"""How many jobs of a month a source says it sent, beside how many are here.

Source: APEL's sync messages, which count the jobs of a site and submit host by the month they ended in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from opengoc.accounting import table
from opengoc.accounting.model import Kind
from opengoc.base.interval import Interval
from opengoc.store.engine import DuckDb
from opengoc.store.lake import Lake

if TYPE_CHECKING:
    from ibis import Table

_COLUMNS = ["source", "site", "kind", "submit_host", "instance", "ended_at", "jobs", "known_from"]
_JOBS = (Kind.BATCH.value, Kind.PILOT.value, Kind.PAYLOAD.value)


@dataclass(frozen=True, kw_only=True)
class Synced:
    """One count of a source, beside ours."""

    source: str
    site: str
    #: None: of all submit hosts of the site.
    host: str | None
    month: Interval
    #: Jobs that it sent, by its own count.
    said: int
    #: Jobs of that month that are here.
    here: int
    told_at: datetime

    @property
    def fewer(self) -> bool:
        """Whether jobs that it sent are not here."""
        return self.here < self.said

    @property
    def differs(self) -> bool:
        """Whether the counts disagree; jobs that came after a count of the running month are none of it."""
        assert self.month.end is not None
        return self.fewer or (self.here > self.said and self.told_at >= self.month.end)

    @property
    def window(self) -> Interval:
        """The time that was counted."""
        assert self.month.end is not None
        return Interval(self.month.start, min(self.month.end, self.told_at))

    @property
    def words(self) -> str:
        """What does not fit, for people."""
        of = f"{self.site} {self.host}" if self.host else self.site
        return (
            f"{of} sent {self.said} jobs of {self.month.start:%Y-%m} by its own count, {self.here} are here"
        )


def compared(lake: Lake, window: Interval, *, as_of: datetime) -> list[Synced]:
    """Every count that is known of the months of a bounded window. Raises Temporary when the lake is away."""
    from opengoc.accounting import query

    assert window.end is not None
    months = Interval(_month(window.start).start, _month(window.end).end)
    table.declare(lake)
    with DuckDb(lake, table.TABLE) as engine:
        # Most installations get none: they are spared the count of all jobs.
        every = query.usage_table()
        told = every.filter(every.kind == Kind.SYNC.value).limit(1).select("kind")
        if not len(engine.ask(told, {})):
            return []
        standing = query.standing(months, as_of, columns=_COLUMNS)
        rows = engine.ask(_counts(standing), {}).to_pylist()
    return list(_beside(rows))


def _counts(standing: Table) -> Table:
    """Jobs by source, site, submit host, month and kind."""
    import ibis

    counted = standing.filter(standing.kind.isin((*_JOBS, Kind.SUMMARY.value, Kind.SYNC.value)))
    # A count without a submit host is of the whole site.
    named = counted.kind == Kind.SYNC.value
    host = named.ifelse(counted.submit_host, ibis.coalesce(counted.submit_host, counted.instance))
    keys = {"source": counted.source, "site": counted.site, "host": host, "kind": counted.kind}
    return counted.group_by(**keys, month=counted.ended_at.truncate("M").cast("date")).aggregate(
        jobs=ibis.coalesce(counted.jobs, 1).sum().cast("int64"), told_at=counted.known_from.max()
    )


def _beside(rows: Iterable[Mapping[str, Any]]) -> Iterator[Synced]:
    alike: defaultdict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for each in rows:
        alike[each["source"], each["site"], each["month"]].append(each)
    for told in (each for part in alike.values() for each in part if each["kind"] == Kind.SYNC.value):
        same = alike[told["source"], told["site"], told["month"]]
        own = [each for each in same if told["host"] in (None, each["host"])]
        jobs = sum(each["jobs"] for each in own if each["kind"] in _JOBS)
        # A source that sums its jobs up sends no jobs; one that sends both sends the same ones twice.
        summed = sum(each["jobs"] for each in own if each["kind"] == Kind.SUMMARY.value)
        yield Synced(
            source=told["source"],
            site=told["site"] or "",
            host=told["host"],
            month=_month(datetime.combine(told["month"], datetime.min.time(), UTC)),
            said=told["jobs"],
            here=max(jobs, summed),
            told_at=told["told_at"].astimezone(UTC),
        )


def _month(moment: datetime) -> Interval:
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Interval(first, (first + timedelta(days=32)).replace(day=1))
