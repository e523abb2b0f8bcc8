"""The registry as facts: load a snapshot, import a tree, announce and change downtimes.

Every call takes the connection of a transaction and keeps or loses its writes with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import new_id
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, DowntimeClass, Severity
from opengoc.registry.reading import load_registry
from opengoc.registry.rows import decode, encode
from opengoc.registry.tree_import import TREE, ImportResult, import_tree
from opengoc.store import facts
from opengoc.store.facts import Fact

__all__ = [
    "TREE",
    "ImportResult",
    "add_downtime",
    "cancel_downtime",
    "change_downtime",
    "import_tree",
    "load_registry",
    "reinstate_downtime",
]

_OPERATOR = "goc downtime"


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
    """Announce a downtime of a resource; no ``services`` means all that the resource offers.

    Late announcements are accepted: the class derived from ``declared_at`` says that they were late. Raises
    InvalidInput for an unknown resource and for a service that it does not offer.
    """
    known = load_registry(conn).resource(resource)
    kinds = tuple(services) or tuple(service.kind for service in known.services)
    for kind in kinds:
        known.endpoint(kind)
    downtime = Downtime(
        id=new_id("dt"),
        resource=known.name,
        resource_id=known.id,
        services=kinds,
        interval=interval,
        severity=severity,
        description=description,
        declared_at=(utc_now() if now is None else now).astimezone(UTC).replace(microsecond=0),
        claimed_class=claimed_class,
    )
    facts.assert_fact(
        conn,
        kind="downtime",
        key=downtime.id,
        value=encode("downtime", downtime, {}),
        valid=interval,
        who=who,
        why=description,
        source=_OPERATOR,
    )
    return downtime


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
) -> Downtime:
    """Shorten, extend, move or correct a downtime, at any time, its past included; what is left out stays.

    Raises InvalidInput for an unknown downtime, Conflict when it was changed meanwhile.
    """
    fact, downtime = _downtime(conn, downtime_id)
    changed = replace(
        downtime,
        interval=downtime.interval if interval is None else interval,
        services=downtime.services if services is None else tuple(services),
        severity=downtime.severity if severity is None else severity,
        description=downtime.description if description is None else description,
    )
    if changed != downtime:
        _supersede(conn, fact, changed, who=who, why=why, source=_OPERATOR)
    return changed


def cancel_downtime(
    conn: Connection, downtime_id: str, *, who: str, why: str, now: datetime | None = None
) -> Downtime:
    """Withdraw a downtime: none of its time counts, past or future. Cancelling twice is cancelling once.

    To end a running downtime early and keep what it covered so far, shorten it with ``change_downtime``.
    Raises InvalidInput for an unknown downtime, Conflict when it was changed meanwhile.
    """
    fact, downtime = _downtime(conn, downtime_id)
    if downtime.cancelled:
        return downtime
    cancelled = replace(downtime, cancelled_at=utc_now() if now is None else now)
    _supersede(conn, fact, cancelled, who=who, why=why, source=_OPERATOR)
    return cancelled


def reinstate_downtime(conn: Connection, downtime_id: str, *, who: str, why: str) -> Downtime:
    """Take a cancellation back. Raises InvalidInput for an unknown downtime, Conflict when it was changed."""
    fact, downtime = _downtime(conn, downtime_id)
    standing = replace(downtime, cancelled_at=None)
    if downtime.cancelled:
        _supersede(conn, fact, standing, who=who, why=why, source=_OPERATOR)
    return standing


def _downtime(conn: Connection, downtime_id: str) -> tuple[Fact, Downtime]:
    fact = facts.get(conn, "downtime", downtime_id)
    if fact is None or fact.value is None:
        raise InvalidInput("downtime", downtime_id, "is no downtime; see `goc downtime list --past`")
    names = {known.key: (known.value or {})["name"] for known in facts.standing(conn, "resource")}
    row = fact.value | {"resource": names.get(fact.value["resource_id"], fact.value["resource"])}
    downtime: Downtime = decode("downtime", fact.key, row)
    return fact, downtime


def _supersede(conn: Connection, fact: Fact, downtime: Downtime, *, who: str, why: str, source: str) -> None:
    facts.supersede(
        conn,
        kind="downtime",
        key=fact.key,
        value=encode("downtime", downtime, {"resource": {}}),
        valid=downtime.interval,
        who=who,
        why=why,
        source=source,
        expect=fact.version,
    )
