"""Sessions of people at the pages: shared by every process that serves them, and gone when they end.

A session is known by a random id that its holder keeps; only a digest of it is here. It is no fact: nothing
of it is needed once it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from opengoc.base.ids import canonical_json
from opengoc.store.schema import from_micros, sessions, to_micros

#: More are not kept: the oldest ends.
MOST = 10_000


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A session that has not ended."""

    id_digest: str
    #: Name of a token, or id of a person: no name of one.
    who: str
    #: What its forms carry.
    csrf: str
    #: What it may do, as JSON values, or what that follows from.
    grounds: Mapping[str, Any]
    opened_at: datetime
    expires_at: datetime


def begin(conn: Connection, session: Opened) -> None:
    """Keep a session; those that are over go, and the oldest where there are too many."""
    conn.execute(delete(sessions).where(sessions.c.expires_at <= to_micros(session.opened_at)))
    over = conn.execute(select(func.count()).select_from(sessions)).scalar_one() + 1 - MOST
    if over > 0:
        oldest = select(sessions.c.id_digest).order_by(sessions.c.opened_at).limit(over)
        conn.execute(delete(sessions).where(sessions.c.id_digest.in_(oldest.scalar_subquery())))
    row = {
        "id_digest": session.id_digest,
        "who": session.who,
        "csrf": session.csrf,
        "grounds": canonical_json(dict(session.grounds)),
        "opened_at": to_micros(session.opened_at),
        "expires_at": to_micros(session.expires_at),
    }
    conn.execute(insert(sessions), row)


def find(conn: Connection, id_digest: str, *, now: datetime) -> Opened | None:
    """The session of this id; None where there is none, or it is over."""
    row = conn.execute(select(sessions).where(sessions.c.id_digest == id_digest)).one_or_none()
    return None if row is None or row.expires_at <= to_micros(now) else _opened(row)


def standing(conn: Connection, *, now: datetime) -> list[Opened]:
    """Every session that is not over, the newest first."""
    chosen = select(sessions).where(sessions.c.expires_at > to_micros(now))
    return [_opened(row) for row in conn.execute(chosen.order_by(sessions.c.opened_at.desc()))]


def end(conn: Connection, id_digest: str) -> None:
    """End one session; ending it twice is ending it once."""
    conn.execute(delete(sessions).where(sessions.c.id_digest == id_digest))


def end_all(conn: Connection, who: str) -> int:
    """End every session of somebody at once; gives how many."""
    return conn.execute(delete(sessions).where(sessions.c.who == who)).rowcount


def _opened(row: Row[Any]) -> Opened:
    return Opened(
        id_digest=row.id_digest,
        who=row.who,
        csrf=row.csrf,
        grounds=json.loads(row.grounds),
        opened_at=from_micros(row.opened_at),
        expires_at=from_micros(row.expires_at),
    )
