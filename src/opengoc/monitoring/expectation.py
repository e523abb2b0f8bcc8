"""Which metrics are expected of which service, and when: facts, so that a new check leaves the past alone.

A metric is expected from the moment its check appears, or from the first result that anybody sent about it,
until its check goes away or somebody retires it. It may come back. Outside these spells it counts for
nothing; within them its silence is MISSING.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import canonical_json
from opengoc.base.instant import format_instant, parse_instant
from opengoc.base.interval import Interval
from opengoc.monitoring.model import Target
from opengoc.monitoring.terms import FOREVER
from opengoc.monitoring.timeline import Spans
from opengoc.store import facts
from opengoc.store.facts import Assertion, Fact

#: Kind of the facts; the key is [resource, service, metric] as JSON.
KIND = "expected-metric"
#: Source of facts that follow this house's own checks; others follow results, or a person.
CHECKS, RESULTS, OPERATOR = "checks", "results", "operator"

#: Resource, service and metric.
Key = tuple[str, str, str]


def expected(conn: Connection, *, known_at: datetime | None = None) -> dict[Target, dict[str, Spans]]:
    """When each metric is expected, as known at ``known_at`` (None: now)."""
    found: dict[Target, dict[str, Spans]] = {}
    for fact in facts.standing(conn, KIND, known_at=known_at):
        target, metric = target_of(fact)
        found.setdefault(target, {})[metric] = spans_of(fact)
    return found


def spells(
    conn: Connection, *, known_at: datetime | None = None
) -> dict[Key, list[tuple[datetime, datetime | None]]]:
    """The same by resource, service and metric: start and end of each spell; the last may have no end."""
    standing = facts.standing(conn, KIND, known_at=known_at)
    return {_key(fact): [(start, end) for start, end in spells_of(fact)] for fact in standing}


def expect(
    conn: Connection,
    since: Mapping[Key, datetime],
    *,
    source: str,
    who: str,
    known_at: datetime | None = None,
) -> int:
    """Expect these metrics from their moments on; gives how many facts changed.

    An earlier moment than the one that stands moves it; a retired metric is expected again from a moment
    after its end. What is expected does not depend on the order in which the moments are told.
    """
    standing = {fact.key: fact for fact in facts.standing_of(conn, KIND, map(canonical_json, since))}
    new, changed = [], 0
    for key, moment in sorted(since.items()):
        at = moment.replace(microsecond=0)
        fact = standing.get(canonical_json(key))
        if fact is None:
            value, valid = _value(key, [[at, None]])
            new.append(Assertion(key=canonical_json(key), value=value, valid=valid))
            continue
        told = spells_of(fact)
        if at < told[0][0]:
            told[0][0] = at
        elif told[-1][1] is not None and at >= told[-1][1]:
            told.append([at, None])
        else:
            continue
        value, valid = _value(key, told)
        facts.supersede(
            conn,
            kind=KIND,
            key=fact.key,
            value=value,
            valid=valid,
            who=who,
            why="an earlier result" if source == RESULTS else "expected again",
            source=source,
            known_at=known_at,
            expect=fact.version,
        )
        changed += 1
    facts.assert_many(conn, kind=KIND, assertions=new, who=who, source=source, known_at=known_at)
    return changed + len(new)


def retire(
    conn: Connection, keys: Iterable[Key], *, at: datetime, who: str, why: str, source: str = OPERATOR
) -> int:
    """Expect these metrics no longer from ``at`` on; gives how many changed.

    Raises InvalidInput for a metric that is not expected.
    """
    changed = 0
    for key in keys:
        fact = facts.get(conn, KIND, canonical_json(key))
        if fact is None:
            raise InvalidInput("metric", "/".join(key), "is not expected; see `goc probe expected`")
        told = spells_of(fact)
        if told[-1][1] is not None or at <= told[-1][0]:
            continue
        told[-1][1] = at.replace(microsecond=0)
        value, valid = _value(key, told)
        facts.supersede(
            conn,
            kind=KIND,
            key=fact.key,
            value=value,
            valid=valid,
            who=who,
            why=why,
            source=source,
            expect=fact.version,
        )
        changed += 1
    return changed


def follow_checks(
    conn: Connection, checks: Collection[Key], *, complete: bool, now: datetime, who: str
) -> int:
    """Expect what the house's own checks are for, from now on, and no longer what they were for.

    ``complete`` False (a file of checks could not be read): nothing is retired. Gives how many changed.
    """
    standing = facts.standing(conn, KIND)
    going = {_key(fact) for fact in standing if fact.source == CHECKS and spells_of(fact)[-1][1] is None}
    open_ones = {_key(fact) for fact in standing if spells_of(fact)[-1][1] is None}
    changed = expect(conn, {key: now for key in checks if key not in open_ones}, source=CHECKS, who=who)
    if complete:
        gone = sorted(going - set(checks))
        changed += retire(conn, gone, at=now, who=who, why="no check is for it any more", source=CHECKS)
    return changed


def target_of(fact: Fact) -> tuple[Target, str]:
    """The target and the metric that a fact is about, taken back or not."""
    resource, service, metric = _key(fact)
    return Target(resource, service), metric


def spans_of(fact: Fact) -> Spans:
    """When the fact says that its metric is expected; a fact taken back: never."""
    if fact.value is None:
        return ()
    return tuple(
        (int(start.timestamp()), FOREVER if end is None else int(end.timestamp()))
        for start, end in spells_of(fact)
    )


def spells_of(fact: Fact) -> list[list[Any]]:
    """[start, end] of each spell, in order; the end of the last may be None."""
    return [
        [parse_instant(start), None if end is None else parse_instant(end)]
        for start, end in (fact.value or {})["spells"]
    ]


def _key(fact: Fact) -> Key:
    resource, service, metric = json.loads(fact.key)
    return resource, service, metric


def _value(key: Key, told: list[list[Any]]) -> tuple[dict[str, Any], Interval]:
    written = [[format_instant(start), None if end is None else format_instant(end)] for start, end in told]
    value = {"resource": key[0], "service": key[1], "metric": key[2], "spells": written}
    return value, Interval(told[0][0], told[-1][1])
