"""A published A/R report of a week long over, and a downtime in it: cancel it, and a correction waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from opengoc.base.interval import Interval, week, week_name
from opengoc.flows import availability
from opengoc.flows.availability import Centre
from opengoc.monitoring import store
from opengoc.monitoring.model import ProbeResult, Status
from opengoc.registry.downtime import Severity
from opengoc.registry.store import add_downtime, change_downtime, import_tree
from opengoc.store.database import Database
from opengoc.store.lake import Lake

REGISTRY = Path(__file__).parents[1] / "data" / "registry" / "example"
NOW = datetime.now(UTC)
WEEK = week_name(NOW - timedelta(days=60))
PROFILE = "rsv-osg"
SITE, RESOURCE = "ITB-CONDOR", "ITB-CONDOR-CE"
_START = week(WEEK).start
#: The service fails, and is announced as down, from 06:00 to 12:00 of the second day.
DOWN = Interval(_START + timedelta(hours=30), _START + timedelta(hours=36))


def hourly_results(window: Interval, down: Interval) -> list[ProbeResult]:
    """A result of the CE for every hour of the window: critical while it is down, else OK."""
    return [
        ProbeResult(
            metric="ce-job",
            resource=RESOURCE,
            service="CE",
            status=Status.CRITICAL if at in down else Status.OK,
            at=at,
            summary="",
            agent="test",
        )
        for at in (window.start + timedelta(hours=hour) for hour in range(int(window.seconds) // 3600))
    ]


def published_week(lake: Lake, database: Database) -> tuple[Centre, str]:
    """The centre, and the id of the downtime."""
    with database.begin() as conn:
        import_tree(conn, REGISTRY, "test")
    centre = Centre.of(database, lake)
    results = hourly_results(week(WEEK), DOWN)
    store.record(lake, database, results, batch_id="week", known_at=NOW - timedelta(days=50), who="test")
    with database.begin() as conn:
        made = add_downtime(
            conn,
            resource=RESOURCE,
            interval=DOWN,
            severity=Severity.OUTAGE,
            description="cooling",
            who="test",
            now=DOWN.start - timedelta(days=9),
        )
    availability.publish(centre, WEEK, PROFILE, who="test")
    return centre, made.id


def shorten(database: Database, downtime: str, hours: int) -> None:
    """Say that the downtime took so many hours only: so many less of the six were announced."""
    with database.begin() as conn:
        shorter = Interval(DOWN.start, DOWN.start + timedelta(hours=hours))
        change_downtime(conn, downtime, who="test", why="ended early", interval=shorter)
