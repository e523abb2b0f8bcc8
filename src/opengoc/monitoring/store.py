"""Where probe results are kept: every result in the lake, each change of a metric's status as a fact.

The lake is the truth; the facts follow from it and are derived again with every batch, so that a process
killed between the two leaves nothing wrong for longer than one cycle.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow
import pyarrow.compute
from sqlalchemy import Connection

from opengoc.base.errors import Conflict
from opengoc.base.ids import canonical_json
from opengoc.base.instant import format_instant, parse_instant, require_utc
from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring import batches, expectation
from opengoc.monitoring.model import CurrentStatus, ProbeResult, RunOutcome, Status, Target
from opengoc.monitoring.profile import CarriedDaily, FreshFor
from opengoc.monitoring.timeline import GRAVITY, Reading, Sample
from opengoc.store.database import Database
from opengoc.store.facts import Assertion, Fact, assert_many, standing, supersede
from opengoc.store.lake import Lake

TABLE = "probe_results"
#: Kind of the facts; the key is [resource, service, metric] as JSON.
STATUS_FACT = "probe-status"

_UTC_MICROS = pyarrow.timestamp("us", tz="UTC")
SCHEMA = pyarrow.schema(
    [
        ("metric", pyarrow.string()),
        ("resource", pyarrow.string()),
        ("service", pyarrow.string()),
        ("status", pyarrow.string()),
        # The result's ``at``, which is a word of SQL.
        ("probed_at", _UTC_MICROS),
        ("summary", pyarrow.string()),
        ("detail", pyarrow.string()),
        ("duration_seconds", pyarrow.float64()),
        ("agent", pyarrow.string()),
        ("outcome", pyarrow.string()),
        # When the house learned it: what ``as_of`` is compared with.
        ("known_at", _UTC_MICROS),
        # UTC day of ``probed_at``; the table is partitioned by it.
        ("day", pyarrow.date32()),
    ]
)

#: How far back the newest answer of a metric is looked for in the lake; older ones are told by their fact.
NEWEST_WITHIN = timedelta(days=2)

_TRIES = 5

_GRAVITY_SQL = "CASE status " + " ".join(f"WHEN '{s}' THEN {g}" for s, g in GRAVITY.items()) + " END"
_BY_GRAVITY = {gravity: status for status, gravity in GRAVITY.items()}


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


def follow(
    lake: Lake,
    database: Database,
    touched: Iterable[tuple[str, str, str]],
    *,
    since: datetime,
    known_at: datetime,
    who: str,
) -> int:
    """Bring the facts of these metrics to what the lake says; gives how many changed.

    An older result never replaces a newer one, because the lake decides which is the newest. Races with other
    writers are retried.
    """
    keys = set(touched)
    newest = [n for n in _newest(lake, since - NEWEST_WITHIN, known_at) if n.key in keys]
    for attempt in range(_TRIES):
        try:
            with database.begin() as conn:
                facts = {fact.key: fact for fact in standing(conn, STATUS_FACT)}
                new = [n for n in newest if canonical_json(n.key) not in facts]
                assertions = [
                    Assertion(key=canonical_json(n.key), value=_status_value(n), valid=Interval(n.since))
                    for n in new
                ]
                assert_many(conn, kind=STATUS_FACT, assertions=assertions, who=who, source=TABLE)
                known = ((facts.get(canonical_json(n.key)), n) for n in newest)
                changed = [_follow_one(conn, fact, n, who) for fact, n in known if fact is not None]
                return len(new) + sum(changed)
        except Conflict:
            if attempt == _TRIES - 1:
                raise
    return 0


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
    if isinstance(standing, FreshFor):
        cut = f"heard - heard_before >= {int(standing.seconds)} OR gravity = {GRAVITY[Status.UNKNOWN]}"
    else:
        cut = f"heard // {SECONDS_PER_DAY} <> heard_before // {SECONDS_PER_DAY}"
    found = lake.query(
        _READINGS_SQL.format(table=TABLE, where=where, gravity=_GRAVITY_SQL, cut=cut),
        params,
        tables=[TABLE],
        as_of_version=table_version,
    )
    by_target: dict[Target, dict[str, list[Reading]]] = {}
    names = [found.column(name).to_pylist() for name in ("resource", "service", "metric", "readings")]
    # All lists of a column end to end: one conversion instead of one for each metric.
    first, last, gravity = (
        pyarrow.compute.list_flatten(found.column(name)).to_numpy().tolist()
        for name in ("first", "last", "gravity")
    )
    states = [_BY_GRAVITY[rank] for rank in gravity]
    begin = 0
    for resource, service, metric, count in zip(*names, strict=True):
        end = begin + count
        got = list(zip(first[begin:end], last[begin:end], states[begin:end], strict=True))
        by_target.setdefault(Target(resource, service), {})[metric] = got
        begin = end
    return by_target


# One result a second, the graver; then runs of equal ones, cut where they must not be joined.
_READINGS_SQL = """
WITH each_second AS (
    SELECT resource, service, metric, epoch(probed_at)::BIGINT AS heard, max({gravity}) AS gravity
    FROM {table} WHERE {where} GROUP BY ALL
), preceded AS (
    SELECT *, lag(heard) OVER w AS heard_before, lag(gravity) OVER w AS before
    FROM each_second WINDOW w AS (PARTITION BY resource, service, metric ORDER BY heard)
), numbered AS (
    SELECT *, sum((before IS NULL OR gravity <> before OR {cut})::INT)
        OVER (PARTITION BY resource, service, metric ORDER BY heard) AS run
    FROM preceded
), runs AS (
    SELECT resource, service, metric, min(heard) AS first, max(heard) AS last, any_value(gravity) AS gravity
    FROM numbered GROUP BY resource, service, metric, run
)
SELECT resource, service, metric, count(*) AS readings, list(first ORDER BY first) AS first,
       list(last ORDER BY first) AS last, list(gravity ORDER BY first) AS gravity
FROM runs GROUP BY ALL
"""


def current(
    lake: Lake, database: Database, *, now: datetime, as_of: datetime | None = None
) -> list[CurrentStatus]:
    """The newest answer of every metric that ever answered, by target and metric.

    ``as_of``: as it was known at that time. How old an answer may be and still stand is for the caller to
    judge, from ``at``.
    """
    moment = require_utc(as_of or now, "as_of")
    lines = {n.key: n for n in _newest(lake, moment - NEWEST_WITHIN, moment)}
    with database.read() as conn:
        facts = standing(conn, STATUS_FACT, known_at=as_of)
    statuses = [_current(fact, lines.get(_key_of(fact))) for fact in facts]
    return sorted(statuses, key=lambda status: (status.target, status.metric))


@dataclass(frozen=True, kw_only=True)
class _Newest:
    key: tuple[str, str, str]
    status: Status
    at: datetime
    summary: str
    outcome: RunOutcome
    #: First answer of this status without another between, as far back as was looked.
    since: datetime
    #: Whether another status was seen before ``since``: then it is exact.
    since_is_exact: bool


# Of several answers in one second the graver counts, as in timelines: hence the weight.
_NEWEST_SQL = f"""
WITH weighed AS (
    SELECT *, epoch_us(probed_at) * 8 + {_GRAVITY_SQL} AS weight FROM {TABLE}
    WHERE probed_at >= $oldest AND day >= $oldest_day AND probed_at <= $as_of AND known_at <= $as_of
), newest AS (
    SELECT resource, service, metric, max(probed_at) AS newest_at, max_by(status, weight) AS status,
           max_by(summary, weight) AS summary, max_by(outcome, weight) AS outcome
    FROM weighed GROUP BY resource, service, metric
), turned AS (
    SELECT n.resource, n.service, n.metric, max(w.probed_at) AS turned_at
    FROM newest n JOIN weighed w USING (resource, service, metric)
    WHERE w.status <> n.status AND w.probed_at < n.newest_at
    GROUP BY ALL
)
SELECT n.resource, n.service, n.metric, n.newest_at, n.status, n.summary, n.outcome,
       any_value(t.turned_at) IS NOT NULL AS exact, min(w.probed_at) AS since
FROM newest n
JOIN weighed w USING (resource, service, metric)
LEFT JOIN turned t USING (resource, service, metric)
WHERE w.status = n.status AND (t.turned_at IS NULL OR w.probed_at > t.turned_at)
GROUP BY ALL
"""


def _newest(lake: Lake, oldest: datetime, as_of: datetime) -> list[_Newest]:
    params = {"oldest": oldest, "oldest_day": oldest.date(), "as_of": as_of}
    return [
        _Newest(
            key=(row["resource"], row["service"], row["metric"]),
            status=Status(row["status"]),
            at=row["newest_at"].astimezone(UTC),
            summary=row["summary"],
            outcome=RunOutcome(row["outcome"]),
            since=row["since"].astimezone(UTC),
            since_is_exact=row["exact"],
        )
        for row in lake.query(_NEWEST_SQL, params, tables=[TABLE]).to_pylist()
    ]


def _status_value(newest: _Newest) -> dict[str, Any]:
    return {
        "resource": newest.key[0],
        "service": newest.key[1],
        "metric": newest.key[2],
        "status": newest.status.value,
        "at": format_instant(newest.at),
        "summary": newest.summary,
        "outcome": newest.outcome.value,
    }


def _follow_one(conn: Connection, fact: Fact, newest: _Newest, who: str) -> bool:
    same = _value(fact)["status"] == newest.status.value
    if parse_instant(_value(fact)["at"]) > newest.at:
        return False
    if same and (not newest.since_is_exact or newest.since == fact.valid.start):
        return False
    supersede(
        conn,
        kind=STATUS_FACT,
        key=fact.key,
        value=_status_value(newest),
        valid=Interval(newest.since),
        who=who,
        why=f"was {_value(fact)['status']}",
        source=TABLE,
        expect=fact.version,
    )
    return True


def _current(fact: Fact, line: _Newest | None) -> CurrentStatus:
    value = _value(fact)
    metric, target = value["metric"], Target(value["resource"], value["service"])
    if line is None or line.at < parse_instant(value["at"]):
        return CurrentStatus(
            metric=metric,
            target=target,
            status=Status(value["status"]),
            since=fact.valid.start,
            at=parse_instant(value["at"]),
            summary=value["summary"],
            outcome=RunOutcome(value["outcome"]),
        )
    as_before = line.status.value == value["status"] and not line.since_is_exact
    return CurrentStatus(
        metric=metric,
        target=target,
        status=line.status,
        since=fact.valid.start if as_before else line.since,
        at=line.at,
        summary=line.summary,
        outcome=line.outcome,
    )


def _value(fact: Fact) -> dict[str, Any]:
    # Status facts are never retracted.
    assert fact.value is not None
    return fact.value


def _key_of(fact: Fact) -> tuple[str, str, str]:
    value = _value(fact)
    return value["resource"], value["service"], value["metric"]


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


def rows(batch: Sequence[ProbeResult], known_at: datetime) -> pyarrow.Table:
    """Results as rows of the table."""
    known_at = require_utc(known_at, "known_at")
    columns: dict[str, list[Any]] = {
        "metric": [r.metric for r in batch],
        "resource": [r.resource for r in batch],
        "service": [r.service for r in batch],
        "status": [r.status.value for r in batch],
        "probed_at": [r.at for r in batch],
        "summary": [r.summary for r in batch],
        "detail": [r.detail for r in batch],
        "duration_seconds": [r.duration_seconds for r in batch],
        "agent": [r.agent for r in batch],
        "outcome": [r.outcome.value for r in batch],
        "known_at": [known_at] * len(batch),
        "day": [r.at.date() for r in batch],
    }
    return pyarrow.table(columns, schema=SCHEMA)


def _result(row: dict[str, Any]) -> ProbeResult:
    status, outcome, at = Status(row.pop("status")), RunOutcome(row.pop("outcome")), row.pop("probed_at")
    return ProbeResult(**row, status=status, outcome=outcome, at=at.astimezone(UTC))
