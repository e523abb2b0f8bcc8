"""Eight years of real downtime events, replayed in order: cells never differ from a computation from scratch.

43 in a hundred of them were declared after they began; hundreds moved time that had passed. They are folded
into one week with synthetic results, so that every one of them touches it.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.contract.availability_centre import DAY, a_resource, day_key, nodes

from opengoc.base.instant import parse_instant
from opengoc.base.interval import Interval
from opengoc.monitoring import circumstances, expectation, store
from opengoc.monitoring.assess import assess
from opengoc.monitoring.availability import day_counts
from opengoc.monitoring.model import ProbeResult, Status
from opengoc.monitoring.profile import PROFILES
from opengoc.monitoring.refresh import Availability
from opengoc.registry.downtime import Downtime, Severity
from opengoc.registry.model import Facility, ResourceGroup, Site
from opengoc.registry.rows import encode
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.facts import Assertion
from opengoc.store.lake import Lake

WEEK = datetime(2021, 10, 4, tzinfo=UTC)
DAYS = 7
NOW = datetime(2026, 8, 15, tzinfo=UTC)
STEPS = 4


@pytest.fixture
def events(shared_data: Path) -> list[dict[str, Any]]:
    """The events in the order in which they became known; a few of the source's times are none."""
    lines = (shared_data / "downtime-events.jsonl").read_text().splitlines()
    assert len(lines) == 5_900
    found = [json.loads(line) for line in lines]
    return [e for e in found if not any("UNPARSED" in str(e[name]) for name in ("start", "end", "created"))]


def folded(moment: datetime) -> datetime:
    """The moment moved into the week by whole weeks."""
    return WEEK + (moment - WEEK) % timedelta(days=DAYS)


def said(event: dict[str, Any]) -> dict[str, Any]:
    start, end = parse_instant(event["start"]), parse_instant(event["end"])
    declared = parse_instant(event["created"] or event["tx"])
    begin = folded(start)
    length = min(max(end - start, timedelta(seconds=1)), timedelta(days=DAYS))
    downtime = Downtime(
        id=event["id"],
        resource=event["resource"],
        resource_id=f"r-{event['resource']}",
        services=("CE",),
        interval=Interval(begin, begin + length),
        severity=Severity(event["severity"]),
        declared_at=begin - (start - declared),
        cancelled_at=parse_instant(event["tx"]) if event["op"] == "delete" else None,
    )
    return encode("downtime", downtime, {}) | {"valid": downtime.interval}


def test_after_every_part_of_the_history_cells_give_what_scratch_gives(
    events: list[dict[str, Any]], tmp_path: Path, sqlite_database: Database
) -> None:
    assert len(events) > 5_800
    lake, database = Lake(tmp_path / "lake"), sqlite_database
    store.declare(lake)
    resources = sorted({event["resource"] for event in events})
    hold(database, resources)
    hear(lake, database, resources)
    availability = Availability(lake, database)
    start = int(WEEK.timestamp())
    computed: defaultdict[str, int] = defaultdict(int)
    for step in range(STEPS):
        with database.begin() as conn:
            for event in events[step * len(events) // STEPS : (step + 1) * len(events) // STEPS]:
                tell(conn, event)
        with database.read() as conn:
            known = circumstances.read(conn)
        for name in ("argo-egi", "rsv-osg"):
            rules = PROFILES[name]
            cells = availability.days(rules, start=start, end=start + DAYS * DAY, now=NOW)
            computed[name] += sum(cell.fresh for cell in cells.values())
            window = Interval(WEEK, WEEK + timedelta(days=DAYS))
            scratch = assess(lake, known, window=window, profile=rules, as_of=NOW)
            for site, node in scratch.sites.items():
                whole = {day_key(count) for each in nodes(node) for count in day_counts(each)}
                assert whole == {
                    day_key(count) for (at, _), cell in cells.items() if at == site for count in cell.counts
                }
    # The last quarter of the events touched some sites, not all.
    assert 0 < computed["argo-egi"] < len(resources) * DAYS * STEPS


def hold(database: Database, resources: list[str]) -> None:
    """Every resource at a site of its own, known before the month."""
    ids: dict[str, dict[str, str]] = {
        "facility": {"U": "u"},
        "site": {f"S-{name}": f"s-{name}" for name in resources},
        "group": {f"S-{name}": f"g-{name}" for name in resources},
    }
    values: list[tuple[str, Any]] = [("facility", Facility(id="u", name="U"))]
    for name in resources:
        values.append(("site", Site(id=f"s-{name}", name=f"S-{name}", facility="U")))
        values.append(("group", ResourceGroup(id=f"g-{name}", name=f"S-{name}", site=f"S-{name}")))
        values.append(("resource", a_resource(name, f"S-{name}")))
    since = Interval(WEEK - timedelta(days=30))
    with database.begin() as conn:
        for kind in ("facility", "site", "group", "resource"):
            several = [
                Assertion(key=value.id, value=encode(kind, value, ids), valid=since)
                for each, value in values
                if each == kind
            ]
            facts.assert_many(conn, kind=kind, assertions=several, who="test", known_at=since.start)


def hear(lake: Lake, database: Database, resources: list[str]) -> None:
    """A result every six hours, one in eight of them bad."""
    chance = random.Random(1)
    results = [
        ProbeResult(
            metric="job",
            resource=name,
            service="CE",
            status=chance.choice([Status.OK] * 7 + [Status.CRITICAL]),
            at=WEEK + timedelta(hours=hour),
            summary="",
            agent="test",
        )
        for name in resources
        for hour in range(0, 24 * DAYS, 6)
    ]
    with database.begin() as conn:
        since = {(name, "CE", "job"): WEEK for name in resources}
        expectation.expect(conn, since, source=expectation.CHECKS, who="test")
    store.keep(lake, database, results, batch_id="month", known_at=WEEK + timedelta(days=DAYS), who="test")


def tell(conn: Connection, event: dict[str, Any]) -> None:
    """One event becomes a fact, known when it was."""
    row = said(event)
    valid, known_at = row.pop("valid"), parse_instant(event["tx"])
    standing = facts.get(conn, "downtime", event["id"])
    stated = {"kind": "downtime", "key": event["id"], "value": row, "valid": valid, "known_at": known_at}
    if standing is None:
        facts.assert_fact(conn, **stated, who="history")
    else:
        facts.supersede(conn, **stated, who="history", expect=standing.version)
