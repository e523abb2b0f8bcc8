"""Publishing A/R reports: the first revision, and what a dirty day of a published period leads to.

A published revision never changes. When a fact that comes later moves a figure of it, a new revision is due:
within the correction window it is published at once, after it it waits as a draft until somebody approves it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.interval import Interval
from opengoc.flows.availability_drafts import (
    check_reason,
    close_draft,
    is_rejected,
    open_draft,
    waiting,
)
from opengoc.monitoring import circumstances, vo_tests
from opengoc.monitoring import store as results
from opengoc.monitoring.circumstances import Circumstances
from opengoc.monitoring.dirty import KINDS, touched_by_fact
from opengoc.monitoring.period import assess_period, period
from opengoc.monitoring.refresh import Availability
from opengoc.reports import availability, published
from opengoc.reports.compare import Change, corrections
from opengoc.reports.document import content_hash
from opengoc.reports.model import Cause, Correction, Report
from opengoc.reports.published import Publication, availability_kind
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.facts import Fact
from opengoc.store.lake import Lake

#: After the end of a period corrections are published by themselves for so long.
CORRECTION_WINDOW = timedelta(days=10)
#: Who publishes by itself.
REVIEW = "review of A/R"

#: No batch of results takes longer from its known time to its commit.
_COMMITTED_WITHIN = timedelta(hours=1)

_KINDS = "ar-report/"
_MONITORING = frozenset({"monitoring"})
_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What became of one published report when it was looked at."""

    #: ``stands``, ``published``, ``waits``, or ``rejected``: the same correction was rejected before.
    outcome: str
    profile: str
    report: Report


@dataclass(frozen=True, kw_only=True)
class Centre:
    """Where everything is."""

    database: Database
    lake: Lake
    availability: Availability

    @classmethod
    def of(cls, database: Database, lake: Lake) -> Centre:
        """A centre with cells of its own."""
        results.declare(lake)
        return cls(database=database, lake=lake, availability=Availability(lake, database))


def draft(centre: Centre, name: str, profile: str, *, as_of: datetime) -> Report:
    """A period's report as known now; nothing is kept. Raises InvalidInput for no period and no profile."""
    with centre.database.read() as conn:
        rules = vo_tests.profile_of(conn, profile)
    found = assess_period(
        centre.lake, centre.database, rules, name, now=as_of, availability=centre.availability
    )
    return availability.build(
        name, found.window, found.figures(), profile=rules.name, targets=rules.targets, as_of=as_of
    )


def publish(centre: Centre, name: str, profile: str, *, who: str, why: str = "") -> Publication:
    """Publish a period as known now, approval included: the revision that stands is the answer if it holds.

    Raises InvalidInput for a period that is not over, Conflict when somebody else published meanwhile.
    """
    window = period(name)
    with centre.database.begin() as conn:
        as_of, feed = facts.known_now(conn), facts.head(conn)
    assert window.end is not None
    if as_of < window.end:
        raise InvalidInput("period", name, "is not over: its report can be read as a draft")
    made = draft(centre, name, profile, as_of=as_of)
    standing = latest(centre, name, profile)
    changes = list(_changes(centre, standing, window)) if standing is not None else []
    kind = availability_kind(profile)
    with centre.database.begin() as conn:
        done = published.publish(conn, made, changes, feed=feed, who=who, why=why, kind=kind)
        close_draft(conn, profile, made.week, who=who, why=why)
    return done


def latest(centre: Centre, name: str, profile: str, revision: int | None = None) -> Publication | None:
    """A published revision of a period (None: the latest); None where there is none."""
    with centre.database.read() as conn:
        return published.published(
            conn, availability.report_name(name), revision, kind=availability_kind(profile)
        )


def review(centre: Centre, *, now: datetime) -> list[Reviewed]:
    """Look at every published report: reissue, or open a draft, where the facts no longer bear it out.

    Safe to run at any time and by several at once: the same facts lead to the same revision, once.
    """
    with centre.database.read() as conn:
        standing = [(profile, each) for profile in _profiles(conn) for each in _latest_of(conn, profile)]
    return [_review(centre, profile, publication, now) for profile, publication in standing]


def _review(centre: Centre, profile: str, old: Publication, now: datetime) -> Reviewed:
    name = old.report.week.removeprefix(availability.report_name(""))
    window = old.report.interval
    assert window.end is not None
    if not any(_changes(centre, old, window)):
        return Reviewed(outcome="stands", profile=profile, report=old.report)
    fresh = draft(centre, name, profile, as_of=now)
    if content_hash(fresh) == old.content_hash:
        with centre.database.begin() as conn:
            close_draft(conn, profile, old.report.week, who=REVIEW)
        return Reviewed(outcome="stands", profile=profile, report=old.report)
    if now < window.end + CORRECTION_WINDOW:
        try:
            made = publish(centre, name, profile, who=REVIEW, why="within the correction window")
        except Conflict:
            # Somebody else published it at the same moment.
            return Reviewed(outcome="stands", profile=profile, report=old.report)
        return Reviewed(outcome="published", profile=profile, report=made.report)
    found = corrections(old.report, fresh, _changes(centre, old, window), published=False)
    late = fresh.as_revision(0, found)
    with centre.database.begin() as conn:
        if is_rejected(conn, profile, late):
            close_draft(conn, profile, late.week, who=REVIEW)
            return Reviewed(outcome="rejected", profile=profile, report=old.report)
        open_draft(conn, profile, late, who=REVIEW)
    return Reviewed(outcome="waits", profile=profile, report=late)


def approve(
    centre: Centre,
    name: str,
    profile: str,
    *,
    who: str,
    why: str,
    now: datetime,
    content: str | None = None,
) -> Publication:
    """Publish the draft that waits for a period; ``content``: the hash of what was read.

    Raises InvalidInput where none waits or no reason is given, Conflict when the facts moved on since it was
    opened: read the draft again, approve again.
    """
    check_reason(why)
    with centre.database.read() as conn:
        seen = waiting(conn, name, profile, content=content)
    fresh = draft(centre, name, profile, as_of=now)
    if content_hash(fresh) != seen.content_hash:
        review(centre, now=now)
        raise Conflict(f"the draft of {name} has changed since it was opened: read it again, approve again")
    return publish(centre, name, profile, who=who, why=why)


def published_periods(centre: Centre) -> list[tuple[str, tuple[Publication, ...]]]:
    """Every profile and period that was published, with all its revisions, oldest first."""
    with centre.database.read() as conn:
        return [
            (profile, published.revisions(conn, each.report.week, kind=availability_kind(profile)))
            for profile in _profiles(conn)
            for each in _latest_of(conn, profile)
        ]


def corrections_within(conn: Connection, window: Interval, *, known_at: datetime) -> list[Correction]:
    """The corrections of A/R reports that were published in a window, as known at a moment."""
    found = []
    for profile in _profiles(conn):
        for latest_one in published.latest_of_each_week(
            conn, known_at=known_at, kind=availability_kind(profile)
        ):
            kind = availability_kind(profile)
            for each in published.revisions(conn, latest_one.report.week, kind=kind):
                if each.published_at in window and each.published_at <= known_at:
                    # A revision carries those of the revisions before it, too.
                    new = [c for c in each.report.corrections if c.revision == each.report.revision - 1]
                    found += new
    return found


def _latest_of(conn: Connection, profile: str) -> tuple[Publication, ...]:
    return published.latest_of_each_week(conn, kind=availability_kind(profile))


def _profiles(conn: Connection) -> list[str]:
    """Profiles under which anything was published."""
    return [kind.removeprefix(_KINDS) for kind in facts.kinds(conn, prefix=_KINDS)]


def _changes(centre: Centre, old: Publication, window: Interval) -> Iterator[Change]:
    """What became known since a publication and touches days of its period, site by site."""
    assert window.end is not None
    start, end = int(window.start.timestamp()), int(window.end.timestamp())
    with centre.database.read() as conn:
        known = circumstances.without_downtimes(conn)
        yield from _other_rules(conn, old)
        for fact, before in _news(conn, old.feed):
            touches = touched_by_fact(fact, before, known)
            for site in sorted({t.site for t in touches if t.start < end and t.end > start}):
                cause = Cause(what=_told(fact, before), who=fact.who, why=fact.why, known_at=fact.known_from)
                yield Change(cause=cause, families=_MONITORING, site=site)
    yield from _late_results(centre.lake, known, old, window)


def _news(conn: Connection, after: int) -> Iterator[tuple[Fact, Fact | None]]:
    while page := facts.changes(conn, after=after, limit=_PAGE, kinds=KINDS):
        for fact in page:
            before = facts.version(conn, fact.kind, fact.key, fact.version - 1) if fact.version > 1 else None
            yield fact, before
        after = page[-1].seq


def _told(fact: Fact, before: Fact | None) -> str:
    """What happened, in words: ``downtime dt-3f9c2a71be04 cancelled``."""
    kind = fact.kind.removeprefix("ar-").replace("-", " ")
    name = fact.key
    if fact.kind == circumstances.DOWNTIME:
        was, now = ((v.value or {}).get("cancelled_at") if v is not None else None for v in (before, fact))
        if now is not None and was is None:
            return f"downtime {name} cancelled"
        if was is not None and now is None and fact.value is not None:
            return f"downtime {name} reinstated"
    if fact.value is None:
        return f"{kind} {name} withdrawn"
    return f"{kind} {name} {'changed' if before is not None and before.value is not None else 'announced'}"


def _other_rules(conn: Connection, old: Publication) -> Iterator[Change]:
    """The profile itself, where its rules are not what they were."""
    said = next((f.evidence for f in old.report.figures if "profile_digest" in f.evidence), None)
    if said is None:
        return
    rules = vo_tests.profile_of(conn, str(said["profile"]))
    if rules.digest != said["profile_digest"]:
        what = f"profile {rules.name} is at version {rules.version}, not {said['profile_version']}"
        yield Change(cause=Cause(what=what), families=_MONITORING)


def _late_results(lake: Lake, known: Circumstances, old: Publication, window: Interval) -> Iterator[Change]:
    """Results that came in since, by site."""
    then = next(
        (f.evidence["table_version"] for f in old.report.figures if "table_version" in f.evidence), None
    )
    # A batch may be committed a moment after the time it says it was known at: hence the versions below.
    since = old.report.as_of - _COMMITTED_WITHIN
    if not results.count_by_resource(lake, window, known_after=since):
        return
    before = results.count_by_resource(lake, window, table_version=then) if then is not None else Counter()
    for resource, count in sorted((results.count_by_resource(lake, window) - before).items()):
        sites = {p.site for p in known.presences.get(resource, ())} or {circumstances.UNREGISTERED}
        for site in sorted(sites):
            cause = Cause(what=f"{count:,} results of {resource} came in late")
            yield Change(cause=cause, families=_MONITORING, site=site)
