"""What mirrors wrote down of themselves: one row a mirror, one a group. SQL only; ``mirror`` has the rules.

The group's row is the lock: whoever writes takes it first. Its version grows whenever a mirror holds more
than before, so a decision that rests on an older one is refused, and made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, select, update

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.instant import format_instant
from opengoc.base.interval import Interval
from opengoc.factory.mirror import Holding, Mirror, Place, Reading, is_more, larger, with_walltimes
from opengoc.store import facts
from opengoc.store.schema import factory_groups, factory_mirrors, from_micros, insert_into, to_micros

#: Kind of the fact that a person had a mirror forgotten.
FORGOTTEN = "factory-mirror-forgotten"


@dataclass(frozen=True, kw_only=True)
class Permit:
    """What a mirror may submit, until when: it stands as long as nobody else wrote on its row."""

    group: str
    mirror: str
    version: int
    expires_at: datetime


class Overtaken(Conflict):
    """Another mirror took pilots since the group was read: decide again."""


def read(conn: Connection, group: str, *, own: str) -> Reading:
    """The other mirrors of a group, and the version that they are read at. In one snapshot."""
    return Reading(
        version=_version(conn, group),
        others=tuple(each for each in mirrors(conn, group) if each.name != own),
    )


def mirrors(conn: Connection, group: str) -> list[Mirror]:
    """All mirrors of a group that ever wrote themselves down and were not forgotten, by name."""
    of_group = select(factory_mirrors).where(factory_mirrors.c.group_name == group)
    return [_mirror(row) for row in conn.execute(of_group.order_by(factory_mirrors.c.mirror))]


def write(
    conn: Connection,
    group: str,
    mirror: Mirror,
    *,
    expect: int | None,
    now: datetime,
    keeps: bool = False,
) -> Permit:
    """Write a mirror down, in its own name.

    With ``keeps`` no number becomes less than it was: its queue was not seen whole, or just once; without a
    ``counted_at`` the one before stands as well. With ``expect``, the version of the group that its new
    pilots were decided at, nobody else may hold more since: raises Overtaken. Raises Conflict while another
    process writes under the same name.
    """
    version = _lock(conn, group)
    before = _own(conn, group, mirror.name)
    if before is not None and before.holder != mirror.holder and not before.is_silent(now):
        raise Conflict(
            f"a factory called {mirror.name} runs from {before.holder} until "
            f"{format_instant(before.expires_at)}: end it, or give this one another name in [factory]"
        )
    if expect is not None and expect != version:
        raise Overtaken(f"another mirror of {group} took pilots meanwhile: the next cycle goes on")
    if before is not None:
        holdings = larger(mirror.holdings, before.holdings) if keeps else mirror.holdings
        mirror = replace(
            mirror,
            holdings=with_walltimes(holdings, before.holdings),
            counted_at=mirror.counted_at or before.counted_at,
        )
    return _put(conn, group, mirror, before=before, version=version)


def recount(
    conn: Connection, group: str, seen: Mirror, holdings: Mapping[Place, Holding], *, at: datetime
) -> None:
    """Write down what of a silent mirror was found in its queue at a moment.

    Raises Conflict where it is not as it was ``seen`` any more: it lives again, or another one looked.
    """
    version = _lock(conn, group)
    before = _own(conn, group, seen.name)
    if before is None or before.version != seen.version or not before.is_silent(at):
        raise Conflict(f"mirror {seen.name} wrote itself down meanwhile")
    found = replace(before, holdings=holdings, counted_at=at)
    _put(conn, group, found, before=before, version=version)


def leave(conn: Connection, permit: Permit, *, now: datetime) -> None:
    """This mirror ends: the others need not wait to look after its pilots."""
    chosen = update(factory_mirrors).where(_row_of(permit.group, permit.mirror))
    conn.execute(
        chosen.where(factory_mirrors.c.version == permit.version).values(
            expires_at=to_micros(now), version=permit.version + 1
        )
    )


def forget(conn: Connection, group: str, mirror: str, *, who: str, why: str, now: datetime) -> None:
    """Count its pilots no more, and keep who said so.

    Raises InvalidInput where it is none of the group, or is heard.
    """
    version = _lock(conn, group)
    before = _own(conn, group, mirror)
    if before is None:
        raise InvalidInput("MIRROR", mirror, f"is none of the mirrors of {group}")
    if not before.is_silent(now):
        raise InvalidInput("MIRROR", mirror, f"runs until {format_instant(before.expires_at)}: end it first")
    facts.assert_fact(
        conn,
        kind=FORGOTTEN,
        key=f"{group}/{mirror}/{format_instant(now)}",
        value={"pilots": sum(holding.alive for holding in before.standing(now).values())},
        valid=Interval(now),
        who=who,
        why=why,
    )
    conn.execute(delete(factory_mirrors).where(_row_of(group, mirror)))
    _set_version(conn, group, version + 1)


def require(conn: Connection, permit: Permit) -> None:
    """Raises Conflict where a permit does not stand any more."""
    own = _own(conn, permit.group, permit.mirror)
    if own is None or own.version != permit.version:
        raise Conflict(f"others took {permit.mirror} for ended: nothing is submitted until the next cycle")


def _put(conn: Connection, group: str, mirror: Mirror, *, before: Mirror | None, version: int) -> Permit:
    if is_more(mirror.holdings, before.holdings if before is not None else {}):
        _set_version(conn, group, version + 1)
    written = before.version + 1 if before is not None else version
    values = {
        "version": written,
        "holder": mirror.holder,
        "schedd": mirror.schedd,
        "collector": mirror.collector,
        "expires_at": to_micros(mirror.expires_at),
        "counted_at": None if mirror.counted_at is None else to_micros(mirror.counted_at),
        "is_able": int(mirror.is_able),
        "holdings": _to_text(mirror.holdings),
    }
    new = insert_into(conn, factory_mirrors).values(group_name=group, mirror=mirror.name, **values)
    keys = [factory_mirrors.c.group_name, factory_mirrors.c.mirror]
    conn.execute(new.on_conflict_do_update(index_elements=keys, set_=values))
    return Permit(group=group, mirror=mirror.name, version=written, expires_at=mirror.expires_at)


def _lock(conn: Connection, group: str) -> int:
    """Make every other writer of the group wait; its version."""
    new = insert_into(conn, factory_groups).values(name=group, version=1)
    conn.execute(new.on_conflict_do_nothing())
    chosen = select(factory_groups.c.version).where(factory_groups.c.name == group).with_for_update()
    return int(conn.execute(chosen).scalar_one())


def _version(conn: Connection, group: str) -> int:
    chosen = select(factory_groups.c.version).where(factory_groups.c.name == group)
    return conn.execute(chosen).scalar_one_or_none() or 1


def _set_version(conn: Connection, group: str, version: int) -> None:
    conn.execute(update(factory_groups).where(factory_groups.c.name == group).values(version=version))


def _own(conn: Connection, group: str, mirror: str) -> Mirror | None:
    row = conn.execute(select(factory_mirrors).where(_row_of(group, mirror))).one_or_none()
    return None if row is None else _mirror(row)


def _row_of(group: str, mirror: str) -> ColumnElement[bool]:
    return and_(factory_mirrors.c.group_name == group, factory_mirrors.c.mirror == mirror)


def _to_text(holdings: Mapping[Place, Holding]) -> str:
    return json.dumps(
        [
            [*place, each.idle, each.held, each.running, each.coming, each.walltime_seconds]
            for place, each in sorted(holdings.items())
            if each.alive
        ],
        separators=(",", ":"),
    )


def _mirror(row: Row[Any]) -> Mirror:
    return Mirror(
        name=row.mirror,
        holder=row.holder,
        schedd=row.schedd,
        collector=row.collector,
        expires_at=from_micros(row.expires_at),
        counted_at=None if row.counted_at is None else from_micros(row.counted_at),
        is_able=bool(row.is_able),
        holdings={
            (entry, vo): Holding(
                idle=idle, held=held, running=running, coming=coming, walltime_seconds=walltime
            )
            for entry, vo, idle, held, running, coming, walltime in json.loads(row.holdings)
        },
        version=row.version,
    )
