"""Published reports: each revision is a version of one fact per week, and none is ever changed.

The weekly production report is one kind of fact; each other series of reports (``availability_kind``) is one
of its own, whose ``week`` is the name of its period.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import canonical_json, digest
from opengoc.reports.compare import Change, corrections
from opengoc.reports.document import content_hash, from_json, to_json
from opengoc.reports.model import Correction, Report
from opengoc.store import facts

#: Kind of the facts of the weekly report; the key is the week, the version the revision.
KIND = "report"


def availability_kind(profile: str) -> str:
    """Kind of the facts of the A/R reports under a profile; the key is ``A/R`` and the period."""
    return f"ar-report/{profile}"


@dataclass(frozen=True, kw_only=True)
class Publication:
    """One revision as it was published."""

    report: Report
    #: SHA-256 of what it says, the same for two reports that say the same.
    content_hash: str
    #: Where the change feed stood when it was made: what came later may explain a correction.
    feed: int
    who: str
    published_at: datetime
    #: False: publishing again found nothing changed, and this revision stands as it was.
    new: bool = False

    @property
    def document_hash(self) -> str:
        """SHA-256 of this very revision, all of it."""
        return digest(canonical_json(to_json(self.report)))


def publish(
    conn: Connection,
    draft: Report,
    changes: Iterable[Change],
    *,
    feed: int,
    who: str,
    why: str = "",
    kind: str = KIND,
) -> Publication:
    """Publish a draft as the next revision; where it says nothing new, the standing revision is the answer.

    1. The same content as the standing revision: nothing is written.
    2. Else every figure that differs becomes a correction, with the causes among ``changes``.
    3. The new revision carries these, after the corrections that earlier revisions carried.

    Raises InvalidInput for a draft older than what stands, Conflict when somebody else published at once.
    """
    standing = published(conn, draft.week, kind=kind)
    if standing is None:
        first = draft.as_revision(len(facts.history(conn, kind, draft.week)) + 1, draft.corrections)
        return _write(conn, kind, first, feed, who, why, expect=None)
    if draft.as_of < standing.report.as_of:
        raise InvalidInput(
            f"report {draft.week}",
            draft.as_of.isoformat(),
            f"knows less than revision {standing.report.revision}: publish as of a later time",
        )
    if content_hash(draft) == standing.content_hash:
        return replace(standing, new=False)
    carried = [item for item in standing.report.corrections if item.week == draft.week]
    found = corrections(standing.report, draft, changes)
    elsewhere = [item for item in draft.corrections if item.week != draft.week]
    revision = draft.as_revision(standing.report.revision + 1, (*carried, *found, *elsewhere))
    return _write(conn, kind, revision, feed, who, why, expect=standing.report.revision)


def published(
    conn: Connection, week: str, revision: int | None = None, *, kind: str = KIND
) -> Publication | None:
    """A published revision of a week (None: the latest); None where there is none."""
    if revision is None:
        fact = facts.get(conn, kind, week)
        return None if fact is None else _publication(fact)
    for fact in facts.history(conn, kind, week):
        if fact.version == revision and fact.value is not None:
            return _publication(fact)
    return None


def revisions(conn: Connection, week: str, *, kind: str = KIND) -> tuple[Publication, ...]:
    """Every published revision of a week, oldest first."""
    return tuple(_publication(fact) for fact in facts.history(conn, kind, week) if fact.value is not None)


def latest_of_each_week(
    conn: Connection, *, known_at: datetime | None = None, kind: str = KIND
) -> tuple[Publication, ...]:
    """The revision of every week that stood at ``known_at`` (None: now), oldest week first."""
    return tuple(_publication(fact) for fact in facts.standing(conn, kind, known_at=known_at))


def corrections_since(publications: Iterable[Publication], week: str) -> tuple[Correction, ...]:
    """The corrections that these reports of other weeks carry about themselves."""
    return tuple(
        correction
        for publication in publications
        for correction in publication.report.corrections
        if correction.week == publication.report.week != week
    )


def _write(
    conn: Connection, kind: str, report: Report, feed: int, who: str, why: str, *, expect: int | None
) -> Publication:
    said = content_hash(report)
    value = {"hash": said, "feed": feed, "report": to_json(report)}
    if expect is None:
        fact = facts.assert_fact(
            conn, kind=kind, key=report.week, value=value, valid=report.interval, who=who, why=why
        )
    else:
        fact = facts.supersede(conn, kind=kind, key=report.week, value=value, who=who, why=why, expect=expect)
    return replace(_publication(fact), new=True)


def _publication(fact: facts.Fact) -> Publication:
    assert fact.value is not None
    return Publication(
        report=from_json(fact.value["report"]),
        content_hash=fact.value["hash"],
        feed=fact.value["feed"],
        who=fact.who,
        published_at=fact.known_from,
    )
