"""The ledger: events seen, effects owed, cursors, leases. In the same database as the facts.

Every call takes the connection of a transaction, so that a fact, the effect it causes and the cursor it
came by are kept together or not at all. Outside of that transaction nothing of it is seen.

Life of an effect::

    owe ──> OWED ──claim──> CLAIMED ──settle──> SETTLED
              ^                │ └────abandon──> ABANDONED
              └──postpone──────┘
              (a claim whose lease ran out may be claimed again)

An effect is done at least once: a worker that dies between doing and settling does it again. Whoever
receives it can tell by ``Effect.idempotency_key``, the same at every attempt.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, and_, or_, select, true, update

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.ids import canonical_json, new_id
from opengoc.base.instant import format_instant, require_utc, utc_now
from opengoc.base.interval import Interval
from opengoc.store.schema import cursors, events, from_micros, insert_into, leases, to_micros
from opengoc.store.schema import effects as owed

#: Databases take only so many parameters in one statement.
_KEYS_AT_ONCE = 10_000


class Sighting(StrEnum):
    """What an event is to us."""

    #: Never seen.
    NEW = "new"
    #: Seen with this very content: a normal outcome, nothing to do.
    REPLAY = "replay"
    #: Seen with other content: its source corrected it.
    RESTATED = "restated"


class EffectState(StrEnum):
    """Where an effect is in its life."""

    OWED = "owed"
    CLAIMED = "claimed"
    SETTLED = "settled"
    ABANDONED = "abandoned"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Something to be done outside: a mail to send, a ticket to open."""

    #: What is to be done, e.g. ``mail``; one worker takes one kind.
    kind: str
    #: Which one, unique within its kind.
    key: str
    payload: Any
    state: EffectState
    #: How often it was claimed.
    attempts: int
    #: Why the last attempt failed; empty when none did.
    error: str
    #: Not to be done before this.
    due_at: datetime
    #: Until when the claim keeps others away; None while not claimed.
    claimed_until: datetime | None
    #: Names the claim, so that one that was lost cannot settle; None before the first.
    token: str | None
    settled_at: datetime | None

    @property
    def idempotency_key(self) -> str:
        """The same at every attempt: hand it to whoever receives the effect."""
        return f"{self.kind}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to be the only one, for a while."""

    name: str
    holder: str
    expires_at: datetime
    #: Grows whenever the lease is taken: of two that believe they hold it, the larger one does.
    fence: int


def fingerprint(conn: Connection, source: str, event_id: str) -> str | None:
    """The digest of an event's content as ``source`` last showed it; None where it never did."""
    one = select(events.c.fingerprint).where(events.c.source == source, events.c.event_id == event_id)
    found: str | None = conn.execute(one).scalar_one_or_none()
    return found


def saw(conn: Connection, source: str, event_id: str, fingerprint: str) -> Sighting:
    """Note that ``source`` showed the event, and tell whether it did before.

    ``fingerprint`` is a digest of the content; the last one seen counts, so content that goes back to what it
    was is RESTATED again. Of two transactions that see the same event at once, exactly one gets NEW.
    """
    added = conn.execute(
        insert_into(conn, events)
        .values(source=source, event_id=event_id, fingerprint=fingerprint, restated=0)
        .on_conflict_do_nothing()
        .returning(events.c.event_id)
    )
    if added.first() is not None:
        return Sighting.NEW
    # An UPDATE waits for the other transaction and then looks again, so of two alike only one restates.
    restated = conn.execute(
        update(events)
        .where(events.c.source == source, events.c.event_id == event_id, events.c.fingerprint != fingerprint)
        .values(fingerprint=fingerprint, restated=events.c.restated + 1)
        .returning(events.c.event_id)
    )
    return Sighting.REPLAY if restated.first() is None else Sighting.RESTATED


def owe(conn: Connection, *, kind: str, key: str, payload: Any, due_at: datetime | None = None) -> None:
    """Owe an effect, once: when it is owed or done already, nothing changes and the first payload stands.

    Not done before ``due_at``, by default now.
    """
    due = require_utc(due_at, "due_at") if due_at is not None else utc_now()
    new = insert_into(conn, owed).values(
        kind=kind,
        key=key,
        payload=_to_text(f"effect {kind} {key}", payload),
        state=EffectState.OWED.value,
        attempts=0,
        error="",
        due_at=to_micros(due),
    )
    conn.execute(new.on_conflict_do_nothing())


def claim(
    conn: Connection,
    kind: str,
    *,
    now: datetime,
    limit: int,
    lease_seconds: float,
    keys: Collection[str] | None = None,
) -> list[Effect]:
    """Up to ``limit`` effects that are due, the longest due first, claimed for ``lease_seconds``.

    With ``keys`` of those alone.

    Claims do not wait for one another and never give the same effect twice while its lease runs. Commit the
    claim before doing the effect: until then others cannot see it, and on SQLite nobody else can write.
    """
    moment = to_micros(require_utc(now, "now"))
    free = or_(
        and_(owed.c.state == EffectState.OWED.value, owed.c.due_at <= moment),
        and_(owed.c.state == EffectState.CLAIMED.value, owed.c.claimed_until <= moment),
    )
    chosen = (
        select(owed.c.id)
        .where(owed.c.kind == kind, free, true() if keys is None else owed.c.key.in_(sorted(keys)))
        .order_by(owed.c.due_at, owed.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = conn.execute(chosen).scalars().all()
    until = require_utc(now, "now") + timedelta(seconds=lease_seconds)
    claimed = (
        update(owed)
        .where(owed.c.id.in_(ids))
        .values(
            state=EffectState.CLAIMED.value,
            attempts=owed.c.attempts + 1,
            claimed_until=to_micros(until),
            token=new_id("claim"),
        )
        .returning(owed)
    )
    rows = conn.execute(claimed).all()
    return [_effect(row) for row in sorted(rows, key=lambda row: (row.due_at, row.id))]


def settle(conn: Connection, effect: Effect, *, now: datetime) -> None:
    """The effect is done, for good.

    Raises Conflict when the claim was lost: its lease ran out and another worker took it (and will do it
    again).
    """
    done = {"state": EffectState.SETTLED.value, "settled_at": to_micros(require_utc(now, "now")), "error": ""}
    _end_claim(conn, effect, done)


def postpone(conn: Connection, effect: Effect, *, error: str, retry_at: datetime) -> None:
    """The attempt failed: keep why, and owe it again from ``retry_at``. Raises Conflict like ``settle``."""
    due = to_micros(require_utc(retry_at, "retry_at"))
    _end_claim(conn, effect, {"state": EffectState.OWED.value, "due_at": due, "error": error})


def abandon(conn: Connection, effect: Effect, *, error: str) -> None:
    """The effect cannot be done: keep why, and do not try again. Raises Conflict like ``settle``."""
    _end_claim(conn, effect, {"state": EffectState.ABANDONED.value, "error": error})


def effects(
    conn: Connection,
    kind: str,
    state: EffectState | None = None,
    *,
    settled: Interval | None = None,
    due: Interval | None = None,
    keys: Collection[str] | None = None,
    limit: int | None = None,
) -> list[Effect]:
    """The effects of a kind, in one state or in any, in the order they were owed.

    Of a long history take what is needed: those settled or due within an interval, those of certain keys, the
    first. With a state, those due are found without a walk through all of that state.
    """
    chosen = select(owed).where(owed.c.kind == kind)
    if due is not None:
        chosen = chosen.where(owed.c.due_at >= to_micros(due.start))
        if due.end is not None:
            chosen = chosen.where(owed.c.due_at < to_micros(due.end))
    if settled is not None:
        chosen = chosen.where(owed.c.settled_at >= to_micros(settled.start))
        if settled.end is not None:
            chosen = chosen.where(owed.c.settled_at < to_micros(settled.end))
    if keys is None:
        if state is not None:
            chosen = chosen.where(owed.c.state == state.value)
        return [_effect(row) for row in conn.execute(chosen.order_by(owed.c.id).limit(limit))]
    # The state is compared here: SQLite would walk through all of that state rather than look up the keys.
    wanted = sorted(keys)
    parts = [wanted[n : n + _KEYS_AT_ONCE] for n in range(0, len(wanted), _KEYS_AT_ONCE)]
    rows = [row for part in parts for row in conn.execute(chosen.where(owed.c.key.in_(part)))]
    found = [_effect(row) for row in sorted(rows, key=lambda row: int(row.id))]
    return [effect for effect in found if state is None or effect.state is state][:limit]


def cursor(conn: Connection, name: str) -> Any | None:
    """How far a reader came: the JSON value last kept under ``name``, or None before the first."""
    found = conn.execute(select(cursors.c.value).where(cursors.c.name == name)).scalar_one_or_none()
    return None if found is None else json.loads(found)


def move_cursor(conn: Connection, name: str, value: Any, *, expect: Any | None) -> None:
    """Keep ``value`` where ``expect`` stood (None: nothing yet). Raises Conflict where another stands."""
    if value is None:
        raise InvalidInput(f"cursor {name}", value, "must not be None, which says that nothing was read yet")
    content = _to_text(f"cursor {name}", value)
    if expect is None:
        first = insert_into(conn, cursors).values(name=name, value=content).on_conflict_do_nothing()
        moved = conn.execute(first.returning(cursors.c.name)).first()
    else:
        standing = and_(cursors.c.name == name, cursors.c.value == _to_text(f"cursor {name}", expect))
        onward = update(cursors).where(standing).values(value=content)
        moved = conn.execute(onward.returning(cursors.c.name)).first()
    if moved is None:
        raise Conflict(
            f"cursor {name} is at {cursor(conn, name)!r}, not at {expect!r}: another reader moved it"
        )


def take_lease(conn: Connection, name: str, holder: str, *, now: datetime, ttl_seconds: float) -> Lease:
    """Take the lease until ``now + ttl_seconds``; the same holder takes it again at any time.

    Raises Conflict while another holds it. Expiry trusts the clocks of the holders: keep ``ttl_seconds`` well
    above their difference, and compare ``fence`` where two doing it at once would harm.
    """
    moment = require_utc(now, "now")
    expires_at = to_micros(moment + timedelta(seconds=ttl_seconds))
    first = insert_into(conn, leases).values(name=name, holder=holder, expires_at=expires_at, fence=1)
    taken = first.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={"holder": holder, "expires_at": expires_at, "fence": leases.c.fence + 1},
        where=or_(leases.c.holder == holder, leases.c.expires_at <= to_micros(moment)),
    )
    row = conn.execute(taken.returning(leases)).one_or_none()
    if row is None:
        raise _held(conn, name)
    return _lease(row)


def renew(conn: Connection, lease: Lease, *, now: datetime, ttl_seconds: float) -> Lease:
    """The same lease, until ``now + ttl_seconds``; also after it ran out, as long as nobody took it.

    Raises Conflict when it was taken or released since.
    """
    expires_at = to_micros(require_utc(now, "now") + timedelta(seconds=ttl_seconds))
    renewed = update(leases).where(_still_mine(lease)).values(expires_at=expires_at).returning(leases)
    row = conn.execute(renewed).one_or_none()
    if row is None:
        raise _held(conn, lease.name)
    return _lease(row)


def release(conn: Connection, lease: Lease) -> None:
    """Let go of a lease, so that another need not wait; nothing happens when it was lost already."""
    # The row stays, for its fence must go on growing.
    conn.execute(
        update(leases).where(_still_mine(lease)).values(holder="", expires_at=0, fence=leases.c.fence + 1)
    )


def _end_claim(conn: Connection, effect: Effect, values: dict[str, Any]) -> None:
    mine = and_(
        owed.c.kind == effect.kind,
        owed.c.key == effect.key,
        owed.c.state == EffectState.CLAIMED.value,
        owed.c.token == effect.token,
    )
    if conn.execute(update(owed).where(mine).values(claimed_until=None, **values)).rowcount != 1:
        raise Conflict(f"effect {effect.idempotency_key} is not claimed by this worker any more: leave it")


def _still_mine(lease: Lease) -> Any:
    return and_(leases.c.name == lease.name, leases.c.holder == lease.holder, leases.c.fence == lease.fence)


def _held(conn: Connection, name: str) -> Conflict:
    row = conn.execute(select(leases).where(leases.c.name == name)).one_or_none()
    if row is None or not row.holder:
        return Conflict(f"lease {name} is not held any more: take it again")
    until = format_instant(from_micros(row.expires_at))
    return Conflict(f"lease {name} is held by {row.holder} until {until}: wait, or stop that process")


def _to_text(where: str, value: Any) -> str:
    try:
        return canonical_json(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(where, value, f"must be JSON values ({error})") from error


def _effect(row: Row[Any]) -> Effect:
    return Effect(
        kind=row.kind,
        key=row.key,
        payload=json.loads(row.payload),
        state=EffectState(row.state),
        attempts=row.attempts,
        error=row.error,
        due_at=from_micros(row.due_at),
        claimed_until=None if row.claimed_until is None else from_micros(row.claimed_until),
        token=row.token,
        settled_at=None if row.settled_at is None else from_micros(row.settled_at),
    )


def _lease(row: Row[Any]) -> Lease:
    return Lease(name=row.name, holder=row.holder, expires_at=from_micros(row.expires_at), fence=row.fence)
