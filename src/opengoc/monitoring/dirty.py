"""Which cells a new fact or a late batch of results touches. Exactly: what is not touched cannot change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_DAY
from opengoc.monitoring import expectation, recomputation
from opengoc.monitoring.circumstances import DOWNTIME, TOPOLOGY, UNREGISTERED, Circumstances
from opengoc.monitoring.terms import BEGINNING, FOREVER
from opengoc.monitoring.timeline import Spans
from opengoc.store.facts import Fact

#: Kinds of facts that can move A/R.
KINDS = (DOWNTIME, expectation.KIND, recomputation.KIND, *TOPOLOGY)

#: A result decides its own day and the next one: see ``timeline.needed`` of every profile.
REACH_SECONDS = 2 * SECONDS_PER_DAY


@dataclass(frozen=True, kw_only=True)
class Touch:
    """Days of one site that a change touches: all that overlap [start, end)."""

    site: str
    start: int
    end: int
    #: False: only what is laid over changes.
    measured: bool


def touched_by_results(days: Iterable[tuple[str, int]], known: Circumstances) -> Iterator[Touch]:
    """What results about resources on these days (their first seconds) touch."""
    for resource, day in set(days):
        for site in _sites(resource, known):
            yield Touch(site=site, start=day, end=day + REACH_SECONDS, measured=True)


def touched_by_fact(fact: Fact, old: Fact | None, known: Circumstances) -> Iterator[Touch]:
    """What a new version of a fact touches, given the version before it.

    ``known``: the circumstances with the new version in.
    """
    if fact.kind == DOWNTIME:
        yield from _by_downtime(fact, old, known)
    elif fact.kind == expectation.KIND:
        yield from _by_expectation(fact, old, known)
    elif fact.kind == recomputation.KIND:
        yield from _by_request(fact, old, known)
    elif fact.kind in TOPOLOGY:
        yield from _by_topology(fact, old, known)


def _by_downtime(fact: Fact, old: Fact | None, known: Circumstances) -> Iterator[Touch]:
    for version in (fact, old):
        row = None if version is None else version.value
        if version is None or row is None:
            continue
        for name in {row["resource"], *known.names_of(row["resource_id"] or "")}:
            for site in _sites(name, known):
                start, end = _span(version.valid)
                yield Touch(site=site, start=start, end=end, measured=False)


def _by_expectation(fact: Fact, old: Fact | None, known: Circumstances) -> Iterator[Touch]:
    target, _ = expectation.target_of(fact)
    before: Spans = () if old is None else expectation.spans_of(old)
    for start, end in _differing(expectation.spans_of(fact), before):
        for site in _sites(target.resource, known):
            yield Touch(site=site, start=start, end=end, measured=True)


def _by_request(fact: Fact, old: Fact | None, known: Circumstances) -> Iterator[Touch]:
    for version in (fact, old):
        if version is None or version.value is None:
            continue
        request = recomputation.request_of(version)
        sites = {request.site} if request.site else _sites(request.resource, known)
        for site in sites:
            yield Touch(site=site, start=request.span[0], end=request.span[1], measured=True)


def _by_topology(fact: Fact, old: Fact | None, known: Circumstances) -> Iterator[Touch]:
    first = old is None
    start = BEGINNING if first else int(fact.known_from.timestamp())
    rows = [version.value for version in (fact, old) if version is not None and version.value is not None]
    if fact.kind == "site":
        # Another name for the same past.
        names = {str(row["name"]) for row in rows}
        if len(names) > 1 or first:
            for site in names:
                yield Touch(site=site, start=BEGINNING, end=FOREVER, measured=True)
        return
    if fact.kind == "resource":
        if len(rows) == 2 and all(_says(rows[0], name) == _says(rows[1], name) for name in _SHAPE):
            return
        resources = frozenset(str(row["name"]) for row in rows)
    else:
        if len(rows) == 2 and rows[0]["site"] == rows[1]["site"]:
            return
        resources = known.of_group(fact.key)
    sites = {site for resource in resources for site in _sites(resource, known)} | {UNREGISTERED}
    for site in sites:
        yield Touch(site=site, start=start, end=FOREVER, measured=True)


#: What of a resource decides where its endpoints stand.
_SHAPE = ("name", "group", "active", "disabled", "services")


def _says(row: Mapping[str, object], name: str) -> object:
    said = row[name]
    return sorted(service["kind"] for service in said) if isinstance(said, list) else said


def _sites(resource: str, known: Circumstances) -> set[str]:
    """Every site at which a resource of this name ever stood."""
    spells = known.presences.get(resource)
    return {UNREGISTERED} if spells is None else {presence.site for presence in spells}


def _span(valid: Interval) -> tuple[int, int]:
    # A fraction of a second is cut off where windows are: the second it lies in is touched.
    end = FOREVER if valid.end is None else int(valid.end.timestamp()) + 1
    return int(valid.start.timestamp()), end


def _differing(new: Spans, old: Spans) -> Iterator[tuple[int, int]]:
    """Where one of the two holds and the other does not."""
    edges = sorted({edge for span in (*new, *old) for edge in span})
    for start, end in pairwise(edges):
        in_new = any(a <= start < b for a, b in new)
        in_old = any(a <= start < b for a, b in old)
        if in_new != in_old:
            yield start, end
