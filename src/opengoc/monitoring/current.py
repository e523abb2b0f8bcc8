"""The current status of every metric: each change of it is a fact, the newest answer is in the lake.

The lake is the truth; the facts follow from it and are derived again with every batch, so that a process
killed between the two leaves nothing wrong for longer than one cycle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from opengoc.base.errors import Conflict
from opengoc.base.ids import canonical_json
from opengoc.base.instant import format_instant, parse_instant, require_utc
from opengoc.base.interval import Interval
from opengoc.monitoring.model import CurrentStatus, RunOutcome, Status, Target
from opengoc.monitoring.table import GRAVITY_SQL, TABLE
from opengoc.store.database import Database
from opengoc.store.facts import Assertion, Fact, assert_many, standing, supersede
from opengoc.store.lake import Lake

#: Kind of the facts; the key is [resource, service, metric] as JSON.
STATUS_FACT = "probe-status"

#: How far back the newest answer of a metric is looked for in the lake; older ones are told by their fact.
NEWEST_WITHIN = timedelta(days=2)

_TRIES = 5


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


def current_statuses(
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
    SELECT *, epoch_us(probed_at) * 8 + {GRAVITY_SQL} AS weight FROM {TABLE}
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
