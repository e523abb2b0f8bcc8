"""What was applied when, by whom and why: one fact a factory, a version for each apply and rollback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.facts import Fact

KIND = "factory-applied"


@dataclass(frozen=True, kw_only=True)
class Applied:
    """One apply or rollback."""

    digest: str
    at: datetime
    who: str
    why: str
    #: ``apply`` or ``rollback``.
    action: str
    #: What it changed, as the plan said; JSON values.
    difference: Mapping[str, Any]
    #: 1, 2, 3 …
    version: int


def applied_now(conn: Connection, factory: str) -> Applied | None:
    """What is in force; None before the first apply."""
    fact = facts.get(conn, KIND, factory)
    return None if fact is None else _applied(fact)


def log_of(conn: Connection, factory: str) -> list[Applied]:
    """Everything that was ever applied, oldest first."""
    return [_applied(fact) for fact in facts.history(conn, KIND, factory) if fact.value is not None]


def within(conn: Connection, window: Interval, *, known_at: datetime) -> Iterator[tuple[str, Applied]]:
    """What was applied in a window, with the factory's name, as known at a moment; oldest first."""
    for fact in facts.versions(conn, [KIND], known_at=known_at):
        if fact.value is not None and fact.valid.start in window:
            yield fact.key, _applied(fact)


def record(
    conn: Connection,
    factory: str,
    *,
    digest: str,
    action: str,
    difference: Mapping[str, Any],
    who: str,
    why: str,
    now: datetime,
    expect: int | None,
) -> Applied:
    """Put a digest in force. ``expect`` is the version it was planned against; None: nothing was applied.

    Raises Conflict when something else was applied meanwhile.
    """
    value = {"digest": digest, "action": action, "difference": dict(difference)}
    valid = Interval(now)
    if expect is None:
        fact = facts.assert_fact(conn, kind=KIND, key=factory, value=value, valid=valid, who=who, why=why)
    else:
        fact = facts.supersede(
            conn, kind=KIND, key=factory, value=value, valid=valid, who=who, why=why, expect=expect
        )
    return _applied(fact)


def _applied(fact: Fact) -> Applied:
    assert fact.value is not None
    return Applied(
        digest=fact.value["digest"],
        at=fact.valid.start,
        who=fact.who,
        why=fact.why,
        action=fact.value["action"],
        difference=fact.value["difference"],
        version=fact.version,
    )


def in_words(difference: Mapping[str, Any]) -> str:
    """What an apply changed, in a few words."""
    entries, pairs = difference["entries"], difference["pairs"]
    words = [f"{len(entries[name])} {name}" for name in ("added", "removed", "changed") if entries[name]]
    found = ["entries: " + ", ".join(words)] if words else []
    for name in ("gained", "lost", "redecided"):
        count = sum(map(len, pairs[name].values()))
        if count:
            found.append(f"{count} {'pair' if count == 1 else 'pairs'} of VO and entry {name}")
    return "; ".join(found) or "nothing that entries or STARTs show"
