"""The registry in memory, on every database: what a fresh reading gives, and no more read than changed."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opengoc.base.interval import Interval
from opengoc.registry.downtime import Severity
from opengoc.registry.live import LiveRegistry
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import add_downtime, cancel_downtime, change_downtime, import_tree, load_registry
from opengoc.registry.tokens import Right, add_token
from opengoc.store.database import Database

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"
START = datetime(2026, 11, 14, tzinfo=UTC)


def fresh(database: Database) -> Registry:
    with database.read() as conn:
        return load_registry(conn)


def take(database: Database, tree: Path) -> None:
    with database.begin() as conn:
        import_tree(conn, tree, "test", now=START - timedelta(days=9))


def test_it_is_what_a_fresh_reading_gives_after_every_change(database: Database, tmp_path: Path) -> None:
    live = LiveRegistry(database)
    assert live.current()[0] == fresh(database)
    tree = Path(shutil.copytree(EXAMPLE, tmp_path / "tree"))
    take(database, tree)
    assert live.current()[0] == fresh(database)
    with database.begin() as conn:
        cancel_downtime(conn, "9001", who="test", why="x")
    assert live.current()[0] == fresh(database)
    group = tree / "topology/Example University Grid/ITB-SLURM/ITB-SLURM.yaml"
    group.write_text(group.read_text().replace("  ITB-SLURM-CE:", "  Renamed-CE:"))
    downtimes = group.with_name("ITB-SLURM_downtime.yaml")
    downtimes.write_text(downtimes.read_text().replace("ITB-SLURM-CE", "Renamed-CE"))
    take(database, tree)
    assert live.current()[0] == fresh(database)
    assert "Renamed-CE" in live.current()[0].resources
    shutil.rmtree(group.parent)
    take(database, tree)
    assert live.current()[0] == fresh(database)


def test_a_changed_downtime_leaves_everything_else_as_it_is(database: Database) -> None:
    take(database, EXAMPLE)
    live = LiveRegistry(database)
    before, version = live.current()
    with database.begin() as conn:
        made = add_downtime(
            conn,
            resource="ITB-SLURM-CE",
            interval=Interval(START, START + timedelta(hours=1)),
            severity=Severity.OUTAGE,
            description="",
            who="test",
        )
        change_downtime(
            conn, made.id, who="test", why="longer", interval=Interval(START, START + timedelta(2))
        )
    after, newer = live.current()
    assert after == fresh(database)
    assert after.resources is before.resources
    assert newer > version


def test_what_is_no_part_of_the_registry_changes_no_version(database: Database) -> None:
    take(database, EXAMPLE)
    live = LiveRegistry(database)
    before = live.current()
    with database.begin() as conn:
        add_token(conn, "reader", rights=[Right.CONTACTS], who="test")
    after = live.current()
    assert after[0] is before[0]
    assert after[1] == before[1]
