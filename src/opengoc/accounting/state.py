"""How each source stands: when it was last read to its end, and why it was not.

The state is a fact, so completeness can be asked as it was known at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from opengoc.accounting.source import Source
from opengoc.base.instant import format_instant, parse_instant
from opengoc.base.interval import Interval, day
from opengoc.store import facts

KIND = "accounting-source"
#: Gaps kept with a state; what is older stays readable in the history of the fact.
_GAPS = 50


class State(StrEnum):
    """What came of the last reading."""

    #: Read to its end.
    OK = "ok"
    #: Not there or not readable.
    MISSING = "missing"
    #: Configured, never read.
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A stretch of time in which records may have been written that were not read."""

    start: datetime
    end: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """One source as of its last reading."""

    source: str
    kind: str
    site: str | None
    state: State
    #: Why it is not ok; empty when it is.
    reason: str = ""
    #: When it was last tried.
    tried_at: datetime | None = None
    #: Everything written before this was read; None while it never was read to its end.
    read_through: datetime | None = None
    #: When the first record that was read ended, or the first reading where that was earlier.
    since: datetime | None = None
    #: Bytes seen and not consumed: an unfinished last record.
    backlog_bytes: int = 0
    gaps: tuple[Gap, ...] = ()
    notices: tuple[str, ...] = ()
    #: Whether its records came from files that somebody imported: it is not collected.
    imported: bool = False

    def lacking(self, window: Interval) -> str:
        """What this source lacks of a window; empty when it was read through it."""
        last = f", last read {format_instant(self.read_through)}" if self.read_through else ""
        if self.state is not State.OK and (self.read_through is None or self.read_through < window.start):
            return f"{self.source}: {self.reason or 'never read'}{last}"
        if self.since is None or (window.end is not None and self.since >= window.end):
            return f"{self.source}: its records begin after this time"
        for gap in self.gaps:
            if Interval(gap.start, gap.end).overlaps(window):
                return f"{self.source}: {gap.reason}"
        if window.end is None or self.read_through is None or self.read_through < window.end:
            why = f": {self.reason}" if self.reason else ""
            return (
                f"{self.source}: read up to {format_instant(self.read_through)}{why}"
                if self.read_through
                else ""
            )
        if self.since > window.start:
            return f"{self.source}: its records begin {format_instant(self.since)}"
        return ""

    def days(self, window: Interval) -> frozenset[date]:
        """The UTC days of a bounded window that were read through to their end."""
        assert window.end is not None
        days = {(window.start + timedelta(days=n)).date() for n in range((window.end - window.start).days)}
        return frozenset(each for each in days if not self.lacking(day(each)))


def save(conn: Connection, state: SourceState, *, now: datetime, who: str) -> None:
    """Keep the state of a source, in place of the one before."""
    before = facts.get(conn, KIND, state.source)
    value, valid = _to_json(state), Interval(now)
    if before is None:
        facts.assert_fact(
            conn, kind=KIND, key=state.source, value=value, valid=valid, who=who, source="accounting"
        )
    else:
        facts.supersede(
            conn,
            kind=KIND,
            key=state.source,
            value=value,
            valid=valid,
            who=who,
            source="accounting",
            expect=before.version,
        )


def load(conn: Connection, source: Source, *, known_at: datetime | None = None) -> SourceState:
    """The state of a source as known at a time (None: now); ``never`` before its first reading."""
    return load_named(conn, source.name, known_at=known_at) or SourceState(
        source=source.name,
        kind=source.kind.value,
        site=source.site,
        state=State.NEVER,
        reason="never read: run goc accounting collect",
    )


def load_named(conn: Connection, name: str, *, known_at: datetime | None = None) -> SourceState | None:
    """The state of the source of a name; None where nothing was ever had of it."""
    fact = facts.get(conn, KIND, name, known_at=known_at)
    return None if fact is None or fact.value is None else _from_json(name, fact.value)


def load_all(
    conn: Connection, sources: Sequence[Source], *, known_at: datetime | None = None
) -> list[SourceState]:
    """The states of all configured sources, in their order."""
    return [load(conn, source, known_at=known_at) for source in sources]


def load_imported(conn: Connection, *, known_at: datetime | None = None) -> list[SourceState]:
    """The states of the sources that files were imported as, by name."""
    found = [_from_json(fact.key, fact.value or {}) for fact in facts.standing(conn, KIND, known_at=known_at)]
    return [each for each in found if each.imported]


def _to_json(state: SourceState) -> dict[str, Any]:
    def instant(moment: datetime | None) -> str | None:
        return format_instant(moment) if moment else None

    return {
        "kind": state.kind,
        "site": state.site,
        "state": state.state.value,
        "reason": state.reason,
        "tried_at": instant(state.tried_at),
        "read_through": instant(state.read_through),
        "since": instant(state.since),
        "backlog_bytes": state.backlog_bytes,
        "gaps": [
            {"start": format_instant(gap.start), "end": format_instant(gap.end), "reason": gap.reason}
            for gap in state.gaps[-_GAPS:]
        ],
        "notices": list(state.notices),
        "imported": state.imported,
    }


def _from_json(source: str, value: dict[str, Any]) -> SourceState:
    def instant(name: str) -> datetime | None:
        return parse_instant(value[name]) if value[name] else None

    return SourceState(
        source=source,
        kind=value["kind"],
        site=value["site"],
        state=State(value["state"]),
        reason=value["reason"],
        tried_at=instant("tried_at"),
        read_through=instant("read_through"),
        since=instant("since"),
        backlog_bytes=value["backlog_bytes"],
        gaps=tuple(
            Gap(start=parse_instant(g["start"]), end=parse_instant(g["end"]), reason=g["reason"])
            for g in value["gaps"]
        ),
        notices=tuple(value["notices"]),
        imported=value.get("imported", False),
    )
