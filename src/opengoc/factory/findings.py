"""What was found wrong and the entries that were paused, as facts valid from first seen to the end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.factory.finding import Action, Finding, FindingKind
from opengoc.store import facts
from opengoc.store.facts import Fact

FINDING, PAUSE = "factory-finding", "factory-pause"
WHO = "factory guard"
#: What is said of a startd that still shows after its pilot left the queue, and what was done then.
_DONE = {Action.NOBODY: Action.STOP, Action.TOLD: Action.STOP, Action.PAUSE: Action.STOP_AND_PAUSE}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A finding as it is kept."""

    finding: Finding
    #: From when it was first seen; without an end while it lasts.
    seen: Interval

    def to_json(self) -> dict[str, Any]:
        """As JSON values; the times as datetimes."""
        said = asdict(self.finding)
        return {**said, "first_seen": self.seen.start, "ended": self.seen.end}


@dataclass(frozen=True, kw_only=True)
class Pause:
    """An entry that gets no more pilots until a person says so."""

    entry: str
    since: datetime
    who: str
    why: str


def keep_findings(
    conn: Connection,
    factory: str,
    found: Iterable[Finding],
    *,
    seen_whole: Collection[FindingKind],
    now: datetime,
) -> None:
    """State what is new or changed and end what is over.

    ``seen_whole`` are the kinds whose evidence was seen whole: a finding of another kind that is not there
    may be there all the same.
    """
    standing = {fact.key: fact for fact in _of(conn, FINDING, factory) if fact.valid.end is None}
    now_there = {f"{factory}/{each.kind.value}/{each.subject}": each for each in found}
    for key, finding in now_there.items():
        _state(conn, key, _value(finding), standing.get(key), now=now)
    for key, fact in standing.items():
        assert fact.value is not None
        if key not in now_there and FindingKind(fact.value["kind"]) in seen_whole and now > fact.valid.start:
            over = Interval(fact.valid.start, now)
            facts.supersede(
                conn,
                kind=FINDING,
                key=key,
                value=fact.value,
                valid=over,
                who=WHO,
                why="over",
                expect=fact.version,
            )


def _state(conn: Connection, key: str, value: dict[str, Any], before: Fact | None, *, now: datetime) -> None:
    if before is not None:
        assert before.value is not None
        was_stopped = before.value["action"] == _DONE.get(Action(value["action"]))
        if before.value != value and not was_stopped:
            facts.supersede(conn, kind=FINDING, key=key, value=value, who=WHO, expect=before.version)
        return
    ended = facts.get(conn, FINDING, key)
    if ended is None:
        facts.assert_fact(conn, kind=FINDING, key=key, value=value, valid=Interval(now), who=WHO)
        return
    facts.supersede(
        conn, kind=FINDING, key=key, value=value, valid=Interval(now), who=WHO, expect=ended.version
    )


def findings(conn: Connection, factory: str, *, ended: bool = False) -> list[Known]:
    """What was found, the youngest first; with ``ended`` what is over as well."""
    known = [_known(fact) for fact in _of(conn, FINDING, factory)]
    chosen = [each for each in known if ended or each.seen.end is None]
    return sorted(chosen, key=lambda each: each.seen.start, reverse=True)


def within(conn: Connection, window: Interval, *, known_at: datetime) -> list[Known]:
    """What stood at any time of a window, of every factory, as known at a moment; the oldest first."""
    facts_then = facts.standing_within(conn, FINDING, window, known_at=known_at)
    return sorted(map(_known, facts_then), key=lambda each: each.seen.start)


def pause(
    conn: Connection, factory: str, reasons: Mapping[str, str], *, now: datetime, who: str = WHO
) -> None:
    """Give these entries no more pilots; one that is paused stays as it is."""
    for entry, why in sorted(reasons.items()):
        key = f"{factory}/{entry}"
        if facts.get(conn, PAUSE, key) is None:
            value = {"entry": entry}
            facts.assert_fact(conn, kind=PAUSE, key=key, value=value, valid=Interval(now), who=who, why=why)


def resume(conn: Connection, factory: str, entry: str, *, who: str, why: str) -> None:
    """Give an entry pilots again. Raises InvalidInput where it is not paused."""
    key = f"{factory}/{entry}"
    paused = facts.get(conn, PAUSE, key)
    if paused is None:
        raise InvalidInput("ENTRY", entry, "is not paused")
    facts.retract(conn, kind=PAUSE, key=key, who=who, why=why, expect=paused.version)


def pauses(conn: Connection, factory: str) -> list[Pause]:
    """The entries that are paused, in order of name."""
    return [
        Pause(entry=(fact.value or {})["entry"], since=fact.valid.start, who=fact.who, why=fact.why)
        for fact in _of(conn, PAUSE, factory)
    ]


def _of(conn: Connection, kind: str, factory: str) -> list[Fact]:
    return [fact for fact in facts.standing(conn, kind) if fact.key.startswith(f"{factory}/")]


def _value(finding: Finding) -> dict[str, Any]:
    return {name: str(value) for name, value in asdict(finding).items()}


def _known(fact: Fact) -> Known:
    value = dict(fact.value or {})
    kind, action = FindingKind(value.pop("kind")), Action(value.pop("action"))
    return Known(finding=Finding(kind=kind, action=action, **value), seen=fact.valid)
