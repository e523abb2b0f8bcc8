"""Collect from batch systems that are asked: every record stored once, whatever is killed when.

A feed gives pages of bytes, and with each where it stands once the page is stored. Pages overlap what was
given before, so that what a batch system wrote late is found; records that are known are duplicates. A page
goes into the raw store, its new rows into the lake in one commit, and its quarantine and the cursor into the
database in one transaction: killed in between, the page is asked for again. A feed that fails gives no page,
and the source is unread from there: never empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from opengoc.accounting import quarantine, state, table
from opengoc.accounting.follow import Unreadable
from opengoc.accounting.ingest import Collected, Counts, Stores
from opengoc.accounting.receiving import take
from opengoc.accounting.seen import Known
from opengoc.accounting.source import Source
from opengoc.accounting.state import State
from opengoc.base.instant import utc_now
from opengoc.store import ledger


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a batch system answered to one question."""

    #: What was asked, for people: it stands for the file's name.
    asked: str
    content: bytes
    #: The head that says how the content is read, for formats that have one.
    preamble: bytes = b""
    #: Where the feed stands once this is stored, as JSON values.
    cursor: Mapping[str, Any]


class Feed(Protocol):
    """Asks a batch system for the jobs that ended."""

    def since(self, cursor: Mapping[str, Any] | None, now: datetime) -> datetime:
        """From when on the jobs are asked for."""
        ...

    def pages(self, cursor: Mapping[str, Any] | None, now: datetime) -> Iterator[Page]:
        """All that ended since ``cursor``, page by page. Raises Unreadable when it is not answered whole."""
        ...


def collect_live(
    source: Source, feed: Feed, stores: Stores, *, who: str, clock: Callable[[], datetime] = utc_now
) -> Collected:
    """Ask for what is new and store it, exactly once. Hold the role ``accounting`` around this.

    A feed that fails ends as state ``missing`` with the reason, after what it gave. Raises Temporary when the
    disk is full or a store is away: nothing is lost, and the next call goes on.
    """
    table.declare(stores.lake)
    name, started = f"accounting:{source.name}", clock()
    with stores.database.read() as conn:
        cursor: dict[str, Any] | None = ledger.cursor(conn, name)
    begun = feed.since(cursor, started)
    counts, size, reason = Counts(), 0, ""
    first: datetime | None = None
    with Known(stores.lake) as known:
        try:
            for page in feed.pages(cursor, started):
                now = clock()
                # A feed gives UTC; ``time_zone`` speaks of a log.
                told = replace(source, preamble=page.preamble, time_zone="UTC")
                taken = take(page.content, told, stores, known, now=now, place=page.asked)
                with stores.database.begin() as conn:
                    quarantine.put(conn, taken.faults, now=now, who=who)
                    ledger.move_cursor(conn, name, dict(page.cursor), expect=cursor)
                cursor = dict(page.cursor)
                counts, size = counts + taken.counts, size + len(page.content)
                first = min([each for each in (first, *taken.ends) if each], default=None)
        except Unreadable as error:
            reason = str(error)
    with stores.database.begin() as conn:
        before = state.load(conn, source)
        current = replace(
            before,
            state=State.MISSING if reason else State.OK,
            reason=reason,
            tried_at=started,
            read_through=before.read_through if reason else started,
            since=min([e for e in (before.since, first, None if reason else begun) if e], default=None),
        )
        state.save(conn, current, now=clock(), who=who)
    return Collected(source=source.name, counts=counts, bytes=size, state=current)
