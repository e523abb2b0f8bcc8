"""Publishing the weekly report: draft, revision, the causes of what changed, and what is out of date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from opengoc.accounting import expected, runs, sequences
from opengoc.accounting import state as accounting_state
from opengoc.accounting import table as usage_table
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import parse_instant, utc_now
from opengoc.base.interval import week as week_interval
from opengoc.flows.availability import corrections_within
from opengoc.flows.weekly import Stores, changes_after, gather
from opengoc.monitoring import store as probe_store
from opengoc.monitoring import table as probe_table
from opengoc.reports import published as store
from opengoc.reports.compare import Change, corrections
from opengoc.reports.document import content_hash
from opengoc.reports.model import Cause, Correction, Report
from opengoc.reports.published import Publication
from opengoc.reports.weekly import build
from opengoc.reports.wording import moment_text
from opengoc.store import facts
from opengoc.store.facts import Fact
from opengoc.store.lake import Lake

USAGE, MONITORING = "usage", "monitoring"

#: Kinds of facts that can move a figure, and which figures.
_FAMILIES = {
    "downtime": {MONITORING},
    "site": {USAGE, MONITORING},
    "group": {USAGE, MONITORING},
    "resource": {USAGE, MONITORING},
    "vo": {USAGE},
    accounting_state.KIND: {USAGE},
    expected.KIND: {USAGE},
    runs.KIND: {USAGE},
    sequences.KIND: {USAGE},
}
_OF_ACCOUNTING = (accounting_state.KIND, expected.KIND, runs.KIND, sequences.KIND)
#: Earlier reports that a new one looks back at.
_LOOK_BACK = timedelta(weeks=8)


def draft(stores: Stores, week: str, *, as_of: datetime, now: datetime) -> Report:
    """A week's report as known at ``as_of``, with the corrections of earlier weeks; nothing is kept.

    Raises InvalidInput for no week, Temporary when a store is away.
    """
    as_of = min(as_of, now)
    inputs = gather(stores, week, as_of=as_of)
    with stores.database.read() as conn:
        others = store.latest_of_each_week(conn, known_at=as_of)
        of_availability = corrections_within(conn, week_interval(week), known_at=as_of)
    start = week_interval(week).start
    earlier = [p for p in others if start - _LOOK_BACK <= p.report.interval.start < start]
    told = [c for c in store.corrections_since(earlier, week) if _told_since(earlier, c, start)]
    return build(replace(inputs, corrections=(*told, *of_availability)), week, as_of, now)


def standing_or_draft(stores: Stores, week: str, *, as_of: datetime, now: datetime) -> Report:
    """What a reader should see: the published revision while it holds, else the draft that would follow it.

    Such a draft carries what it would correct, so that a reader of both sees why they differ.
    """
    fresh = draft(stores, week, as_of=as_of, now=now)
    with stores.database.read() as conn:
        published = [p for p in store.latest_of_each_week(conn, known_at=as_of) if p.report.week == week]
    if not published:
        return fresh
    (standing,) = published
    if content_hash(fresh) == standing.content_hash:
        return standing.report
    changes = changes_between(stores, standing, fresh.as_of)
    found = corrections(standing.report, fresh, changes, published=False)
    return fresh.as_revision(0, (*found, *fresh.corrections))


def publish(
    stores: Stores, week: str, *, who: str, why: str = "", clock: Callable[[], datetime] = utc_now
) -> Publication:
    """Publish a week as it is known now; the standing revision is the answer when it says the same.

    1. Close the known time: what the revision rests on can never change any more.
    2. Build the draft as of that moment.
    3. Write it as the next revision, with the causes of what changed since the one before.

    Raises InvalidInput for a week that has not begun, Conflict when somebody else published it meanwhile.
    """
    with stores.database.begin() as conn:
        as_of = facts.known_now(conn)
        feed = facts.head(conn)
    now = max(as_of, clock())
    if week_interval(week).start > now:
        raise InvalidInput("week", week, "has not begun: there is nothing to publish yet")
    report = draft(stores, week, as_of=as_of, now=now)
    with stores.database.read() as conn:
        standing = store.published(conn, week)
    changes = list(changes_between(stores, standing, as_of)) if standing is not None else []
    with stores.database.begin() as conn:
        return store.publish(conn, report, changes, feed=feed, who=who, why=why)


def outdated(stores: Stores, *, now: datetime) -> tuple[Correction, ...]:
    """Figures of published reports, up to eight weeks back, that the facts no longer bear out.

    Each asks for a new revision of its week: ``publish`` it again.
    """
    found: list[Correction] = []
    with stores.database.read() as conn:
        standing = store.latest_of_each_week(conn)
    for publication in standing:
        if publication.report.interval.start < now - _LOOK_BACK:
            continue
        fresh = draft(stores, publication.report.week, as_of=now, now=now)
        changes = changes_between(stores, publication, now)
        found += corrections(publication.report, fresh, changes, published=False)
    return tuple(found)


def changes_between(stores: Stores, old: Publication, as_of: datetime) -> Iterator[Change]:
    """What became known between a publication and ``as_of`` that can move what it said of its week.

    What happened after the publication, in a week that still ran, moves nothing it said: it is no change.
    """
    window = old.report.interval
    registry = stores.registries.at(as_of)
    with stores.database.read() as conn:
        news = [f for f in changes_after(conn, old.feed, list(_FAMILIES)) if f.known_from <= as_of]
    for fact in news:
        if fact.kind == "downtime" and fact.valid.overlaps(window):
            known = registry.resources.get((fact.value or {}).get("resource", ""))
            yield Change(
                cause=Cause(what=_told(fact), who=fact.who, why=fact.why, known_at=fact.known_from),
                families=frozenset(_FAMILIES[fact.kind]),
                site=known.site if known is not None else "",
            )
    yield from _registry_changes(news)
    yield from _told_of_sources(fact for fact in news if fact.kind in _OF_ACCOUNTING)
    yield from _late_records(stores.lake, old, as_of)
    yield from _late_results(stores.lake, old, as_of)
    if old.report.week_is_over:
        yield from _read_further(fact for fact in news if fact.kind == accounting_state.KIND)


def _told_since(earlier: Iterable[Publication], correction: Correction, start: datetime) -> bool:
    """Whether the revision that brought the correction was published in this week or later."""
    return any(p.report.week == correction.week and p.published_at >= start for p in earlier)


def _told(fact: Fact) -> str:
    if fact.value is None:
        return f"downtime {fact.key} withdrawn"
    if fact.value.get("cancelled_at") is not None:
        return f"downtime {fact.key} cancelled"
    return f"downtime {fact.key} {'announced' if fact.version == 1 else 'changed'}"


def _registry_changes(news: Iterable[Fact]) -> Iterator[Change]:
    """One cause a kind of entry: an import may change hundreds."""
    by_kind: dict[str, list[Fact]] = {}
    for fact in news:
        if fact.kind not in ("downtime", *_OF_ACCOUNTING):
            by_kind.setdefault(fact.kind, []).append(fact)
    for kind, several in by_kind.items():
        last = several[-1]
        what = f"{len(several)} change(s) of {kind} entries in the registry"
        cause = Cause(what=what, who=last.who, why=last.why, known_at=last.known_from)
        yield Change(cause=cause, families=frozenset(_FAMILIES[kind]))


def _told_of_sources(news: Iterable[Fact]) -> Iterator[Change]:
    """What was said of sources, the last word on each: that one is expected, of its runs, of its batches."""
    for fact in {(fact.kind, fact.key): fact for fact in news}.values():
        source, _, place = fact.key.partition("/")
        if fact.kind == expected.KIND:
            since = "no more" if fact.value is None else f"over {fact.valid}"
            what = f"source {source} is expected {since}"
        elif fact.kind == runs.KIND and place != "alive":
            what = f"source {source}: {'heartbeat' if place == 'heartbeat' else f'run from {place}'}"
            what += f", {(fact.value or {}).get('outcome')}"
        elif fact.kind == sequences.KIND:
            what = f"batches of {source} came, up to number {(fact.value or {}).get('highest')}"
        else:
            continue
        cause = Cause(what=what, who=fact.who, why=fact.why, known_at=fact.known_from)
        yield Change(cause=cause, families=frozenset({USAGE}))


def _late_records(lake: Lake, old: Publication, as_of: datetime) -> Iterator[Change]:
    """Usage records that were not in the lake when the old revision was made."""
    usage_table.declare(lake)
    sql = (
        f"SELECT source, kind, coalesce(site, ''), count(*) FROM {usage_table.TABLE}"
        " WHERE known_from <= $as_of AND ended_at >= $start AND ended_at < $end GROUP BY ALL"
    )
    grown = _grown(
        lake, usage_table.TABLE, sql, old, as_of, version=_version(old, "version", usage_table.TABLE)
    )
    for (source, kind, site), records in sorted(grown.items()):
        what = f"{records:,} {kind} records{f' at {site}' if site else ''} from {source} came in"
        yield Change(cause=Cause(what=what), families=frozenset({USAGE}), site=site)


def _late_results(lake: Lake, old: Publication, as_of: datetime) -> Iterator[Change]:
    """Probe results that were not in the lake when the old revision was made."""
    probe_store.declare(lake)
    sql = (
        f"SELECT resource, count(*) FROM {probe_table.TABLE}"
        " WHERE known_at <= $as_of AND probed_at >= $start AND probed_at < $end GROUP BY ALL"
    )
    version = _version(old, "table_version", probe_table.TABLE)
    grown = _grown(lake, probe_table.TABLE, sql, old, as_of, version=version)
    if grown:
        what = f"{grown.total():,} probe results came in"
        yield Change(cause=Cause(what=what), families=frozenset({MONITORING}))


def _version(old: Publication, name: str, table: str) -> int | None:
    """The version of a table that the revision was read from; None when the table was empty."""
    found = [f.evidence.get(name) for f in old.report.figures if f.evidence.get("table") == table]
    return next((int(version) for version in found if version is not None), None)


def _grown(
    lake: Lake, table: str, sql: str, old: Publication, as_of: datetime, *, version: int | None
) -> Counter[tuple[str, ...]]:
    """What a count by group has now more than it had in a version of its table.

    Versions, not times: a batch may be committed a moment after the time it says it was known at.
    """
    window = old.report.interval
    end = min(old.report.as_of, window.end) if window.end is not None else old.report.as_of

    def counted(at_version: int | None, known: datetime) -> Counter[tuple[str, ...]]:
        params = {"as_of": known, "start": window.start, "end": end}
        with lake.connection(table, as_of_version=at_version) as connection:
            rows = connection.execute(sql, params).fetchall()
        return Counter({tuple(row[:-1]): row[-1] for row in rows})

    before = counted(version, old.report.as_of) if version is not None else Counter[tuple[str, ...]]()
    return counted(None, as_of) - before


def _read_further(states: Iterable[Fact]) -> Iterator[Change]:
    """One cause a source: how far it was read by now."""
    for fact in {fact.key: fact for fact in states}.values():
        read = (fact.value or {}).get("read_through")
        if read is not None:
            what = f"source {fact.key} read up to {moment_text(parse_instant(read))}"
            yield Change(cause=Cause(what=what, known_at=fact.known_from), families=frozenset({USAGE}))
