"""What the weekly report says of the factory beside its cycles: what was applied, what the guard found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection

from opengoc.base.interval import Interval
from opengoc.factory import applied, findings
from opengoc.factory.findings import Known
from opengoc.reports.wording import moment_text

_SHORT_DIGEST = 12


def applied_lines(conn: Connection, window: Interval, *, as_of: datetime) -> Iterator[str]:
    """What was put in force within a window, a sentence each, oldest first."""
    for factory, each in applied.within(conn, window, known_at=as_of):
        why = f" ({each.why})" if each.why else ""
        yield (
            f"{factory}: {each.action} of digest {each.digest[:_SHORT_DIGEST]} at {moment_text(each.at)} "
            f"by {each.who}{why}: {applied.in_words(each.difference)}"
        )


def finding_lines(conn: Connection, window: Interval, *, as_of: datetime) -> Iterator[str]:
    """What the guard found within a window, a sentence each, the first seen first."""
    for known in findings.within(conn, window, known_at=as_of):
        yield _sentence(known)


def _sentence(known: Known) -> str:
    finding, end = known.finding, known.seen.end
    where = f" at entry {finding.entry}" if finding.entry else ""
    until = f"until {moment_text(end)}" if end is not None else "stands"
    seen = f"first seen {moment_text(known.seen.start)}, {until}"
    done = f"done: {finding.action.value}"
    return f"{finding.kind.value}: {finding.subject}{where}, {seen}; {done}; {finding.evidence}"
