"""Runs of what feeds a source: from when to when, with what outcome, and what is left over.

An agent or a probe at a source says "alive, all that ended before this was given" (a heartbeat), or that a
run failed and of which time records are lacking therefore. The last word on a moment counts: a run that
failed is made good by a later one over the same time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from opengoc.accounting import state
from opengoc.accounting.model import EARLIEST
from opengoc.accounting.source import Source
from opengoc.accounting.state import State
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant
from opengoc.base.interval import Interval, union
from opengoc.store import facts
from opengoc.store.facts import Fact

KIND = "accounting-run"
_LONGEST_MESSAGE = 500


class Outcome(StrEnum):
    """How a run ended."""

    #: All of its time was read and given.
    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of what feeds a source."""

    source: str
    #: Whose records it was to give: those that ended in this time.
    interval: Interval
    outcome: Outcome
    #: What waits still, in the feeder's own count (records, batches, bytes); None where it does not say.
    backlog: int | None = None
    message: str = ""
    #: When the house learned of it.
    at: datetime

    @property
    def whole(self) -> bool:
        """Whether all records of its time were given."""
        return self.outcome is Outcome.OK and not self.backlog

    @property
    def heartbeat(self) -> bool:
        """Whether it speaks of all time before its end."""
        return self.interval.start == EARLIEST

    @property
    def words(self) -> str:
        """What became of it, for people."""
        said = {Outcome.OK: "was not whole", Outcome.FAILED: "failed", Outcome.TIMEOUT: "timed out"}
        waits = f", {self.backlog} wait" if self.backlog else ""
        told = f" ({self.message})" if self.message else ""
        return f"the run of {_span(self.interval)} {said[self.outcome]}{waits}{told}; to be recovered"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the runs of a source say of time."""

    #: All that ended then was given, as far as the feeder knows.
    covered: tuple[Interval, ...] = ()
    #: That very time was given, or given again: holes that were known before are filled.
    settled: tuple[Interval, ...] = ()
    #: A run failed and none made it good yet, with that run.
    failed: tuple[tuple[Interval, Run], ...] = ()


def told_by(runs: Iterable[Run]) -> Told:
    """What runs say of time, the last word on each moment. Pure."""
    covered: list[Interval] = []
    settled: list[Interval] = []
    failed: list[tuple[Interval, Run]] = []
    for run in sorted(runs, key=lambda each: each.at):
        if run.whole:
            covered = union([*covered, run.interval])
        if run.heartbeat:
            # It says that the feeder lives; a run that failed is made good by one that names its time.
            continue
        if run.whole:
            settled = union([*settled, run.interval])
            failed = [(left, of) for part, of in failed for left in part.without(run.interval)]
        else:
            covered = [left for part in covered for left in part.without(run.interval)]
            settled = [left for part in settled for left in part.without(run.interval)]
            failed.append((run.interval, run))
    return Told(covered=tuple(covered), settled=tuple(settled), failed=tuple(failed))


def report(
    conn: Connection,
    source: Source,
    *,
    start: datetime | None,
    end: datetime,
    outcome: Outcome = Outcome.OK,
    backlog: int | None = None,
    message: str = "",
    collected: bool = False,
    now: datetime,
    who: str,
) -> Run:
    """Keep what a feeder says of a run; a heartbeat has no ``start``: all that ended before was given.

    ``collected``: the house reads the source itself, and knows by that how far it was read. Raises
    InvalidInput for a failed run that does not say of what time, an end that is ahead, a negative backlog.
    """
    if start is None and outcome is not Outcome.OK:
        raise InvalidInput(
            "from", None, f"must say of what time a run with outcome {outcome.value} lacks records"
        )
    if end > now:
        raise InvalidInput("to", format_instant(end), "is in the future")
    if backlog is not None and backlog < 0:
        raise InvalidInput("backlog", backlog, "must not be negative")
    run = Run(
        source=source.name,
        interval=Interval(start or EARLIEST, end),
        outcome=outcome,
        backlog=backlog,
        message=message[:_LONGEST_MESSAGE],
        at=now,
    )
    _keep(conn, run, who=who)
    if run.whole and not collected:
        _heard(conn, source, run, now=now, who=who)
    return run


def standing(conn: Connection, *, known_at: datetime | None = None) -> list[Run]:
    """The runs that were told of, as known at a moment (None: now), in the order they were told."""
    found = [_run(fact) for fact in facts.standing(conn, KIND, known_at=known_at)]
    return sorted(found, key=lambda each: each.at)


def _keep(conn: Connection, run: Run, *, who: str) -> None:
    # One fact a stretch of time, and one for all heartbeats: each says what the one before it said, and more.
    # One that leaves something behind must not take the place of the last that did not.
    place = ("heartbeat" if run.whole else "alive") if run.heartbeat else format_instant(run.interval.start)
    key = f"{run.source}/{place}"
    value = {
        "source": run.source,
        "outcome": run.outcome.value,
        "backlog": run.backlog,
        "message": run.message,
    }
    before = facts.get(conn, KIND, key)
    words: dict[str, Any] = {"kind": KIND, "key": key, "value": value, "valid": run.interval, "who": who}
    if before is None:
        facts.assert_fact(conn, **words, source="accounting")
    else:
        facts.supersede(conn, **words, source="accounting", expect=before.version)


def _heard(conn: Connection, source: Source, run: Run, *, now: datetime, who: str) -> None:
    """The source was heard of up to the end of a run."""
    before = state.load(conn, source)
    assert run.interval.end is not None
    heard = max(before.read_through or run.interval.end, run.interval.end)
    known = before.since or (run.interval.end if run.heartbeat else run.interval.start)
    current = replace(
        before,
        state=State.OK,
        reason="",
        tried_at=now,
        read_through=heard,
        since=known,
        imported=True,
    )
    state.save(conn, current, now=now, who=who)


def _run(fact: Fact) -> Run:
    value = fact.value or {}
    return Run(
        source=value["source"],
        interval=fact.valid,
        outcome=Outcome(value["outcome"]),
        backlog=value["backlog"],
        message=value["message"],
        at=fact.known_from,
    )


def _span(interval: Interval) -> str:
    assert interval.end is not None
    return f"{interval.start:%Y-%m-%d %H:%M} to {interval.end:%Y-%m-%d %H:%M} UTC"
