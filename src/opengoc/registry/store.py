"""The registry as facts: load a snapshot, import a tree, announce and change downtimes.

Every call takes the connection of a transaction and keeps or loses its writes with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.ids import new_id
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, DowntimeClass, Part, Severity
from opengoc.registry.reading import load_registry
from opengoc.registry.rows import decode, encode
from opengoc.registry.tree_import import TREE, ImportResult, import_tree
from opengoc.store import facts
from opengoc.store.facts import Fact

__all__ = [
    "TREE",
    "ImportResult",
    "add_downtime",
    "announce",
    "cancel_downtime",
    "change_downtime",
    "import_tree",
    "load_registry",
    "read_downtime",
    "reinstate_downtime",
]

_OPERATOR = "goc downtime"


def announce(
    conn: Connection,
    parts: Iterable[Part],
    *,
    severity: Severity,
    description: str,
    who: str,
    claimed_class: DowntimeClass | None = None,
    now: datetime | None = None,
) -> tuple[Downtime, ...]:
    """Announce downtimes of several resources, or of services at several times, as one announcement.

    Late announcements are accepted: the class derived from ``declared_at`` says that they were late. Raises
    InvalidInput for an unknown resource, for a service that it does not offer, and for parts that say the
    same service down twice at once; nothing is written then.
    """
    registry = load_registry(conn)
    declared = (utc_now() if now is None else now).astimezone(UTC).replace(microsecond=0)
    announcement = new_id("an")
    made: list[Downtime] = []
    for part in parts:
        known = registry.resource(part.resource)
        kinds = part.services or tuple(service.kind for service in known.services)
        for kind in kinds:
            known.endpoint(kind)
        downtime = Downtime(
            id=new_id("dt"),
            resource=known.name,
            resource_id=known.id,
            services=kinds,
            interval=part.interval,
            severity=severity,
            description=description,
            declared_at=declared,
            claimed_class=claimed_class,
            announcement=announcement,
        )
        _refuse_overlap(made, downtime)
        made.append(downtime)
    if not made:
        raise InvalidInput("announcement", "", "needs one resource or more")
    for downtime in made:
        facts.assert_fact(
            conn,
            kind="downtime",
            key=downtime.id,
            value=encode("downtime", downtime, {}),
            valid=downtime.interval,
            who=who,
            why=description,
            source=_OPERATOR,
        )
    return tuple(made)


def _refuse_overlap(made: Iterable[Downtime], downtime: Downtime) -> None:
    for other in made:
        both = set(other.services) & set(downtime.services)
        if other.resource == downtime.resource and both and other.interval.overlaps(downtime.interval):
            where = f"downtime of {downtime.resource}"
            raise InvalidInput(where, sorted(both), "is said to be down twice at once in one announcement")


def add_downtime(
    conn: Connection,
    *,
    resource: str,
    interval: Interval,
    severity: Severity,
    description: str,
    who: str,
    services: Iterable[str] = (),
    claimed_class: DowntimeClass | None = None,
    now: datetime | None = None,
) -> Downtime:
    """``announce`` for one resource and one interval."""
    part = Part(resource=resource, services=tuple(services), interval=interval)
    return announce(
        conn,
        [part],
        severity=severity,
        description=description,
        who=who,
        claimed_class=claimed_class,
        now=now,
    )[0]


def read_downtime(conn: Connection, downtime_id: str) -> tuple[Downtime, int]:
    """A downtime as it stands, and the version that a change decided on it expects.

    Raises InvalidInput for an unknown one.
    """
    fact, downtime = _downtime(conn, downtime_id)
    return downtime, fact.version


def change_downtime(
    conn: Connection,
    downtime_id: str,
    *,
    who: str,
    why: str,
    interval: Interval | None = None,
    services: Iterable[str] | None = None,
    severity: Severity | None = None,
    description: str | None = None,
    expect: int | None = None,
) -> Downtime:
    """Shorten, extend, move or correct a downtime, at any time, its past included; what is left out stays.

    ``expect``: the version that the change was decided on. Raises InvalidInput for an unknown downtime, and
    for a service that its resource does not offer (one that was announced may stay), Conflict when it was
    changed meanwhile.
    """
    fact, downtime = _downtime(conn, downtime_id, expect)
    services = None if services is None else tuple(services)
    if more := set(services or ()) - set(downtime.services):
        known = load_registry(conn).resource(downtime.resource)
        for kind in sorted(more):
            known.endpoint(kind)
    changed = replace(
        downtime,
        interval=downtime.interval if interval is None else interval,
        services=downtime.services if services is None else services,
        severity=downtime.severity if severity is None else severity,
        description=downtime.description if description is None else description,
    )
    if changed != downtime:
        _supersede(conn, fact, changed, who=who, why=why)
    return changed


def cancel_downtime(
    conn: Connection,
    downtime_id: str,
    *,
    who: str,
    why: str,
    now: datetime | None = None,
    expect: int | None = None,
) -> Downtime:
    """Withdraw a downtime: none of its time counts, past or future. Cancelling twice is cancelling once.

    To end a running downtime early and keep what it covered so far, shorten it with ``change_downtime``.
    ``expect`` and errors are as of ``change_downtime``.
    """
    fact, downtime = _downtime(conn, downtime_id, expect)
    if downtime.cancelled:
        return downtime
    cancelled = replace(downtime, cancelled_at=utc_now() if now is None else now)
    _supersede(conn, fact, cancelled, who=who, why=why)
    return cancelled


def reinstate_downtime(
    conn: Connection, downtime_id: str, *, who: str, why: str, expect: int | None = None
) -> Downtime:
    """Take a cancellation back; ``expect`` and errors are as of ``change_downtime``."""
    fact, downtime = _downtime(conn, downtime_id, expect)
    standing = replace(downtime, cancelled_at=None)
    if downtime.cancelled:
        _supersede(conn, fact, standing, who=who, why=why)
    return standing


def _downtime(conn: Connection, downtime_id: str, expect: int | None = None) -> tuple[Fact, Downtime]:
    fact = facts.get(conn, "downtime", downtime_id)
    if fact is None or fact.value is None:
        raise InvalidInput("downtime", downtime_id, "is no downtime; see `goc downtime list --past`")
    if expect is not None and fact.version != expect:
        raise Conflict(f"downtime {downtime_id} was changed by {fact.who} meanwhile: read it again")
    names = {known.key: (known.value or {})["name"] for known in facts.standing(conn, "resource")}
    row = fact.value | {"resource": names.get(fact.value["resource_id"], fact.value["resource"])}
    downtime: Downtime = decode("downtime", fact.key, row)
    return fact, downtime


def _supersede(conn: Connection, fact: Fact, downtime: Downtime, *, who: str, why: str) -> None:
    if not why.strip():
        raise InvalidInput("why", why, "say why: it stays on record with the downtime")
    facts.supersede(
        conn,
        kind="downtime",
        key=fact.key,
        value=encode("downtime", downtime, {"resource": {}}),
        valid=downtime.interval,
        who=who,
        why=why,
        source=_OPERATOR,
        expect=fact.version,
    )
