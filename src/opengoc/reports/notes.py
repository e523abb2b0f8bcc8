"""Hand-written notes of a report: facts, so who wrote what and when survives every regeneration."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import new_id
from opengoc.base.interval import week as week_interval
from opengoc.reports.model import Note
from opengoc.store import facts

#: Kind of the facts; keys are the notes' ids.
KIND = "report-note"
_LONGEST = 10_000


def add_note(
    conn: Connection, *, week: str, section: str, text: str, who: str, sections: Collection[str]
) -> Note:
    """Write a note for a section of a week's report.

    ``sections``: those the report has. Raises InvalidInput for an unknown week or section, or an empty text.
    """
    interval = week_interval(week)
    if section not in sections:
        raise InvalidInput("--section", section, f"must be one of {', '.join(sections)}")
    text = text.strip()
    if not text or len(text) > _LONGEST:
        raise InvalidInput("note", text[:60], f"needs 1 to {_LONGEST} characters")
    value = {"week": week, "section": section, "text": text}
    fact = facts.assert_fact(conn, kind=KIND, key=new_id("note"), value=value, valid=interval, who=who)
    return _note(fact)


def withdraw_note(conn: Connection, note_id: str, *, who: str, why: str = "") -> None:
    """Take a note back; its history stays. Raises InvalidInput for a note that does not stand."""
    fact = facts.get(conn, KIND, note_id)
    if fact is None:
        raise InvalidInput("note", note_id, "is no standing note: see `goc report note list`")
    facts.retract(conn, kind=KIND, key=note_id, who=who, why=why, expect=fact.version)


def notes_of(conn: Connection, week: str, *, known_at: datetime | None = None) -> tuple[Note, ...]:
    """The notes of a week that stood at ``known_at`` (None: now), oldest first."""
    interval = week_interval(week)
    standing = (fact for fact in facts.standing(conn, KIND, known_at=known_at) if fact.valid == interval)
    return tuple(_note(fact) for fact in sorted(standing, key=lambda fact: fact.known_from))


def _note(fact: facts.Fact) -> Note:
    assert fact.value is not None
    return Note(
        id=fact.key,
        section=fact.value["section"],
        text=fact.value["text"],
        who=fact.who,
        written_at=fact.known_from,
    )
