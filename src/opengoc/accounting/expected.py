"""Which sources are expected to report, from when to when: facts, with who says so and why.

A source of the settings is expected without such a fact, for as long as it is configured. Where there are
facts of a source, they alone say when it is expected. A source that is not expected may be silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from opengoc.accounting.model import Kind
from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.instant import format_instant
from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.facts import Fact

KIND = "accounting-expected"
#: A source that was not heard of for so long is silent, unless it is said otherwise: what comes once a day
#: may be half a day late.
SILENT_HOURS = 36.0


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One stretch of time in which a source is expected to report."""

    source: str
    #: What its records count.
    records: Kind
    #: Site whose records they are; None: of any site.
    site: str | None
    interval: Interval
    #: It may be silent for so long.
    silent_hours: float = SILENT_HOURS
    who: str = ""
    why: str = ""

    @property
    def key(self) -> str:
        """The key of its fact."""
        return f"{self.source}/{format_instant(self.interval.start)}"


def expect(conn: Connection, expectation: Expectation, *, who: str, why: str) -> Expectation:
    """Say that a source is expected. Raises InvalidInput, Conflict where it is expected already."""
    if not expectation.source or "/" in expectation.source:
        raise InvalidInput("source", expectation.source, "must be a name without a slash")
    if not 0 < expectation.silent_hours < float("inf"):
        raise InvalidInput("silent hours", expectation.silent_hours, "must be more than 0")
    for other in of_source(standing(conn), expectation.source):
        if other.interval.overlaps(expectation.interval):
            raise Conflict(f"{other.source} is expected over {other.interval} already: end that first")
    value = {
        "source": expectation.source,
        "records": expectation.records.value,
        "site": expectation.site,
        "silent_hours": expectation.silent_hours,
    }
    made = facts.assert_fact(
        conn,
        kind=KIND,
        key=expectation.key,
        value=value,
        valid=expectation.interval,
        who=who,
        why=why,
        source="accounting",
    )
    return _expectation(made)


def end(conn: Connection, source: str, *, at: datetime, who: str, why: str) -> Expectation:
    """Expect a source no more from ``at`` on; one that was to begin later is taken back.

    Raises InvalidInput where nothing of it is expected then or later.
    """
    for fact in facts.standing(conn, KIND):
        found = _expectation(fact)
        if found.source != source or (found.interval.end is not None and found.interval.end <= at):
            continue
        if at <= found.interval.start:
            facts.retract(conn, kind=KIND, key=fact.key, who=who, why=why, expect=fact.version)
            return found
        ended = facts.supersede(
            conn,
            kind=KIND,
            key=fact.key,
            value=fact.value or {},
            valid=Interval(found.interval.start, at),
            who=who,
            why=why,
            source="accounting",
            expect=fact.version,
        )
        return _expectation(ended)
    raise InvalidInput("source", source, f"is not expected at {format_instant(at)} or later")


def standing(conn: Connection, *, known_at: datetime | None = None) -> list[Expectation]:
    """What is expected, as known at a moment (None: now), by source and start."""
    return [_expectation(fact) for fact in facts.standing(conn, KIND, known_at=known_at)]


def of_source(expectations: Iterable[Expectation], source: str) -> Sequence[Expectation]:
    """Those of one source."""
    return [each for each in expectations if each.source == source]


def _expectation(fact: Fact) -> Expectation:
    value = fact.value or {}
    return Expectation(
        source=value["source"],
        records=Kind(value["records"]),
        site=value["site"],
        interval=fact.valid,
        silent_hours=value["silent_hours"],
        who=fact.who,
        why=fact.why,
    )
