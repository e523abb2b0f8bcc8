"""Batches of results that no cell knows yet: told before they go into the lake, and when they are in.

A process killed between the two leaves a batch that is told and did not arrive. Its days are computed again
at every refresh, as if it had, until it does or a day has passed: no result can come in unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from opengoc.base.ids import canonical_json
from opengoc.store.schema import ar_batches, to_micros

#: No batch is on its way for longer.
ON_THE_WAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch and the days of the resources that it has results about."""

    id: str
    arrived: bool
    #: Resource and first second of the UTC day.
    days: tuple[tuple[str, int], ...]
    #: Whether it has been on its way for too long to arrive.
    lost: bool


def tell(
    conn: Connection, batch: str, days: Iterable[tuple[str, int]], *, arrived: bool, now: datetime
) -> None:
    """Say that a batch is about to go into the lake, or that it has."""
    values = {
        "batch": batch,
        "arrived": int(arrived),
        "told_at": to_micros(now),
        "days": canonical_json(sorted(set(days))),
    }
    postgres = conn.dialect.name == "postgresql"
    new = postgresql.insert(ar_batches) if postgres else sqlite.insert(ar_batches)
    conn.execute(
        new.values(values).on_conflict_do_update(
            index_elements=[ar_batches.c.batch],
            set_={"arrived": new.excluded.arrived, "told_at": new.excluded.told_at},
        )
    )


def told(conn: Connection, *, now: datetime) -> list[Batch]:
    """Every batch that cells may not know yet."""
    oldest = to_micros(now - ON_THE_WAY)
    return [
        Batch(
            id=row.batch,
            arrived=bool(row.arrived),
            days=tuple((resource, day) for resource, day in json.loads(row.days)),
            lost=not row.arrived and row.told_at < oldest,
        )
        for row in conn.execute(select(ar_batches))
    ]


def forget(conn: Connection, batches: Iterable[Batch]) -> None:
    """Cells know these: those that arrived, and those that never will."""
    for batch in batches:
        if batch.arrived or batch.lost:
            conn.execute(delete(ar_batches).where(ar_batches.c.batch == batch.id))
