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
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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

    cells: int
    touches: tuple[Touch, ...]


_NOTHING = Dirtied(cells=0, touches=())


class Availability:
    """A/R of whole days. Threads may share it; what changes seldom is read once and kept."""

    def __init__(self, lake: Lake, database: Database) -> None:
        self._lake = lake
        self._database = database
        #: All circumstances but downtimes, and the number of the newest fact in them.
        self._known: tuple[int, Circumstances] | None = None

    def look(self, *, now: datetime) -> Dirtied:
        """Empty the cells that anything new touches."""
        with self._database.read() as conn:
            cursor = ledger.cursor(conn, _CURSOR)
            new = bool(batches.told(conn, now=now)) or bool(_page(conn, _seq(cursor)))
        if cursor is not None and not new:
            return _NOTHING
        try:
            with self._database.begin() as conn:
                return self._look(conn, now)
        except Conflict:
            # Somebody else looked at the same moment: as good as ours.
            return _NOTHING

    def days(
        self,
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
        self.look(now=now)
        window = Interval(_moment(start), _moment(end))
        with self._database.read() as conn:
            cursor = ledger.cursor(conn, _CURSOR)
            known = self.circumstances(conn, window, sites=sites)
            there = cells.read(conn, profile, start=start, end=end, sites=sites)
        names = known.site_names() if sites is None else set(sites)
        wanted = {(site, day) for site in names for day in range(start, end, SECONDS_PER_DAY)}
        lacking = sorted(wanted - there.keys(), key=lambda site_day: (site_day[1], site_day[0]))
        standing = [there[key] for key in wanted & there.keys()]
        found = {(cell.site, cell.day): cell for cell in standing if cell.counts}
        found |= self._count([cell for cell in standing if not cell.counts], known, profile, cursor)
        for piece in _pieces(lacking):
            made = _measure(self._lake, known, profile, piece, now=now)
            found |= self._count(made, known, profile, cursor)
        return found

    def circumstances(
        self, conn: Connection, window: Interval, *, sites: Collection[str] | None = None
    ) -> Circumstances:
        """The circumstances as they stand, with the downtimes that touch a window; of some sites, or all."""
        return circumstances.with_downtimes(conn, self._standing(conn), window=window, sites=sites)

    def _count(
        self, measured: Iterable[Cell], known: Circumstances, profile: Profile, cursor: object
    ) -> dict[SiteDay, Cell]:
        found = {
            (cell.site, cell.day): counted
            for cell in measured
            if (counted := cells.counted(cell, known.downtimes, profile)).counts
        }
        fresh = [cell for cell in found.values() if cell.fresh]
        if fresh:
            with self._database.begin() as conn:
                if ledger.cursor(conn, _CURSOR) == cursor:
                    cells.write(conn, profile, fresh)
        return {key: replace(cell, measured={}) for key, cell in found.items()}

    def _look(self, conn: Connection, now: datetime) -> Dirtied:
        cursor = ledger.cursor(conn, _CURSOR)
        waiting = batches.told(conn, now=now)
        if cursor is None:
            # Before the first look there is no cell: nothing is to be emptied.
            batches.forget(conn, waiting)
            ledger.move_cursor(conn, _CURSOR, {"seq": facts.head(conn), "turn": 0}, expect=None)
            return _NOTHING
        new = list(_news(conn, _seq(cursor)))
        known = self._standing(conn)
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
        return Dirtied(cells=dropped, touches=tuple(order))

    def _standing(self, conn: Connection) -> Circumstances:
        newest = facts.head(conn, kinds=_SELDOM)
        known = self._known
        if known is None or known[0] != newest:
            known = self._known = (newest, circumstances.without_downtimes(conn))
        return known[1]


#: Kinds of facts that circumstances are made of, downtimes apart.
_SELDOM = tuple(kind for kind in KINDS if kind != circumstances.DOWNTIME)


def _pieces(lacking: Iterable[SiteDay]) -> Iterator[list[SiteDay]]:
    """Cells of days that follow one another, of at most a chunk's length together."""
    of_day: defaultdict[int, list[SiteDay]] = defaultdict(list)
    for site, day in lacking:
        of_day[day].append((site, day))
    chunk: list[int] = []
    for day in sorted(of_day):
        if chunk and (day != chunk[-1] + SECONDS_PER_DAY or len(chunk) == _CHUNK_DAYS):
            yield [cell for each in chunk for cell in of_day[each]]
            chunk = []
        chunk.append(day)
    if chunk:
        yield [cell for each in chunk for cell in of_day[each]]


def _measure(
    lake: Lake, known: Circumstances, profile: Profile, piece: Collection[SiteDay], *, now: datetime
) -> Iterator[Cell]:
    """Cells of one piece with their endpoints measured; none for a site without endpoints."""
    start, end = min(day for _, day in piece), max(day for _, day in piece) + SECONDS_PER_DAY
    sites = {site for site, _ in piece}
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
        for today in by_day(measured):
            by_site_day[endpoint.site, today.start][endpoint] = today
    wanted = set(piece)
    for (site, day), endpoints in by_site_day.items():
        if (site, day) in wanted:
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
