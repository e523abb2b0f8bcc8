"""A real schedd is asked for its history, and a real sacct that has no database to ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.integration.testbed_grid import Grid, wait_for

from opengoc.accounting.adapters.sacct_command import SacctCommand
from opengoc.accounting.adapters.schedd_history import ScheddHistory
from opengoc.accounting.ingest import Collected, Stores
from opengoc.accounting.ingest import collect as follow
from opengoc.accounting.live import Feed, collect_live
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.accounting.state import State
from opengoc.accounting.table import TABLE
from opengoc.base.instant import utc_now
from opengoc.condor.session import Pool, Session
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.lake import Lake
from opengoc.testbed.machines import login_sandbox

pytestmark = pytest.mark.integration

#: A job that matches nothing: it is removed, and so goes into the history.
WAITS = """universe = vanilla
executable = /bin/true
requirements = false
+VO = "cms"
queue {count}
"""


@pytest.fixture
def stores(tmp_path: Path, sqlite_database: Database) -> Stores:
    return Stores(database=sqlite_database, lake=Lake(tmp_path / "lake"), raw=RawStore(tmp_path / "raw"))


@pytest.fixture
def pool(grid: Grid) -> Pool:
    tokens = grid.layout.tokens / "operator"
    return Pool(name="pool", collector=grid.address("pool"), token_directory=tokens)


@pytest.fixture
def session(pool: Pool) -> Iterator[Session]:
    with Session(pool) as opened:
        yield opened


def collect(feed: Feed, stores: Stores, form: str, *, now: datetime | None = None) -> Collected:
    source = Source(name="live", format=form, path=Path(), kind=Kind.PAYLOAD)
    return collect_live(source, feed, stores, who="test", clock=lambda: now or utc_now())


def leave_the_queue(grid: Grid, session: Session, count: int) -> int:
    """Submit jobs and remove them; they are in the history when this returns."""
    cluster = grid.submit(WAITS.format(count=count), pool="pool", tokens="cms")
    grid.tool("condor_rm", str(cluster), tokens="cms")

    def are_there() -> bool:
        found = session.history(grid.schedd("pool"), f"ClusterId == {cluster}", ["ClusterId"])
        return len(found.items) == count

    wait_for(are_there, f"{count} jobs of {cluster} in the history")
    return cluster


def stored(stores: Stores, cluster: int) -> list[dict[str, object]]:
    sql = (
        f"SELECT global_job_id, vo, status, wall_seconds FROM {TABLE}"
        f" WHERE contains(global_job_id, '#{cluster}.') ORDER BY global_job_id"
    )
    return list(stores.lake.query(sql, tables=[TABLE]).to_pylist())


def test_each_job_that_left_the_queue_is_stored_once_and_none_is_skipped(
    grid: Grid, pool: Pool, session: Session, stores: Stores
) -> None:
    feed = ScheddHistory(pool=pool, schedd=grid.schedd("pool"))
    first = leave_the_queue(grid, session, 3)
    assert collect(feed, stores, "condor-history").counts.stored >= 3
    assert [(row["vo"], row["status"]) for row in stored(stores, first)] == [("cms", "removed")] * 3
    second = leave_the_queue(grid, session, 2)
    again = collect(feed, stores, "condor-history")
    assert (again.counts.read, again.counts.stored, again.state.state) == (2, 2, State.OK)
    assert len(stored(stores, second)) == 2
    assert collect(feed, stores, "condor-history").counts.read == 0

    # The job that was read last is not in the history any more: all is given again, and nothing twice stored.
    with stores.database.begin() as conn:
        cursor = ledger.cursor(conn, "accounting:live")
        gone = {**(cursor or {}), "job": "pool-schedd#999999.0#1"}
        ledger.move_cursor(conn, "accounting:live", gone, expect=cursor)
    third = leave_the_queue(grid, session, 1)
    whole = collect(feed, stores, "condor-history")
    assert whole.counts.stored == 1
    assert whole.counts.duplicate >= 5
    assert len(stored(stores, third)) == 1


def test_the_history_as_it_is_asked_for_is_the_history_as_it_lies_on_disk(
    grid: Grid, pool: Pool, session: Session, stores: Stores
) -> None:
    cluster = leave_the_queue(grid, session, 1)
    collect(ScheddHistory(pool=pool, schedd=grid.schedd("pool")), stores, "condor-history")
    (asked,) = stored(stores, cluster)
    path = Path(grid.tool("condor_config_val", "HISTORY").strip())
    log = Source(name="log", format="condor-history", path=path, kind=Kind.PAYLOAD)
    followed = follow(log, stores, who="test")
    assert (followed.counts.restated, followed.counts.quarantined) == (0, 0)
    assert stored(stores, cluster) == [asked]


def test_a_schedd_that_does_not_answer_is_an_unread_source(pool: Pool, stores: Stores) -> None:
    feed = ScheddHistory(pool=pool, schedd="no-such-schedd")
    missing = collect(feed, stores, "condor-history")
    assert (missing.state.state, missing.counts.read) == (State.MISSING, 0)
    assert "knows no schedd no-such-schedd" in missing.state.reason
    assert missing.state.read_through is None


def test_a_real_sacct_without_a_database_is_an_unread_source_and_never_an_empty_one(
    grid: Grid, stores: Stores
) -> None:
    inside = login_sandbox(grid.layout, grid.up.root)
    command = inside.argv(["sacct"], {"SLURM_CONF": str(grid.layout.slurm_conf)})
    missing = collect(SacctCommand(command=command, first=timedelta(days=1)), stores, "sacct")
    assert (missing.state.state, missing.counts.read) == (State.MISSING, 0)
    assert "accounting storage is disabled" in missing.state.reason
