"""A/R of whole days from cells: what is dirty is computed again, all else is read.

1. What is new since the last look (facts by the change feed, results by their batches) empties exactly the
   cells it touches, in one transaction with the cursor.
2. The cells that are asked for and empty are computed from lake and facts.
3. They are kept only if nobody took that look meanwhile; else they are right for this answer, and computed
   again for the next.

Killed at any line, the next call finds a cell right, or empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from opengoc.base.errors import Conflict
from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring import batches, cells, circumstances, store
from opengoc.monitoring.availability import measured_of
from opengoc.monitoring.cells import Cell, SiteDay
from opengoc.monitoring.circumstances import Circumstances
from opengoc.monitoring.dirty import KINDS, Touch, touched_by_fact, touched_by_results
from opengoc.monitoring.model import Endpoint
from opengoc.monitoring.profile import Profile
from opengoc.monitoring.terms import Terms
from opengoc.monitoring.timeline import Timeline, by_day, needed
from opengoc.store import facts, ledger
from opengoc.store.database import Database
from opengoc.store.facts import Fact
from opengoc.store.lake import Lake

_CURSOR = "availability"
_PAGE = 1000
#: Days computed together: each piece reads one day before it for the states that days start in.
_CHUNK_DAYS = 8


@dataclass(frozen=True, kw_only=True)
class Dirtied:
    """What a look at the news emptied."""

    #: Facts and batches that were new.
    news: int
    cells: int
    touches: tuple[Touch, ...]


def look(database: Database, *, now: datetime) -> Dirtied:
    """Empty the cells that anything new touches. Raises Conflict never: another look is as good as ours."""
    with database.read() as conn:
        cursor = ledger.cursor(conn, _CURSOR)
        new = bool(batches.told(conn, now=now)) or bool(_page(conn, _seq(cursor)))
    if cursor is not None and not new:
        return Dirtied(news=0, cells=0, touches=())
    try:
        with database.begin() as conn:
            return _look(conn, now)
    except Conflict:
        return Dirtied(news=0, cells=0, touches=())


def _look(conn: Connection, now: datetime) -> Dirtied:
    cursor = ledger.cursor(conn, _CURSOR)
    waiting = batches.told(conn, now=now)
    if cursor is None:
        # Before the first look there is no cell: nothing is to be emptied.
        batches.forget(conn, waiting)
        ledger.move_cursor(conn, _CURSOR, {"seq": facts.head(conn), "turn": 0}, expect=None)
        return Dirtied(news=0, cells=0, touches=())
    new = list(_news(conn, _seq(cursor)))
    known = circumstances.read(conn, downtimes=False)
    touches = set(touched_by_results([day for batch in waiting for day in batch.days], known))
    for fact, old in _with_old(conn, new):
        touches |= set(touched_by_fact(fact, old, known))
    dropped = sum(
        cells.drop(conn, touch.site, start=touch.start, end=touch.end, measured=touch.measured)
        for touch in touches
    )
    batches.forget(conn, waiting)
    seq = new[-1].seq if new else _seq(cursor)
    # The turn tells whoever is computing that what it reads may have been overtaken.
    ledger.move_cursor(conn, _CURSOR, {"seq": seq, "turn": cursor["turn"] + 1}, expect=cursor)
    order = sorted(touches, key=lambda touch: (touch.site, touch.start, touch.end, touch.measured))
    return Dirtied(news=len(new) + len(waiting), cells=dropped, touches=tuple(order))


def days(
    lake: Lake,
    database: Database,
    profile: Profile,
    *,
    start: int,
    end: int,
    now: datetime,
    sites: Collection[str] | None = None,
) -> dict[SiteDay, Cell]:
    """Every site (or these) on every UTC day of [start, end), which are midnights not after ``now``.

    What is there is read, the rest is computed and kept.
    """
    look(database, now=now)
    window = Interval(_moment(start), _moment(end))
    with database.read() as conn:
        cursor = ledger.cursor(conn, _CURSOR)
        known = circumstances.read(conn, window=window)
        there = cells.read(conn, profile, start=start, end=end, sites=sites)
    names = known.site_names() if sites is None else set(sites)
    wanted = {(site, day) for site in names for day in range(start, end, SECONDS_PER_DAY)}
    lacking = sorted(wanted - there.keys(), key=lambda site_day: (site_day[1], site_day[0]))
    measured = list(_measure(lake, known, profile, lacking, now=now))
    found = {
        key: counted
        for cell in (*there.values(), *measured)
        if (key := (cell.site, cell.day)) in wanted
        if (counted := cells.counted(cell, known.downtimes, profile)).counts
    }
    fresh = [cell for cell in found.values() if cell.fresh]
    if fresh:
        with database.begin() as conn:
            if ledger.cursor(conn, _CURSOR) == cursor:
                cells.write(conn, profile, fresh)
    return found


def _measure(
    lake: Lake,
    known: Circumstances,
    profile: Profile,
    lacking: Sequence[SiteDay],
    *,
    now: datetime,
) -> Iterator[Cell]:
    """Cells of these sites and days with their endpoints measured; none for a site without endpoints."""
    of_day: defaultdict[int, set[str]] = defaultdict(set)
    for site, day in lacking:
        of_day[day].add(site)
    for chunk in _chunks(sorted(of_day)):
        sites = set().union(*(of_day[day] for day in chunk))
        made = _measured_days(lake, known, profile, chunk[0], chunk[-1] + SECONDS_PER_DAY, sites, now)
        for cell in made:
            if cell.site in of_day[cell.day]:
                yield cell


def _chunks(in_order: Sequence[int]) -> Iterator[list[int]]:
    """Days that follow one another, at most a chunk's length together."""
    chunk: list[int] = []
    for day in in_order:
        if chunk and (day != chunk[-1] + SECONDS_PER_DAY or len(chunk) == _CHUNK_DAYS):
            yield chunk
            chunk = []
        chunk.append(day)
    if chunk:
        yield chunk


def _measured_days(
    lake: Lake,
    known: Circumstances,
    profile: Profile,
    start: int,
    end: int,
    sites: set[str],
    now: datetime,
) -> Iterator[Cell]:
    first, last = needed(profile.standing, start, end)
    terms = _endpoints(known, sites)
    resources = {endpoint.resource for endpoint in terms}
    # Few of many are asked for by name; for most of them it is quicker to read all.
    some = None if circumstances.UNREGISTERED in sites or len(resources) > _BY_NAME else resources
    read = store.readings(
        lake, Interval(_moment(first), _moment(last)), profile.standing, resources=some, as_of=now
    )
    terms |= {e: t for e, t in known.endpoints(read).items() if e.site in sites and e not in terms}
    by_site_day: defaultdict[SiteDay, dict[Endpoint, Timeline]] = defaultdict(dict)
    for endpoint, its in sorted(terms.items(), key=lambda item: item[0]):
        got = read.get(endpoint.target, {})
        counting = {
            metric: got.get(metric, [])
            for metric in got.keys() | its.expected.keys()
            if profile.counts(endpoint.service, metric)
        }
        _, measured = measured_of(counting, profile, start=start, end=end, terms=its)
        for piece in by_day(measured):
            by_site_day[endpoint.site, piece.start][endpoint] = piece
    for (site, day), endpoints in by_site_day.items():
        yield Cell(site=site, day=day, measured=endpoints)


#: Resources that are asked for by name.
_BY_NAME = 100


def _endpoints(known: Circumstances, sites: set[str]) -> dict[Endpoint, Terms]:
    if len(sites) > _BY_NAME:
        return {e: terms for e, terms in known.endpoints().items() if e.site in sites}
    return {e: terms for site in sites for e, terms in known.endpoints(site=site).items()}


def _news(conn: Connection, after: int) -> Iterator[Fact]:
    while page := _page(conn, after):
        yield from page
        after = page[-1].seq


def _page(conn: Connection, after: int) -> list[Fact]:
    return facts.changes(conn, after=after, limit=_PAGE, kinds=KINDS)


def _with_old(conn: Connection, new: Iterable[Fact]) -> Iterator[tuple[Fact, Fact | None]]:
    """Each new version with the one before it."""
    for fact in new:
        old = None
        if fact.version > 1:
            old = facts.version(conn, fact.kind, fact.key, fact.version - 1)
        yield fact, old


def _seq(cursor: Mapping[str, int] | None) -> int:
    return 0 if cursor is None else cursor["seq"]


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
