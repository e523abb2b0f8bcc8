"""Downtimes from elsewhere: a history replayed with its own known times, and the feed of another registry.

Every call takes the connection of a transaction and keeps or loses its writes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, QuarantinedDowntime
from opengoc.registry.formats.downtime_events import DowntimeEvent, Op
from opengoc.registry.reading import decoded
from opengoc.registry.rows import encode
from opengoc.store import facts
from opengoc.store.facts import Fact

#: Source of facts that a feed of GOCDB states.
GOCDB = "gocdb"
_APART = "quarantined-downtime"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What was written, counted."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    cancelled: int = 0
    quarantined: int = 0


class _Count:
    def __init__(self) -> None:
        self.counts = dict.fromkeys(("added", "changed", "unchanged", "cancelled", "quarantined"), 0)

    def one(self, name: str) -> None:
        self.counts[name] += 1

    def taken(self) -> Taken:
        return Taken(**self.counts)


def replay(conn: Connection, events: Iterable[DowntimeEvent], *, who: str) -> Taken:
    """State a history as it was learned: every version is known from its own moment on.

    Deleted before its end is cancelled; after it, archived, which changes nothing. What ends before it starts
    is quarantined until it is corrected, and what stood before stays. Events must come in order of time;
    replaying the same history again changes nothing.
    """
    ids = _resource_ids(conn)
    heard = {kind: {fact.key: fact for fact in facts.standing(conn, kind)} for kind in ("downtime", _APART)}
    #: Of an earlier replay: what is not later than this was said then.
    said_until = {fact.key: fact.known_from for found in heard.values() for fact in found.values()}
    count = _Count()
    for event in events:
        if event.id in said_until and event.known_at <= said_until[event.id]:
            count.one("unchanged")
        else:
            _replay_one(conn, heard, event, ids, count, who)
    return count.taken()


def _replay_one(
    conn: Connection,
    heard: dict[str, dict[str, Fact]],
    event: DowntimeEvent,
    ids: Mapping[str, str],
    count: _Count,
    who: str,
) -> None:
    said: dict[str, Any] = {
        "who": who,
        "why": event.op.value,
        "source": event.source,
        "known_at": event.known_at,
    }
    standing, apart = heard["downtime"].get(event.id), heard[_APART].get(event.id)
    if event.op is Op.DELETE:
        if apart is not None:
            facts.retract(conn, kind=_APART, key=event.id, expect=apart.version, **said)
            del heard[_APART][event.id]
        if standing is None:
            return
        downtime = _decoded(standing)
        over = downtime.cancelled or event.known_at >= (downtime.interval.end or event.known_at)
        if over:
            count.one("unchanged")
            return
        _supersede(conn, heard, standing, replace(downtime, cancelled_at=event.known_at), said)
        count.one("cancelled")
    elif event.downtime is None:
        earlier = facts.history(conn, _APART, event.id)
        if any(version.known_from >= event.known_at for version in earlier):
            count.one("unchanged")
            return
        _quarantine(conn, heard, event, said)
        count.one("quarantined")
    else:
        if apart is not None:
            facts.retract(conn, kind=_APART, key=event.id, expect=apart.version, **said)
            del heard[_APART][event.id]
        downtime = replace(event.downtime, resource_id=ids.get(event.downtime.resource))
        if standing is not None:
            _supersede(conn, heard, standing, downtime, said)
            count.one("changed")
            return
        row = encode("downtime", downtime, {"resource": {}})
        valid = downtime.interval
        heard["downtime"][event.id] = facts.assert_fact(
            conn, kind="downtime", key=event.id, value=row, valid=valid, **said
        )
        count.one("added")


def _quarantine(
    conn: Connection, heard: dict[str, dict[str, Fact]], event: DowntimeEvent, said: dict[str, Any]
) -> None:
    apart = QuarantinedDowntime(
        id=event.id, group=event.group, file="", reasons=("ends before it starts",), entry=event.row
    )
    row = encode(_APART, apart, {})
    old = heard[_APART].get(event.id)
    if old is None:
        valid = Interval(event.known_at)
        new = facts.assert_fact(conn, kind=_APART, key=event.id, value=row, valid=valid, **said)
    else:
        new = facts.supersede(conn, kind=_APART, key=event.id, value=row, expect=old.version, **said)
    heard[_APART][event.id] = new


def take_feed(
    conn: Connection,
    downtimes: Mapping[str, Downtime],
    *,
    who: str,
    complete: bool = False,
    now: datetime | None = None,
) -> Taken:
    """Make the downtimes of another registry's feed stand; only what differs is written.

    ``complete``: the feed holds all there is, so that what is missing before its end is cancelled.
    """
    moment = utc_now() if now is None else now
    ids = _resource_ids(conn)
    standing = {fact.key: fact for fact in facts.standing(conn, "downtime") if fact.source == GOCDB}
    said: dict[str, Any] = {"who": who, "why": "told by the feed", "source": GOCDB}
    count = _Count()
    for key, told in downtimes.items():
        downtime = replace(told, resource_id=ids.get(told.resource))
        row = encode("downtime", downtime, {"resource": {}})
        old = standing.get(key)
        if old is None:
            facts.assert_fact(conn, kind="downtime", key=key, value=row, valid=downtime.interval, **said)
            count.one("added")
        elif old.value == row:
            count.one("unchanged")
        else:
            _supersede(conn, {"downtime": {}}, old, downtime, said)
            count.one("changed")
    for key in standing.keys() - downtimes.keys() if complete else ():
        downtime = _decoded(standing[key])
        if not downtime.cancelled and moment < (downtime.interval.end or moment):
            gone = said | {"why": "vanished from the feed before its end"}
            _supersede(conn, {"downtime": {}}, standing[key], replace(downtime, cancelled_at=moment), gone)
            count.one("cancelled")
    return count.taken()


def _resource_ids(conn: Connection) -> dict[str, str]:
    return {(fact.value or {})["name"]: fact.key for fact in facts.standing(conn, "resource")}


def _decoded(fact: Fact) -> Downtime:
    downtime: Downtime = decoded("downtime", fact.key, fact.value or {})
    return downtime


def _supersede(
    conn: Connection,
    heard: dict[str, dict[str, Fact]],
    fact: Fact,
    downtime: Downtime,
    said: dict[str, Any],
) -> None:
    heard["downtime"][fact.key] = facts.supersede(
        conn,
        kind="downtime",
        key=fact.key,
        value=encode("downtime", downtime, {"resource": {}}),
        valid=downtime.interval,
        expect=fact.version,
        **said,
    )
