"""The current status of every metric: each change of it is a fact, the newest answer is in the lake.

The lake is the truth; the facts follow from it and are derived again with every batch, so that a process
killed between the two leaves nothing wrong for longer than one cycle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy
from sqlalchemy import Connection

from opengoc.base.errors import Conflict
from opengoc.base.ids import canonical_json
from opengoc.base.instant import format_instant, parse_instant, require_utc
from opengoc.base.interval import Interval
from opengoc.monitoring.model import CurrentStatus, RunOutcome, Status, Target
from opengoc.monitoring.table import GRAVITY_SQL, TABLE
from opengoc.monitoring.weighed import BY_GRAVITY, Weighed, weighed
from opengoc.store.database import Database
from opengoc.store.facts import Assertion, Fact, assert_many, standing, supersede
from opengoc.store.lake import Lake

#: Kind of the facts; the key is [resource, service, metric] as JSON.
STATUS_FACT = "probe-status"

#: How far back the newest answer of a metric is looked for in the lake; older ones are told by their fact.
NEWEST_WITHIN = timedelta(days=2)

_TRIES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


# Of several answers at one time the graver counts, as in timelines: hence the weight.
_NEWEST_SQL = f"""
WITH weighed AS (
    SELECT resource, service, metric, summary, outcome, epoch_us(probed_at) * 8 + {GRAVITY_SQL} AS weight
    FROM {TABLE}
    WHERE probed_at >= $oldest AND day >= $oldest_day AND probed_at <= $as_of AND known_at <= $as_of
)
SELECT resource, service, metric, list(weight) AS weights, max_by(summary, weight) AS summary,
       max_by(outcome, weight) AS outcome
FROM weighed GROUP BY ALL
"""


def _newest(lake: Lake, oldest: datetime, as_of: datetime) -> list[_Newest]:
    params = {"oldest": oldest, "oldest_day": oldest.date(), "as_of": as_of}
    found = lake.query(_NEWEST_SQL, params, tables=[TABLE])
    if not len(found):
        return []
    at, since, gravity, exact = _stretches(weighed(found.column("weights")))
    return [
        _Newest(
            key=(row["resource"], row["service"], row["metric"]),
            status=BY_GRAVITY[gravity[place]],
            at=_EPOCH + timedelta(microseconds=at[place]),
            summary=row["summary"],
            outcome=RunOutcome(row["outcome"]),
            since=_EPOCH + timedelta(microseconds=since[place]),
            since_is_exact=exact[place],
        )
        for place, row in enumerate(found.drop_columns(["weights"]).to_pylist())
    ]


def _stretches(results: Weighed) -> tuple[list[int], list[int], list[int], list[bool]]:
    """Of each metric: time and gravity of its newest result, the first time it said so since it said
    something else, in microseconds, and whether it ever did say something else."""
    ends = results.lengths.cumsum()
    begins = ends - results.lengths
    at, gravity = results.at[ends - 1], results.gravity[ends - 1]
    place = numpy.arange(len(results.at))
    other = results.gravity != gravity[results.metric]
    turned = numpy.where(other & (results.at < at[results.metric]), place, -1)
    last_turned = numpy.maximum.reduceat(turned, begins)
    exact = last_turned >= 0
    turned_at = numpy.where(exact, results.at[last_turned], results.at.min() - 1)
    since = numpy.where(~other & (results.at > turned_at[results.metric]), place, len(place))
    first = results.at[numpy.minimum.reduceat(since, begins)]
    return at.tolist(), first.tolist(), gravity.tolist(), exact.tolist()


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
