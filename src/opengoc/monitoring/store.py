"""Where probe results are kept: in the lake, every one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy

from opengoc.base.errors import Conflict
from opengoc.base.instant import require_utc
from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring import batches, expectation
from opengoc.monitoring.current import follow
from opengoc.monitoring.model import ProbeResult, RunOutcome, Status, Target
from opengoc.monitoring.profile import CarriedDaily, FreshFor
from opengoc.monitoring.table import GRAVITY_SQL, SCHEMA, TABLE, rows
from opengoc.monitoring.timeline import GRAVITY, Reading, Sample
from opengoc.monitoring.weighed import BY_GRAVITY, Numbers, Weighed, weighed
from opengoc.store.database import Database
from opengoc.store.lake import Lake

_TRIES = 5


def declare(lake: Lake) -> None:
    """Say what the table looks like; call once on an open lake before the other functions."""
    lake.declare(TABLE, SCHEMA)


def record(
    lake: Lake,
    database: Database,
    results: Sequence[ProbeResult],
    *,
    batch_id: str,
    known_at: datetime,
    who: str,
) -> bool:
    """Keep one run's results, and bring the facts of status along; False when the batch was in already.

    Safe to repeat after a crash at any point. Raises Temporary when lake or database cannot be written now.
    """
    fresh = keep(lake, database, results, batch_id=batch_id, known_at=known_at, who=who)
    if results:
        touched = {(r.resource, r.service, r.metric) for r in results}
        follow(lake, database, touched, since=min(r.at for r in results), known_at=known_at, who=who)
    return fresh


def keep(
    lake: Lake,
    database: Database,
    results: Sequence[ProbeResult],
    *,
    batch_id: str,
    known_at: datetime,
    who: str,
) -> bool:
    """``record`` without bringing the facts of status along: ``follow`` does that, for many batches at once.

    1. Expect from now on what answers for the first time; say which days the batch touches.
    2. Put it into the lake. 3. Say that it is in.
    """
    if not results:
        return False
    days = {(r.resource, _midnight(r.at)) for r in results}
    for attempt in range(_TRIES):
        try:
            with database.begin() as conn:
                expectation.expect(
                    conn, _first_heard(results), source=expectation.RESULTS, who=who, known_at=known_at
                )
                batches.tell(conn, batch_id, days, arrived=False, now=known_at)
            break
        except Conflict:
            # Somebody else heard of the same metric at the same moment.
            if attempt == _TRIES - 1:
                raise
    fresh = lake.append(TABLE, rows(results, known_at), batch_id=batch_id, partition_by=["day"])
    with database.begin() as conn:
        batches.tell(conn, batch_id, days, arrived=True, now=known_at)
    return fresh


def _first_heard(results: Iterable[ProbeResult]) -> dict[expectation.Key, datetime]:
    first: dict[expectation.Key, datetime] = {}
    for result in results:
        key = (result.resource, result.service, result.metric)
        first[key] = min(result.at, first.get(key, result.at))
    return first


def _midnight(moment: datetime) -> int:
    second = int(moment.timestamp())
    return second - second % SECONDS_PER_DAY


def results(lake: Lake, window: Interval, *, as_of: datetime | None = None) -> list[ProbeResult]:
    """Results had within the window that were known at ``as_of`` (None: now), oldest first, each once."""
    where, params = _within(window, as_of)
    found = lake.query(
        f"SELECT DISTINCT * EXCLUDE (known_at, day) FROM {TABLE} WHERE {where}"
        " ORDER BY probed_at, resource, service, metric, status",
        params,
        tables=[TABLE],
    )
    return [_result(row) for row in found.to_pylist()]


def samples(
    lake: Lake, window: Interval, *, as_of: datetime | None = None, table_version: int | None = None
) -> dict[Target, dict[str, list[Sample]]]:
    """The same results as plain (second, status) by target and metric: what timelines are made of."""
    where, params = _within(window, as_of)
    found = lake.query(
        "SELECT resource, service, metric,"
        " list(epoch(probed_at)::BIGINT) AS seconds, list(status) AS statuses"
        f" FROM {TABLE} WHERE {where} GROUP BY ALL",
        params,
        tables=[TABLE],
        as_of_version=table_version,
    )
    named = {status.value: status for status in Status}
    by_target: defaultdict[Target, dict[str, list[Sample]]] = defaultdict(dict)
    for row in found.to_pylist():
        got = [(at, named[status]) for at, status in zip(row["seconds"], row["statuses"], strict=True)]
        by_target[Target(row["resource"], row["service"])][row["metric"]] = got
    return dict(by_target)


def count_by_resource(
    lake: Lake,
    window: Interval,
    *,
    table_version: int | None = None,
    known_after: datetime | None = None,
) -> Counter[str]:
    """How many results about each resource a version of the table has (None: the newest)."""
    where, params = _within(window, None)
    if known_after is not None:
        where += " AND known_at > $known_after"
        params["known_after"] = known_after
    found = lake.query(
        f"SELECT resource, count(*) AS results FROM {TABLE} WHERE {where} GROUP BY resource",
        params,
        tables=[TABLE],
        as_of_version=table_version,
    )
    return Counter({row["resource"]: row["results"] for row in found.to_pylist()})


def readings(
    lake: Lake,
    window: Interval,
    standing: FreshFor | CarriedDaily,
    *,
    as_of: datetime | None = None,
    table_version: int | None = None,
    resources: Collection[str] | None = None,
) -> dict[Target, dict[str, list[Reading]]]:
    """The same results put together for a profile: few, whatever their number, where little changes.

    ``resources``: of these alone.
    """
    where, params = _within(window, as_of)
    if resources is not None:
        where += " AND list_contains($resources, resource)"
        params["resources"] = sorted(resources)
    found = lake.query(
        # Strings are grouped once; all else is done on numbers.
        f"SELECT resource, service, metric, list({_WEIGHT_SQL}) AS weights FROM {TABLE} WHERE {where}"
        " GROUP BY ALL",
        params,
        tables=[TABLE],
        as_of_version=table_version,
    )
    first, last, gravity, counts = _runs(weighed(found.column("weights")), standing)
    # One conversion instead of one for each metric.
    states = [BY_GRAVITY[rank] for rank in gravity.tolist()]
    got = list(zip(first.tolist(), last.tolist(), states, strict=True))
    by_target: dict[Target, dict[str, list[Reading]]] = {}
    names = [found.column(name).to_pylist() for name in ("resource", "service", "metric")]
    begin = 0
    for resource, service, metric, count in zip(*names, counts.tolist(), strict=True):
        by_target.setdefault(Target(resource, service), {})[metric] = got[begin : begin + count]
        begin += count
    return by_target


#: The weight of a result, in seconds.
_WEIGHT_SQL = f"epoch(probed_at)::BIGINT * 8 + {GRAVITY_SQL}"


def _runs(results: Weighed, standing: FreshFor | CarriedDaily) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """First and last second and gravity of every reading, metric by metric, and how many each metric has.

    One result a second counts, the graver; runs of equal ones are readings, cut where none may be joined.
    """
    # The last of a second is the gravest.
    gravest = numpy.append((numpy.diff(results.metric) != 0) | (numpy.diff(results.at) != 0), True)
    gravest = gravest[: len(results.at)]
    metric, heard, gravity = results.metric[gravest], results.at[gravest], results.gravity[gravest]
    if isinstance(standing, FreshFor):
        apart = numpy.diff(heard) >= standing.seconds
        apart |= gravity[1:] == GRAVITY[Status.UNKNOWN]
    else:
        apart = numpy.diff(heard // SECONDS_PER_DAY) != 0
    apart |= (numpy.diff(gravity) != 0) | (numpy.diff(metric) != 0)
    ends = numpy.append(apart, True)[: len(heard)]
    begins = numpy.append(True, apart)[: len(heard)]
    counts = numpy.bincount(metric[begins], minlength=len(results.lengths))
    return heard[begins], heard[ends], gravity[begins], counts


def _within(window: Interval, as_of: datetime | None) -> tuple[str, dict[str, Any]]:
    where = "probed_at >= $start AND day >= $first_day"
    params: dict[str, Any] = {"start": window.start, "first_day": window.start.date()}
    if window.end is not None:
        where += " AND probed_at < $end AND day <= $last_day"
        params |= {"end": window.end, "last_day": window.end.date()}
    if as_of is not None:
        where += " AND known_at <= $as_of AND probed_at <= $as_of"
        params["as_of"] = require_utc(as_of, "as_of")
    return where, params


def _result(row: dict[str, Any]) -> ProbeResult:
    status, outcome, at = Status(row.pop("status")), RunOutcome(row.pop("outcome")), row.pop("probed_at")
    return ProbeResult(**row, status=status, outcome=outcome, at=at.astimezone(UTC))
