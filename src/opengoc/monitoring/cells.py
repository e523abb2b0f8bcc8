"""A/R computed before: one cell for each profile, site and UTC day that is over.

A cell has two layers. ``measured``: the endpoints before downtimes, which follow from results, expectations,
topology and requests. ``counts``: seconds per state of every node, which follow from ``measured``, downtimes
and profile. A late downtime empties the second only. ``inputs`` is the hash of all that counts follow from.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

from sqlalchemy import Connection, and_, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from opengoc.base.ids import canonical_json, digest
from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring.availability import DayCount, Node, day_counts, overlaid_of, risen, windows_of
from opengoc.monitoring.model import Endpoint, Status
from opengoc.monitoring.profile import Profile
from opengoc.monitoring.timeline import Timeline
from opengoc.registry.downtime import Downtime
from opengoc.store.schema import ar_cells

_LETTERS = {
    Status.OK: "o",
    Status.WARNING: "w",
    Status.CRITICAL: "c",
    Status.UNKNOWN: "u",
    Status.MISSING: "m",
    Status.DOWNTIME: "d",
    Status.EXCLUDED: "x",
}
_STATES = {letter: state for state, letter in _LETTERS.items()}

#: Site and first second of the day.
SiteDay = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One site on one day under one profile."""

    site: str
    day: int
    #: Endpoints before downtimes; left out of a cell that is counted.
    measured: Mapping[Endpoint, Timeline]
    #: Every node from the endpoints to the site, the site last; empty: to be counted again.
    counts: Sequence[DayCount] = ()
    #: SHA-256 of everything the counts follow from; empty as long as nothing is counted.
    inputs: str = ""
    #: Whether it was computed now, not read.
    fresh: bool = field(default=False, compare=False)

    @property
    def of_site(self) -> DayCount:
        """The counters of the site itself."""
        return self.counts[-1]


def counted(cell: Cell, downtimes: Mapping[str, Collection[Downtime]], profile: Profile) -> Cell:
    """The cell with its nodes counted; where the inputs are as they were, what was counted then. Pure."""
    start, end = cell.day, cell.day + SECONDS_PER_DAY
    windows = {
        endpoint: tuple(
            sorted(windows_of(endpoint, downtimes.get(endpoint.resource, ()), profile, start, end))
        )
        for endpoint in cell.measured
    }
    said = [profile.digest, cell.site, cell.day, _measured_text(cell.measured)]
    said += [[str(endpoint), list(covering)] for endpoint, covering in sorted(windows.items()) if covering]
    inputs = digest(canonical_json(said))
    if cell.counts and inputs == cell.inputs:
        return cell
    endpoints = {
        endpoint: Node(
            level="endpoint",
            name=(endpoint.site, endpoint.resource, endpoint.service),
            measured=measured,
            overlaid=overlaid_of(measured, windows[endpoint], profile),
            metrics={},
        )
        for endpoint, measured in cell.measured.items()
    }
    site = risen(endpoints, profile)[cell.site]
    counts = tuple(count for node in _upwards(site) for count in day_counts(node))
    return replace(cell, counts=counts, inputs=inputs, fresh=True)


def _upwards(node: Node) -> Iterable[Node]:
    for child in node.children:
        yield from _upwards(child)
    yield node


def read(
    conn: Connection, profile: Profile, *, start: int, end: int, sites: Collection[str] | None = None
) -> dict[SiteDay, Cell]:
    """The cells of [start, end) that are there: counted, or else what was measured."""
    wanted = and_(ar_cells.c.profile == profile.digest, ar_cells.c.day >= start, ar_cells.c.day < end)
    # What was measured is long, and asked for only where it is still to be counted.
    uncounted = case((ar_cells.c.counts.is_(None), ar_cells.c.measured)).label("measured")
    chosen = (ar_cells.c.site, ar_cells.c.day, uncounted, ar_cells.c.counts, ar_cells.c.inputs)
    query = select(*chosen).where(wanted)
    if sites is not None:
        query = query.where(ar_cells.c.site.in_(list(sites)))
    return {
        (row.site, row.day): Cell(
            site=row.site,
            day=row.day,
            measured={} if row.counts is not None else _measured_of(row.site, row.day, row.measured),
            counts=() if row.counts is None else _Kept(row.day, row.counts),
            inputs=row.inputs,
        )
        for row in conn.execute(query)
    }


def write(conn: Connection, profile: Profile, cells: Iterable[Cell]) -> None:
    """Keep counted cells in the place of what was there."""
    rows = [
        {
            "profile": profile.digest,
            "site": cell.site,
            "day": cell.day,
            "measured": _measured_text(cell.measured),
            "counts": _counts_text(cell.counts),
            "inputs": cell.inputs,
        }
        for cell in cells
    ]
    if not rows:
        return
    postgres = conn.dialect.name == "postgresql"
    new = postgresql.insert(ar_cells) if postgres else sqlite.insert(ar_cells)
    said = {name: new.excluded[name] for name in ("measured", "counts", "inputs")}
    keys = [ar_cells.c.profile, ar_cells.c.site, ar_cells.c.day]
    conn.execute(new.on_conflict_do_update(index_elements=keys, set_=said), rows)


def drop(conn: Connection, site: str, *, start: int, end: int, measured: bool) -> int:
    """Forget the counts of a site's days that touch [start, end), or all of them; gives how many cells."""
    day = start - start % SECONDS_PER_DAY
    touched = and_(ar_cells.c.site == site, ar_cells.c.day >= day, ar_cells.c.day < end)
    if measured:
        return conn.execute(delete(ar_cells).where(touched)).rowcount
    return conn.execute(
        update(ar_cells).where(touched, ar_cells.c.counts.is_not(None)).values(counts=None)
    ).rowcount


def _measured_text(measured: Mapping[Endpoint, Timeline]) -> str:
    """[[resource, service, "0o3600c"], …]: second of the day and state of each change."""
    return canonical_json(
        [
            [
                endpoint.resource,
                endpoint.service,
                "".join(f"{at % SECONDS_PER_DAY}{_LETTERS[state]}" for at, state in timeline.changes),
            ]
            for endpoint, timeline in sorted(measured.items(), key=lambda item: item[0])
        ]
    )


def _measured_of(site: str, day: int, content: str) -> dict[Endpoint, Timeline]:
    found = {}
    for resource, service, changes in json.loads(content):
        read, at = [], 0
        for letter in changes:
            if letter.isdigit():
                at = at * 10 + int(letter)
            else:
                read.append((day + at, _STATES[letter]))
                at = 0
        found[Endpoint(site, resource, service)] = Timeline(tuple(read), day + SECONDS_PER_DAY)
    return found


def _counts_text(counts: Iterable[DayCount]) -> str:
    return canonical_json(
        [
            [count.level, list(count.name), _seconds_text(count.measured)]
            + ([] if count.overlaid == count.measured else [_seconds_text(count.overlaid)])
            for count in counts
        ]
    )


class _Kept(Sequence[DayCount]):
    """Counters in the text they are kept as, read when they are asked for: most ask for the site's alone."""

    def __init__(self, day: int, content: str) -> None:
        self._day = day
        self._content = content

    def __bool__(self) -> bool:
        return self._content != "[]"

    def __len__(self) -> int:
        return len(json.loads(self._content))

    @overload
    def __getitem__(self, index: int) -> DayCount: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[DayCount, ...]: ...

    def __getitem__(self, index: int | slice) -> DayCount | tuple[DayCount, ...]:
        if isinstance(index, slice):
            return tuple(self)[index]
        return _count_of(self._day, json.loads(self._content)[index])

    def __iter__(self) -> Iterator[DayCount]:
        return (_count_of(self._day, each) for each in json.loads(self._content))


def _count_of(day: int, kept: Sequence[Any]) -> DayCount:
    level, name, *layers = kept
    return DayCount(
        level=level,
        name=tuple(name),
        day=day,
        measured=_seconds_of(layers[0]),
        overlaid=_seconds_of(layers[-1]),
    )


def _seconds_text(seconds: Mapping[Status, int]) -> dict[str, int]:
    return {_LETTERS[state]: count for state, count in seconds.items()}


def _seconds_of(seconds: Mapping[str, int]) -> dict[Status, int]:
    return {_STATES[letter]: count for letter, count in seconds.items()}
