"""Gaps as they were found: facts, valid from when each was first seen to when it was gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from opengoc.accounting.gaps import GROWING, Gap, What
from opengoc.base.instant import format_instant, parse_instant
from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.facts import Fact

KIND = "accounting-gap"
_WHO = "completeness of accounting"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A gap as it is kept."""

    gap: Gap
    #: From when it was first seen; without an end while it lasts.
    seen: Interval

    @property
    def state(self) -> str:
        """``open``, ``explained`` or ``closed``."""
        if self.seen.end is not None:
            return "closed"
        return "explained" if self.gap.explained else "open"

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {
            "key": self.gap.key,
            **_value(self.gap),
            "state": self.state,
            "first_seen": format_instant(self.seen.start),
            "gone_at": format_instant(self.seen.end) if self.seen.end else None,
        }


def keep(
    conn: Connection, found: Iterable[Gap], *, sources: Collection[str], window: Interval, now: datetime
) -> None:
    """State what is new or changed, and close what is gone, of these sources and a window that was looked at.

    What lies before the window stays as it is: nobody looked.
    """
    now_there = {each.key: each for each in found}
    known = {fact.key: fact for fact in facts.standing(conn, KIND)}
    for key, gap in now_there.items():
        _state(conn, gap, known.get(key), now)
    for key, fact in known.items():
        finding = _finding(fact)
        open_still = fact.valid.end is None and key not in now_there and now > fact.valid.start
        if open_still and finding.gap.source in sources and finding.gap.window.overlaps(window):
            _write(conn, finding.gap, Interval(fact.valid.start, now), fact, why="gone")


def standing(conn: Connection, *, known_at: datetime | None = None, closed: bool = False) -> list[Finding]:
    """What is found, as known at a moment (None: now), by source and time; what is gone if ``closed``."""
    found = [_finding(fact) for fact in facts.standing(conn, KIND, known_at=known_at)]
    chosen = [each for each in found if closed or each.seen.end is None]
    return sorted(chosen, key=lambda each: (each.gap.source, each.gap.window.start, each.gap.key))


def earliest(conn: Connection) -> datetime | None:
    """When the earliest gap begins that is not closed; None where there is none.

    Silence is left out: while it lasts, it reaches to the present.
    """
    starts = (each.gap.window.start for each in standing(conn) if each.gap.what is not What.SILENT)
    return min(starts, default=None)


def _state(conn: Connection, gap: Gap, before: Fact | None, now: datetime) -> None:
    if before is None:
        facts.assert_fact(
            conn,
            kind=KIND,
            key=gap.key,
            value=_value(gap),
            valid=Interval(now),
            who=_WHO,
            source="accounting",
        )
    elif before.valid.end is not None:
        _write(conn, gap, Interval(now), before, why="found again")
    elif before.value is None or _lasting(before.value) != _lasting(_value(gap)):
        _write(conn, gap, before.valid, before, why="")


def _lasting(value: dict[str, Any]) -> dict[str, Any]:
    """What a finding says that does not grow by the minute while it lasts."""
    lasting = {name: said for name, said in value["evidence"].items() if name not in GROWING}
    return {**value, "evidence": lasting, "to": None, "from": None}


def _write(conn: Connection, gap: Gap, seen: Interval, before: Fact, *, why: str) -> None:
    facts.supersede(
        conn,
        kind=KIND,
        key=gap.key,
        value=_value(gap),
        valid=seen,
        who=_WHO,
        why=why,
        source="accounting",
        expect=before.version,
    )


def _value(gap: Gap) -> dict[str, Any]:
    assert gap.window.end is not None
    return {
        "source": gap.source,
        "site": gap.site,
        "what": gap.what.value,
        "from": format_instant(gap.window.start),
        "to": format_instant(gap.window.end),
        "reason": gap.reason,
        "evidence": dict(gap.evidence),
        "explained": gap.explained,
        "mark": gap.mark,
    }


def _finding(fact: Fact) -> Finding:
    value = fact.value or {}
    gap = Gap(
        source=value["source"],
        site=value["site"],
        what=What(value["what"]),
        window=Interval(parse_instant(value["from"]), parse_instant(value["to"])),
        reason=value["reason"],
        evidence=value["evidence"],
        explained=value["explained"],
        mark=value["mark"],
    )
    return Finding(gap=gap, seen=fact.valid)
