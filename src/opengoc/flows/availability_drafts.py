"""Corrections of A/R reports that wait for somebody: opened by the review, then approved or rejected.

Both answers stay on record with who and why. What was rejected is not brought up again; when the facts move
on, and the correction with them, that is a new draft.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.reports import availability
from opengoc.reports.document import content_hash, from_json, to_json
from opengoc.reports.model import Report
from opengoc.store import facts
from opengoc.store.facts import Fact

_DRAFT, _REJECTION = "ar-draft/", "ar-rejection/"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A new revision that waits for approval."""

    profile: str
    report: Report
    content_hash: str
    opened_at: datetime


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A correction that somebody looked at and did not want."""

    profile: str
    #: Name of the report: ``A/R`` and the period.
    report: str
    content_hash: str
    who: str
    why: str
    rejected_at: datetime


def drafts(conn: Connection) -> list[Draft]:
    """The drafts that wait, by profile and period."""
    return [_draft(fact) for kind in facts.kinds(conn, prefix=_DRAFT) for fact in facts.standing(conn, kind)]


def waiting(conn: Connection, name: str, profile: str, *, content: str | None = None) -> Draft:
    """The draft that waits for a period. Raises InvalidInput where none does.

    ``content``: the hash of what was read. Raises Conflict when it says something else by now.
    """
    fact = facts.get(conn, _DRAFT + profile, availability.report_name(name))
    if fact is None:
        raise InvalidInput("period", name, "no draft waits for it; see `goc report review`")
    found = _draft(fact)
    if content not in (None, found.content_hash):
        raise Conflict(f"the draft of {name} has changed since it was read: read it again, decide again")
    return found


def open_draft(conn: Connection, profile: str, report: Report, *, who: str) -> None:
    """Let a report wait for approval, in the place of the draft before it."""
    kind, value = _DRAFT + profile, {"hash": content_hash(report), "report": to_json(report)}
    fact = facts.get(conn, kind, report.week)
    why = "the facts no longer bear the published report out"
    if fact is None:
        facts.assert_fact(
            conn, kind=kind, key=report.week, value=value, valid=report.interval, who=who, why=why
        )
    elif (fact.value or {})["hash"] != value["hash"]:
        facts.supersede(conn, kind=kind, key=report.week, value=value, who=who, why=why, expect=fact.version)


def close_draft(conn: Connection, profile: str, report: str, *, who: str, why: str = "") -> None:
    """Take the draft of a report away, where there is one."""
    fact = facts.get(conn, _DRAFT + profile, report)
    if fact is not None:
        facts.retract(conn, kind=fact.kind, key=report, who=who, why=why, expect=fact.version)


def reject(
    conn: Connection, name: str, profile: str, *, who: str, why: str, content: str | None = None
) -> Rejection:
    """Refuse the draft that waits for a period: the published revision stands. ``content`` as in ``waiting``.

    Raises InvalidInput where none waits or no reason is given, Conflict when it was changed meanwhile.
    """
    check_reason(why)
    refused = waiting(conn, name, profile, content=content)
    kind, key = _REJECTION + profile, refused.report.week
    value = {"hash": refused.content_hash, "corrections": len(refused.report.corrections)}
    before = facts.get(conn, kind, key)
    if before is None:
        fact = facts.assert_fact(
            conn, kind=kind, key=key, value=value, valid=refused.report.interval, who=who, why=why
        )
    else:
        fact = facts.supersede(conn, kind=kind, key=key, value=value, who=who, why=why, expect=before.version)
    close_draft(conn, profile, key, who=who, why=why)
    return _rejection(fact)


def is_rejected(conn: Connection, profile: str, report: Report) -> bool:
    """Whether the last correction of this report that was rejected says the same."""
    fact = facts.get(conn, _REJECTION + profile, report.week)
    return fact is not None and (fact.value or {})["hash"] == content_hash(report)


def rejections(conn: Connection) -> list[Rejection]:
    """The last rejection of each report, by profile and period."""
    return [
        _rejection(fact)
        for kind in facts.kinds(conn, prefix=_REJECTION)
        for fact in facts.standing(conn, kind)
    ]


def check_reason(why: str) -> None:
    """Refuse a decision without a reason. Raises InvalidInput."""
    if not why.strip():
        raise InvalidInput("why", why, "say why: it stays on record with the decision")


def _draft(fact: Fact) -> Draft:
    value = fact.value or {}
    return Draft(
        profile=fact.kind.removeprefix(_DRAFT),
        report=from_json(value["report"]),
        content_hash=value["hash"],
        opened_at=fact.known_from,
    )


def _rejection(fact: Fact) -> Rejection:
    return Rejection(
        profile=fact.kind.removeprefix(_REJECTION),
        report=fact.key,
        content_hash=(fact.value or {})["hash"],
        who=fact.who,
        why=fact.why,
        rejected_at=fact.known_from,
    )
