"""What the factory keeps of its submissions, on every database."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.factory.world import configuration

from opengoc.base.errors import Conflict, Temporary
from opengoc.condor.observation import Observation
from opengoc.condor.session import Pool, Session
from opengoc.factory.act import SUBMISSION, Actor
from opengoc.factory.applied import applied_now, log_of, record
from opengoc.factory.model import Pilot, PilotState, Submission, SubmitPilots
from opengoc.factory.pilots import Premises
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.ledger import EffectState

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)
CONFIGURATION = configuration()
#: Longer than a submission may take and its lease lasts.
LATER = NOW + timedelta(minutes=5)


def actor(database: Database, folder: Path, digest: str = CONFIGURATION.digest) -> Actor:
    """An actor of a factory whose schedd nobody hears: no collector listens on the discard port.

    ``digest`` is in force.
    """
    pool = Pool(name="factory", collector="127.0.0.1:9", token_directory=folder, timeout_seconds=10)
    premises = Premises(
        name="factory",
        schedd="factory-schedd",
        collector="127.0.0.1:9618",
        token_file=folder / "token",
        pilot_file=folder / "goc-pilot",
        folder=folder,
    )
    with database.begin() as connection:
        applied = applied_now(connection, "factory")
        if applied is None or applied.digest != digest:
            expect = applied.version if applied is not None else None
            record(
                connection,
                "factory",
                digest=digest,
                action="apply",
                difference={},
                who="operator",
                why="test",
                now=NOW,
                expect=expect,
            )
    return Actor(database=database, session=Session(pool), premises=premises, configuration=CONFIGURATION)


def try_to_submit(acting: Actor, count: int) -> tuple[Submission, ...]:
    with pytest.raises(Temporary):
        acting.submit(SubmitPilots(entry="A", vo="cms", count=count, reason="test"), now=NOW)
    return acting.submissions()


def queue(*pilot_ids: str, complete: bool = True) -> Observation[Pilot]:
    pilots = tuple(
        Pilot(
            id=pilot_id,
            job=f"{number}.0",
            entry="A",
            vo="cms",
            digest=CONFIGURATION.digest,
            state=PilotState.IDLE,
            since=NOW,
        )
        for number, pilot_id in enumerate(pilot_ids, 1)
    )
    return Observation(
        source="jobs of factory",
        items=pilots,
        taken_at=LATER,
        complete=complete,
        error="" if complete else "no answer",
    )


def states(database: Database) -> dict[str, EffectState]:
    with database.read() as connection:
        return {each.key: each.state for each in ledger.effects(connection, SUBMISSION)}


def test_the_one_that_may_have_arrived_stays_open_and_those_not_tried_do_not(
    database: Database, tmp_path: Path
) -> None:
    acting = actor(database, tmp_path)
    (left,) = try_to_submit(acting, 3)
    assert (left.entry, left.vo) == ("A", "cms")
    assert sorted(states(database).values()) == [
        EffectState.ABANDONED,
        EffectState.ABANDONED,
        EffectState.CLAIMED,
    ]


def test_a_pilot_found_in_the_queue_is_settled(database: Database, tmp_path: Path) -> None:
    acting = actor(database, tmp_path)
    (left,) = try_to_submit(acting, 1)
    acting.reconcile(queue(left.pilot_id), now=LATER)
    assert acting.submissions() == ()
    assert states(database) == {left.pilot_id: EffectState.SETTLED}


def test_a_pilot_that_ends_before_its_lease_does_is_settled_all_the_same(
    database: Database, tmp_path: Path
) -> None:
    acting = actor(database, tmp_path)
    (left,) = try_to_submit(acting, 1)
    acting.reconcile(queue(left.pilot_id), now=NOW + timedelta(seconds=5))
    acting.reconcile(queue(), now=LATER)
    assert states(database) == {left.pilot_id: EffectState.SETTLED}


def test_a_pilot_that_is_not_in_the_queue_is_given_up_when_its_lease_has_run_out(
    database: Database, tmp_path: Path
) -> None:
    acting = actor(database, tmp_path)
    (left,) = try_to_submit(acting, 1)
    acting.reconcile(queue(), now=NOW + timedelta(seconds=15))
    assert acting.submissions() == (left,)
    acting.reconcile(queue(), now=LATER)
    assert states(database) == {left.pilot_id: EffectState.ABANDONED}


def test_a_queue_that_was_not_seen_whole_settles_nothing(database: Database, tmp_path: Path) -> None:
    acting = actor(database, tmp_path)
    (left,) = try_to_submit(acting, 1)
    acting.reconcile(queue(complete=False), now=LATER)
    assert acting.submissions() == (left,)


def test_what_a_dead_loop_left_open_is_never_submitted_again(database: Database, tmp_path: Path) -> None:
    (left,) = try_to_submit(actor(database, tmp_path), 1)
    reborn = actor(database, tmp_path)
    assert reborn.submissions() == (left,)
    (folder,) = tmp_path.glob(f"pilots/*/{left.pilot_id}")
    shutil.rmtree(folder)
    # By now the lease of the dead one's pilot has run out, and a new batch claims what is free.
    with pytest.raises(Temporary):
        reborn.submit(SubmitPilots(entry="A", vo="cms", count=1, reason="test"), now=LATER)
    tried = [path.name for path in tmp_path.glob("pilots/*/*")]
    assert len(tried) == 1
    assert tried != [left.pilot_id]


def test_nothing_is_submitted_under_a_digest_that_is_not_in_force(database: Database, tmp_path: Path) -> None:
    acting = actor(database, tmp_path, digest="0" * 64)
    with pytest.raises(Conflict, match="0000 is in force: nothing is submitted"):
        acting.submit(SubmitPilots(entry="A", vo="cms", count=2, reason="test"), now=NOW)
    assert states(database) == {}
    assert not (tmp_path / "pilots").exists()


def test_of_two_that_planned_on_the_same_only_the_first_is_applied(database: Database) -> None:
    words = {"action": "apply", "difference": {}, "who": "operator", "why": "test", "now": NOW}
    with database.begin() as connection:
        first = record(connection, "factory", digest="1" * 64, expect=None, **words)
    for late in (None, first.version - 1, first.version + 1):
        with pytest.raises(Conflict), database.begin() as connection:
            record(connection, "factory", digest="2" * 64, expect=late, **words)
    with database.begin() as connection:
        record(connection, "factory", digest="3" * 64, expect=first.version, **words)
    with database.read() as connection:
        assert [each.digest[0] for each in log_of(connection, "factory")] == ["1", "3"]
        assert applied_now(connection, "factory").digest == "3" * 64
        assert applied_now(connection, "another") is None
