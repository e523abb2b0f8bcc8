"""Downtimes as facts, on every database: from trees, announced, changed, cancelled and taken back."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contract.registry_trees import (
    AFTER,
    BEFORE,
    DOWNTIMES,
    DURING,
    EXAMPLE,
    SLURM,
    copied,
    edit,
    head,
    known_now,
    load,
    names,
    take,
    written,
)

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, DowntimeClass, DowntimeState, Severity
from opengoc.registry.formats.topology_write import write_tree
from opengoc.registry.store import (
    add_downtime,
    cancel_downtime,
    change_downtime,
    reinstate_downtime,
)
from opengoc.store import facts
from opengoc.store.database import Database


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the example to change."""
    return copied(tmp_path)


@pytest.mark.parametrize(
    ("now", "state", "cancelled"),
    [
        (BEFORE, DowntimeState.CANCELLED, 1),
        (DURING, DowntimeState.CANCELLED, 1),
        (AFTER, DowntimeState.ENDED, 0),
    ],
)
def test_a_downtime_that_vanishes_is_cancelled_before_its_end_and_archived_after(
    database: Database, tree: Path, now: datetime, state: DowntimeState, cancelled: int
) -> None:
    take(database, tree)
    (tree / DOWNTIMES).unlink()
    result = take(database, tree, now=now)
    assert result.cancelled == cancelled
    assert load(database).downtimes["9001"].state(now) is state
    assert written(take(database, tree, now=now)) == 0


def test_a_past_downtime_outlives_its_resource(database: Database, tree: Path) -> None:
    take(database, tree)
    shutil.rmtree(tree / SLURM)
    take(database, tree, now=AFTER)
    assert [each.id for each in load(database).downtimes_of("ITB-SLURM-CE")] == ["9001"]


def test_a_downtime_that_returns_to_the_tree_stands_again(database: Database, tree: Path) -> None:
    take(database, tree)
    content = (tree / DOWNTIMES).read_text()
    (tree / DOWNTIMES).unlink()
    take(database, tree)
    (tree / DOWNTIMES).write_text(content)
    assert take(database, tree).changed["downtime"] == 1
    assert not load(database).downtimes["9001"].cancelled


def announce(database: Database, *, now: datetime = BEFORE, **changes: Any) -> Downtime:
    given_fields: dict[str, Any] = {
        "resource": "ITB-CONDOR-CE",
        "interval": Interval(DURING, AFTER),
        "severity": Severity.OUTAGE,
        "description": "Cooling",
        "who": "operator",
    }
    with database.begin() as conn:
        return add_downtime(conn, now=now, **(given_fields | changes))


def test_an_announced_downtime_is_in_the_registry_and_no_import_touches_it(database: Database) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    assert downtime.services == ("CE",)
    assert load(database).downtimes[downtime.id] == downtime
    assert load(database).outage_at("ITB-CONDOR-CE", DURING)
    assert written(take(database, EXAMPLE)) == 0
    assert load(database).outage_at("ITB-CONDOR-CE", DURING)


def test_a_downtime_announced_after_it_began_is_taken_and_unscheduled(database: Database) -> None:
    take(database, EXAMPLE)
    late = announce(database, now=AFTER + timedelta(days=30))
    assert late.derived_class() is DowntimeClass.UNSCHEDULED
    assert load(database).outage_at("ITB-CONDOR-CE", DURING)


@pytest.mark.parametrize("changes", [{"resource": "nowhere"}, {"services": ["Squid"]}])
def test_a_downtime_of_nothing_is_refused(database: Database, changes: dict[str, Any]) -> None:
    take(database, EXAMPLE)
    before = head(database)
    with pytest.raises(InvalidInput):
        announce(database, **changes)
    assert head(database) == before


def test_a_change_is_a_new_version_however_late(database: Database) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    before = known_now(database)
    shorter = Interval(DURING, DURING + timedelta(hours=1))
    with database.begin() as conn:
        change_downtime(conn, downtime.id, who="operator", why="done early", interval=shorter)
    assert load(database).downtimes[downtime.id].interval == shorter
    assert load(database, before).downtimes[downtime.id].interval == downtime.interval
    with database.read() as conn:
        versions = facts.history(conn, "downtime", downtime.id)
    assert [(version.version, version.why) for version in versions] == [(1, "Cooling"), (2, "done early")]
    assert versions[1].valid == shorter


def test_a_change_cannot_name_a_service_that_the_resource_does_not_offer(database: Database) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    for services in (["Squid"], [*downtime.services, "Squid"]):
        with database.begin() as conn, pytest.raises(InvalidInput, match="is no service"):
            change_downtime(conn, downtime.id, who="operator", why="a slip", services=services)
    assert load(database).downtimes[downtime.id] == downtime


def test_cancelling_twice_is_cancelling_once_and_can_be_taken_back(database: Database) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    before = known_now(database)
    for _ in range(2):
        with database.begin() as conn:
            cancelled = cancel_downtime(conn, downtime.id, who="operator", why="not needed", now=DURING)
    assert cancelled.cancelled_at == DURING
    assert not load(database).outage_at("ITB-CONDOR-CE", DURING)
    assert load(database, before).outage_at("ITB-CONDOR-CE", DURING)
    with database.begin() as conn:
        reinstate_downtime(conn, downtime.id, who="operator", why="needed after all")
        assert len(facts.history(conn, "downtime", downtime.id)) == 3
    assert load(database).outage_at("ITB-CONDOR-CE", DURING)


@pytest.mark.parametrize("why", ["", " \n"])
def test_no_downtime_is_changed_without_a_reason(database: Database, why: str) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    with database.begin() as conn, pytest.raises(InvalidInput, match="say why"):
        cancel_downtime(conn, downtime.id, who="operator", why=why)
    with database.begin() as conn, pytest.raises(InvalidInput, match="say why"):
        change_downtime(conn, downtime.id, who="operator", why=why, description="another")
    assert load(database).downtimes[downtime.id] == downtime


def test_a_cancellation_here_stands_until_the_tree_says_something_new(database: Database, tree: Path) -> None:
    take(database, tree)
    with database.begin() as conn:
        cancel_downtime(conn, "9001", who="operator", why="not needed")
    assert written(take(database, tree)) == 0
    assert load(database).downtimes["9001"].cancelled
    edit(tree, DOWNTIMES, "18:00 +0000", "20:00 +0000")
    assert take(database, tree).changed["downtime"] == 1
    assert not load(database).downtimes["9001"].cancelled


def test_a_tree_that_returns_to_an_older_wording_says_something_new(database: Database, tree: Path) -> None:
    take(database, tree)
    edit(tree, DOWNTIMES, "18:00 +0000", "20:00 +0000")
    take(database, tree)
    with database.begin() as conn:
        cancel_downtime(conn, "9001", who="operator", why="not needed")
    edit(tree, DOWNTIMES, "20:00 +0000", "18:00 +0000")
    assert take(database, tree).changed["downtime"] == 1
    assert not load(database).downtimes["9001"].cancelled


def test_a_downtime_announced_here_and_exported_is_not_revived_by_the_export(
    database: Database, tmp_path: Path
) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    write_tree(load(database), tmp_path / "out", persons=names(database))
    with database.begin() as conn:
        cancel_downtime(conn, downtime.id, who="operator", why="not needed")
    assert written(take(database, tmp_path / "out")) == 0
    assert load(database).downtimes[downtime.id].cancelled


def test_unknown_downtimes_are_refused(database: Database) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput, match="is no downtime"):
        cancel_downtime(conn, "dt-none", who="operator", why="x")


def test_a_change_decided_on_an_old_version_is_a_conflict(database: Database) -> None:
    take(database, EXAMPLE)
    with database.begin() as conn:
        fact = facts.get(conn, "downtime", "9001")
        assert fact is not None
        cancel_downtime(conn, "9001", who="operator", why="not needed")
        with pytest.raises(Conflict):
            facts.retract(conn, kind="downtime", key="9001", who="other", expect=fact.version)


def test_a_resource_that_takes_the_name_of_one_that_is_gone_has_no_part_in_its_downtimes(
    database: Database, tree: Path
) -> None:
    take(database, tree)
    announce(database)
    group = "topology/Example University Grid/ITB-CONDOR/ITB-CONDOR.yaml"
    edit(tree, group, "ITB-CONDOR-CE:", "ITB-OTHER-CE:")
    edit(tree, group, "ID: 1111", "ID: 4711")
    edit(tree, group, "ce.itb-condor.example.org", "ce2.itb-condor.example.org")
    take(database, tree)
    assert load(database).outage_at("ITB-CONDOR-CE", DURING)
    edit(tree, group, "ITB-OTHER-CE:", "ITB-CONDOR-CE:")
    edit(tree, group, "ID: 4711", "ID: 4712")
    edit(tree, group, "ce2.itb-condor.example.org", "ce3.itb-condor.example.org")
    take(database, tree)
    again = load(database)
    assert again.resources["ITB-CONDOR-CE"].id != "1111"
    assert not again.outage_at("ITB-CONDOR-CE", DURING)
