"""Published reports and notes, on every database: immutable, revisable, explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opengoc.base.errors import Conflict, GocError, InvalidInput
from opengoc.base.interval import week
from opengoc.reports.compare import Change
from opengoc.reports.inputs import Coverage, DayUsage, ReportInputs, WeekUsage
from opengoc.reports.model import Cause, Report
from opengoc.reports.notes import add_note, notes_of, withdraw_note
from opengoc.reports.published import (
    Publication,
    corrections_since,
    latest_of_each_week,
    publish,
    published,
    revisions,
)
from opengoc.reports.usage import days_of
from opengoc.reports.weekly import build, section_names
from opengoc.store.database import Database

WEEK = "2026-W46"
AS_OF = datetime(2026, 11, 17, 9, tzinfo=UTC)
SECTIONS = section_names(("cms",))


def draft(jobs: int, *, as_of: datetime = AS_OF, name: str = WEEK) -> Report:
    """A report of one VO that ran so many payload jobs on Monday."""
    usage = WeekUsage(week=name, interval=week(name))
    days = days_of(usage)
    row = DayUsage(
        vo="cms",
        site="ITB-CONDOR",
        day=days[0],
        kind="payload",
        jobs=jobs,
        wall_seconds=3600.0 * jobs,
        core_seconds=3600.0 * jobs,
        cpu_core_seconds=3600.0 * jobs,
        cpu_seconds=1800.0 * jobs,
    )
    coverage = (Coverage(source="pool-history", kind="payload", days=frozenset(days)),)
    usage = replace(usage, days=(row,), coverage=coverage)
    before = WeekUsage(week="2026-W45", interval=week("2026-W45"))
    return build(ReportInputs(vos=("cms",), usage=usage, before=before), name, as_of, as_of)


def put(database: Database, report: Report, *changes: Change) -> Publication:
    with database.begin() as conn:
        return publish(conn, report, changes, feed=7, who="production coordinator")


LATE = Change(cause=Cause(what="2 late records of pool-history"), families=frozenset({"usage"}))


def test_the_first_publication_is_revision_one(database: Database) -> None:
    first = put(database, draft(10))
    assert (first.new, first.report.revision, first.feed) == (True, 1, 7)
    with database.read() as conn:
        assert published(conn, WEEK) == replace(first, new=False)


def test_publishing_the_same_again_makes_no_revision(database: Database) -> None:
    first = put(database, draft(10))
    again = put(database, draft(10, as_of=AS_OF + timedelta(hours=5)))
    assert (again.new, again.report) == (False, first.report)
    with database.read() as conn:
        assert len(revisions(conn, WEEK)) == 1


def test_a_late_record_makes_revision_two_with_old_new_and_cause(database: Database) -> None:
    first = put(database, draft(10))
    second = put(database, draft(12, as_of=AS_OF + timedelta(days=1)), LATE)
    assert (second.new, second.report.revision) == (True, 2)
    told = [c for c in second.report.corrections if c.figure.name == "payload_jobs"]
    assert [(c.old and c.old.value, c.new and c.new.value, c.causes) for c in told] == [
        (10, 12, (LATE.cause,))
    ]
    with database.read() as conn:
        assert published(conn, WEEK, 1) == replace(first, new=False)
        assert published(conn, WEEK, 2) == replace(second, new=False)
        assert published(conn, WEEK, 3) is None


def test_a_third_revision_still_lists_what_the_second_corrected(database: Database) -> None:
    put(database, draft(10))
    put(database, draft(12, as_of=AS_OF + timedelta(days=1)), LATE)
    third = put(database, draft(13, as_of=AS_OF + timedelta(days=2)))
    told = [
        (c.revision, c.new and c.new.value)
        for c in third.report.corrections
        if c.figure.name == "payload_jobs"
    ]
    assert told == [(1, 12), (2, 13)]


def test_going_back_to_the_old_numbers_is_a_revision_too(database: Database) -> None:
    first = put(database, draft(10))
    put(database, draft(12, as_of=AS_OF + timedelta(days=1)))
    third = put(database, draft(10, as_of=AS_OF + timedelta(days=2)))
    assert third.report.revision == 3
    assert third.content_hash == first.content_hash
    assert third.document_hash != first.document_hash


def test_an_older_state_of_knowledge_cannot_replace_a_newer_one(database: Database) -> None:
    put(database, draft(12))
    with pytest.raises(InvalidInput, match="knows less"):
        put(database, draft(10, as_of=AS_OF - timedelta(hours=1)))


def test_of_two_that_publish_at_once_one_revision_results(database: Database, together: object) -> None:
    assert callable(together)

    def attempt(number: int) -> Publication:
        return put(database, draft(10 + number))

    outcomes = together(2, attempt)
    refused = [outcome for outcome in outcomes if isinstance(outcome, GocError)]
    assert all(isinstance(outcome, Conflict) for outcome in refused)
    with database.read() as conn:
        standing = revisions(conn, WEEK)
    assert [p.report.revision for p in standing] == list(range(1, 3 - len(refused)))


def test_corrections_of_other_weeks_can_be_collected(database: Database) -> None:
    put(database, draft(10))
    put(database, draft(12, as_of=AS_OF + timedelta(days=1)), LATE)
    put(database, draft(5, as_of=AS_OF + timedelta(days=8), name="2026-W47"))
    with database.read() as conn:
        all_weeks = latest_of_each_week(conn)
    assert [p.report.week for p in all_weeks] == [WEEK, "2026-W47"]
    assert {c.week for c in corrections_since(all_weeks, "2026-W47")} == {WEEK}
    assert corrections_since(all_weeks, WEEK) == ()


def test_notes_are_kept_with_who_and_when(database: Database) -> None:
    with database.begin() as conn:
        first = add_note(
            conn,
            week=WEEK,
            section="vo-cms",
            text=" Upgrade done. ",
            who="site administrator",
            sections=SECTIONS,
        )
        second = add_note(
            conn, week=WEEK, section="actions", text="Ask.", who="coordinator", sections=SECTIONS
        )
        add_note(
            conn, week="2026-W47", section="actions", text="Other.", who="coordinator", sections=SECTIONS
        )
    with database.read() as conn:
        assert notes_of(conn, WEEK) == (first, second)
    assert (first.text, first.who) == ("Upgrade done.", "site administrator")


def test_a_withdrawn_note_is_gone_from_now_on_and_was_there_before(database: Database) -> None:
    with database.begin() as conn:
        note = add_note(
            conn, week=WEEK, section="actions", text="Wrong.", who="coordinator", sections=SECTIONS
        )
    with database.begin() as conn:
        withdraw_note(conn, note.id, who="coordinator", why="wrong week")
    with database.read() as conn:
        assert notes_of(conn, WEEK) == ()
        assert notes_of(conn, WEEK, known_at=note.written_at) == (note,)


@pytest.mark.parametrize(
    ("section", "text"), [("nowhere", "Text."), ("actions", "  "), ("actions", "x" * 10_001)]
)
def test_a_note_needs_a_section_and_words(database: Database, section: str, text: str) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput):
        add_note(conn, week=WEEK, section=section, text=text, who="coordinator", sections=SECTIONS)


def test_a_note_that_does_not_stand_cannot_be_withdrawn(database: Database) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput, match="no standing note"):
        withdraw_note(conn, "note-000000000000", who="coordinator")
