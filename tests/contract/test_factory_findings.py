"""Findings of the guard and pauses of entries, on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.factory import findings
from opengoc.factory.applied import record
from opengoc.factory.finding import Action, Finding, FindingKind
from opengoc.flows.factory_news import applied_lines, finding_lines
from opengoc.store.database import Database

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ALL = frozenset(FindingKind)
WRONG = Finding(
    kind=FindingKind.START, subject="plt-1", action=Action.STOP_AND_PAUSE, evidence="Start = true", entry="A"
)
EDITED = Finding(kind=FindingKind.SOURCE, subject="files", action=Action.ALARM, evidence="edited")


def keep(
    database: Database, *found: Finding, minute: int, seen_whole: frozenset[FindingKind] = ALL
) -> list[tuple[str, float]]:
    """What stands afterwards: subject, and minutes since it was first seen."""
    now = NOW + minute * MINUTE
    with database.begin() as connection:
        findings.keep_findings(connection, "factory", found, seen_whole=seen_whole, now=now)
        known = findings.findings(connection, "factory")
    return [(each.finding.subject, (now - each.seen.start) / MINUTE) for each in known]


def test_a_finding_stands_from_when_it_was_first_seen_until_it_is_not_seen(database: Database) -> None:
    assert keep(database, WRONG, minute=0) == [("plt-1", 0)]
    assert keep(database, WRONG, EDITED, minute=2) == [("files", 0), ("plt-1", 2)]
    assert keep(database, EDITED, minute=5) == [("files", 3)]
    with database.read() as connection:
        (_, over) = findings.findings(connection, "factory", ended=True)
        assert over.seen == Interval(NOW, NOW + 5 * MINUTE)
        assert over.finding == WRONG
        assert findings.findings(connection, "another", ended=True) == []


def test_what_could_not_be_seen_is_not_over(database: Database) -> None:
    keep(database, WRONG, minute=0)
    assert keep(database, minute=1, seen_whole=frozenset({FindingKind.SOURCE})) == [("plt-1", 1)]
    assert keep(database, minute=2) == []


def test_new_evidence_keeps_the_first_time(database: Database) -> None:
    keep(database, WRONG, minute=0)
    assert keep(database, replace(WRONG, evidence="Start = 1"), minute=3) == [("plt-1", 3)]
    with database.read() as connection:
        (known,) = findings.findings(connection, "factory")
    assert known.finding.evidence == "Start = 1"


@pytest.mark.parametrize(
    ("done", "seen_after"), [(Action.STOP_AND_PAUSE, Action.PAUSE), (Action.STOP, Action.NOBODY)]
)
def test_what_was_done_is_not_forgotten_while_the_startd_still_shows(
    database: Database, done: Action, seen_after: Action
) -> None:
    keep(database, replace(WRONG, action=done), minute=0)
    keep(database, replace(WRONG, action=seen_after, evidence="its job left the queue"), minute=1)
    with database.read() as connection:
        (known,) = findings.findings(connection, "factory")
    assert known.finding == replace(WRONG, action=done)


def test_one_that_comes_again_is_first_seen_anew(database: Database) -> None:
    keep(database, WRONG, minute=0)
    keep(database, minute=1)
    assert keep(database, WRONG, minute=4) == [("plt-1", 0)]


def test_a_week_has_what_stood_in_it(database: Database) -> None:
    keep(database, WRONG, minute=0)
    keep(database, EDITED, minute=10)
    later = datetime.now(UTC) + MINUTE
    with database.read() as connection:
        for start, end, expected in ((-9, 5, ["plt-1"]), (5, 20, ["plt-1", "files"]), (10, 20, ["files"])):
            window = Interval(NOW + start * MINUTE, NOW + end * MINUTE)
            known = findings.within(connection, window, known_at=later)
            assert [each.finding.subject for each in known] == expected


def test_the_report_says_what_was_applied_and_what_was_found(database: Database) -> None:
    nothing = {"gained": {}, "lost": {"cms": ["A"]}, "redecided": {}}
    difference = {"entries": {"added": [], "removed": ["A"], "changed": {}}, "pairs": nothing}
    with database.begin() as connection:
        record(
            connection,
            "factory",
            digest="d" * 64,
            action="apply",
            difference=difference,
            who="operator",
            why="site closed",
            now=NOW,
            expect=None,
        )
    keep(database, WRONG, minute=1)
    keep(database, minute=3)
    later = datetime.now(UTC) + MINUTE
    week, next_week = Interval(NOW, NOW + 5 * MINUTE), Interval(NOW + 5 * MINUTE, NOW + 9 * MINUTE)
    with database.read() as connection:
        assert list(applied_lines(connection, week, as_of=later)) == [
            "factory: apply of digest dddddddddddd at 2026-11-16 12:00 UTC by operator (site closed): "
            "entries: 1 removed; 1 pair of VO and entry lost"
        ]
        assert list(finding_lines(connection, week, as_of=later)) == [
            "START differs: plt-1 at entry A, first seen 2026-11-16 12:01 UTC, until 2026-11-16 12:03 UTC; "
            "done: pilot stopped, entry paused; Start = true"
        ]
        assert list(applied_lines(connection, next_week, as_of=later)) == []
        assert list(finding_lines(connection, next_week, as_of=later)) == []
        assert list(applied_lines(connection, week, as_of=NOW)) == []


def test_an_entry_is_paused_until_it_is_resumed(database: Database) -> None:
    with database.begin() as connection:
        findings.pause(connection, "factory", {"B": "first", "A": "second"}, now=NOW)
        findings.pause(connection, "factory", {"B": "third"}, now=NOW + MINUTE, who="operator")
        assert [(each.entry, each.why, each.since) for each in findings.pauses(connection, "factory")] == [
            ("A", "second", NOW),
            ("B", "first", NOW),
        ]
        assert findings.pauses(connection, "another") == []
        findings.resume(connection, "factory", "B", who="operator", why="mended")
    with database.begin() as connection, pytest.raises(InvalidInput):
        findings.resume(connection, "factory", "B", who="operator", why="again")
    with database.begin() as connection:
        findings.pause(connection, "factory", {"B": "again"}, now=NOW + MINUTE)
        assert [each.entry for each in findings.pauses(connection, "factory")] == ["A", "B"]
