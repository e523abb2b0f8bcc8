"""Mirrors share a limit by what they write down, on every database: never over it, and none of it unused."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.conftest import Together
from tests.unit.factory.world import configuration, entry_table, failed, jobs, registry, snapshot

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.condor.session import Pool
from opengoc.factory import mirror_store
from opengoc.factory.decide import decide
from opengoc.factory.demand import Bound
from opengoc.factory.mirror import Holding, Mirror, Mirrored, Place, Reading, mirrored, with_granted
from opengoc.factory.mirror_bounds import shared, with_mirrors
from opengoc.factory.mirror_store import Overtaken, Permit
from opengoc.factory.mirroring import Identity, Mirroring
from opengoc.factory.model import Decision, Limit, Memory, Pace, PilotState, Snapshot, SubmitPilots
from opengoc.store import facts
from opengoc.store.database import Database

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
LEASE = timedelta(seconds=120)
WALLTIME = timedelta(hours=1)
PLACE: Place = ("A", "cms")
CAP = 10

_groups = (f"group {number}" for number in itertools.count())


@dataclass
class Factory:
    """A mirror whose pilots do nothing but start and end, in a group with one limit."""

    database: Database
    group: str
    name: str
    waiting: int = 0
    running: int = 0
    reading: Reading = field(default_factory=Reading)
    permit: Permit | None = None

    @property
    def pilots(self) -> int:
        """Those that take up room."""
        return self.waiting + self.running

    def read(self) -> None:
        """Look at the others."""
        with self.database.read() as connection:
            self.reading = mirror_store.read(connection, self.group, own=self.name)

    def may_send(self, now: datetime = NOON) -> int:
        """What the limit leaves, by what was read."""
        mirrors = mirrored(self.name, self.reading, now=now)
        own = {PLACE: Counter({PilotState.IDLE: self.waiting, PilotState.RUNNING: self.running})}
        used = with_mirrors(own, mirrors)[PLACE].total()
        return shared(Bound(pilots=max(0, CAP - used), limit=Limit.MAX_PILOTS), mirrors, entry="A").pilots

    def send(self, wanted: int, now: datetime = NOON) -> int:
        """Write down and send up to ``wanted`` pilots; how many. Raises Overtaken."""
        granted = min(wanted, self.may_send(now))
        self.write(granted, now)
        self.waiting += granted
        return granted

    def write(
        self, granted: int = 0, now: datetime = NOON, *, seen: bool = True, keeps: bool = False
    ) -> Permit:
        """Write down what there is, and what is to be sent; the queue was ``seen`` whole, or not."""
        walltime = int(WALLTIME.total_seconds())
        there = Holding(idle=self.waiting, running=self.running, walltime_seconds=walltime)
        holdings = {PLACE: there} if there.alive and seen else {}
        mirror = Mirror(
            name=self.name,
            holder=f"host:{self.name}",
            schedd="schedd",
            collector="127.0.0.1:9",
            expires_at=now + LEASE,
            counted_at=now if seen else None,
            is_able=True,
            holdings=with_granted(holdings, {PLACE: granted} if granted else {}, walltimes={"A": walltime}),
            version=0,
        )
        with self.database.begin() as connection:
            expect = self.reading.version if granted else None
            self.permit = mirror_store.write(
                connection, self.group, mirror, expect=expect, keeps=keeps or not seen, now=now
            )
        return self.permit

    def cycle(self, wanted: int, now: datetime = NOON) -> int:
        """Read, decide and send until no other was faster; how many were sent."""
        while True:
            self.read()
            try:
                return self.send(wanted, now)
            except Overtaken:
                continue


def pair(database: Database) -> tuple[Factory, Factory]:
    """Two mirrors of a fresh group that know of each other."""
    group = next(_groups)
    both = Factory(database, group, "a"), Factory(database, group, "b")
    for each in both:
        each.write()
    return both


def known(factory: Factory) -> dict[str, Mirror]:
    with factory.database.read() as connection:
        return {each.name: each for each in mirror_store.mirrors(connection, factory.group)}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "send", "start", "end", "restart"]), st.booleans(), st.integers(1, 12)
    ),
    max_size=30,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_comes_between_reading_and_sending_the_limit_holds_and_is_used(
    database: Database, steps: list[tuple[str, bool, int]]
) -> None:
    both = pair(database)
    for verb, is_first, count in steps:
        one = both[0] if is_first else both[1]
        if verb == "read":
            one.read()
        elif verb == "send":
            try:
                one.send(count)
            except Overtaken:
                one.read()
        elif verb == "start":
            moved = min(count, one.waiting)
            one.waiting, one.running = one.waiting - moved, one.running + moved
        elif verb == "end":
            one.running -= min(count, one.running)
        else:
            # What it had read is lost, and what it has is written down again.
            one.reading = Reading()
            one.write()
        assert both[0].pilots + both[1].pilots <= CAP
    # Whoever has work left gets the whole rest, although the other could take its part.
    both[1].write()
    for _ in range(CAP):
        both[0].cycle(CAP)
    assert both[0].pilots + both[1].pilots == CAP


def test_mirrors_that_run_at_once_never_pass_the_limit(database: Database, together: Together) -> None:
    both = pair(database)
    lock, most, sent = threading.Lock(), 0, Counter[str]()

    def run(number: int) -> None:
        nonlocal most
        one = both[number]
        for turn in range(30):
            # Pilots end before their end is written down, and are there after they were.
            with lock:
                one.waiting -= min(one.waiting, turn % 3)
            one.read()
            granted = min(4, one.may_send())
            try:
                one.write(granted)
            except Overtaken:
                continue
            with lock:
                one.waiting += granted
                sent[one.name] += granted
                most = max(most, both[0].pilots + both[1].pilots)

    assert together(2, run) == [None, None]
    # How near they come depends on who has turns; that nothing is left idle is seen where they take turns.
    assert 0 < most <= CAP
    assert sent.total() > CAP


def test_one_that_wants_nothing_leaves_the_whole_limit_to_the_other(database: Database) -> None:
    one, _ = pair(database)
    assert [one.cycle(CAP) for _ in range(5)] == [5, 3, 1, 1, 0]


def test_both_get_a_part_of_what_is_left(database: Database) -> None:
    one, other = pair(database)
    assert (one.cycle(CAP), other.cycle(CAP), one.cycle(CAP)) == (5, 3, 1)


def test_a_decision_made_before_another_sent_pilots_is_refused(database: Database) -> None:
    one, other = pair(database)
    one.read()
    other.cycle(CAP)
    with pytest.raises(Overtaken):
        one.send(1)
    assert known(one)["a"].holdings == {}
    # What ended meanwhile harms nobody.
    one.read()
    other.waiting = 0
    other.write()
    assert one.send(1) == 1


def test_a_silent_one_holds_what_ran_for_a_walltime_and_what_waited_until_it_is_seen(
    database: Database,
) -> None:
    one, other = pair(database)
    other.waiting, other.running = 2, 3
    other.write()
    ended = WALLTIME + timedelta(minutes=10)
    for later, left in ((LEASE, 5), (ended - timedelta(seconds=1), 5), (ended, 8)):
        one.read()
        assert one.may_send(NOON + later) == left
    with database.begin() as connection:
        seen = known(one)["b"]
        at = NOON + LEASE
        mirror_store.recount(connection, one.group, seen, {PLACE: Holding(idle=1)}, at=at)
    one.read()
    assert one.may_send(at) == 9


def test_nobody_counts_anew_the_pilots_of_one_that_lives(database: Database) -> None:
    one, other = pair(database)
    seen = known(one)["b"]
    for at, live_again in ((NOON, False), (NOON + LEASE, True)):
        if live_again:
            other.write(now=at)
        with pytest.raises(Conflict), database.begin() as connection:
            mirror_store.recount(connection, one.group, seen, {}, at=at)


def test_one_that_others_took_for_ended_submits_nothing_more(database: Database) -> None:
    one, other = pair(database)
    other.cycle(4)
    permit = other.permit
    assert permit is not None
    with database.read() as connection:
        mirror_store.require(connection, permit)
    with database.begin() as connection:
        mirror_store.recount(connection, one.group, known(one)["b"], {}, at=NOON + LEASE)
    with pytest.raises(Conflict), database.read() as connection:
        mirror_store.require(connection, permit)


def test_a_queue_that_was_not_seen_whole_or_looks_empty_at_first_lowers_no_count(
    database: Database,
) -> None:
    _, other = pair(database)
    other.running = 3
    other.write()
    later = NOON + timedelta(seconds=60)
    other.write(now=later, seen=False)
    found = known(other)["b"]
    assert (found.holdings[PLACE].running, found.counted_at) == (3, NOON)
    assert found.expires_at == later + LEASE
    # It was started again, and so was its schedd, which has not read its queue yet.
    other.running = 0
    other.write(now=later, keeps=True)
    assert known(other)["b"].holdings[PLACE].running == 3
    other.write(now=later)
    assert known(other)["b"].holdings == {}


def test_two_homes_do_not_run_under_one_name_at_once(database: Database) -> None:
    one, _ = pair(database)
    twin = replace(known(one)["a"], holder="another host:home", counted_at=NOON)
    with pytest.raises(Conflict, match="runs from host:a"), database.begin() as connection:
        mirror_store.write(connection, one.group, twin, expect=None, now=NOON)
    with database.begin() as connection:
        mirror_store.write(connection, one.group, twin, expect=None, now=NOON + LEASE)


def test_one_that_left_is_silent_at_once_and_one_that_lives_is_not_forgotten(database: Database) -> None:
    one, other = pair(database)
    other.cycle(3)
    with pytest.raises(InvalidInput, match="runs until"), database.begin() as connection:
        mirror_store.forget(connection, one.group, "b", who="operator", why="lost", now=NOON)
    assert other.permit is not None
    with database.begin() as connection:
        mirror_store.leave(connection, other.permit, now=NOON)
    one.read()
    assert one.may_send() == CAP - 3
    with database.begin() as connection:
        mirror_store.forget(connection, one.group, "b", who="operator", why="lost", now=NOON)
        kept = facts.standing(connection, mirror_store.FORGOTTEN)[-1]
    assert (kept.who, kept.why, kept.value) == ("operator", "lost", {"pilots": 3})
    one.read()
    assert one.may_send() == CAP


def test_a_limit_says_which_mirror_holds_how_much(database: Database) -> None:
    one, other = pair(database)
    other.waiting, other.running = 1, 5
    other.write()
    one.read()
    mirrors: Mirrored = mirrored("a", one.reading, now=NOON)
    bound = Bound(pilots=4, limit=Limit.MAX_PILOTS, detail="10 pilots")
    said = shared(bound, mirrors, entry="A")
    assert said.detail == "10 pilots, 6 held by mirror b, 2 left to other mirrors in this cycle"
    waiting = replace(bound, pilots=1, limit=Limit.MAX_IDLE, detail="2 waiting pilots")
    assert shared(waiting, mirrors, entry="A").detail == "2 waiting pilots, 1 held by mirror b"
    silent = mirrored("a", one.reading, now=NOON + LEASE)
    assert shared(bound, silent, entry="A").detail == (
        "10 pilots, 6 held by mirror b (silent since 2026-11-16T12:02:00Z)"
    )


def test_what_is_to_be_submitted_is_written_down_first_and_a_blind_cycle_lowers_nothing(
    database: Database,
) -> None:
    group, world = next(_groups), configuration(entry_table("A"))

    def mirroring(name: str) -> Mirroring:
        pool = Pool(name=name, collector="127.0.0.1:9")
        own = Identity(group=group, name=name, holder=name, schedd="schedd", pool=pool)
        return Mirroring(database=database, own=own, pace=Pace(), stack=ExitStack())

    def decided(one: Mirroring, seen: Snapshot) -> Decision:
        reading = one.read()
        mirrors = one.held(reading, before=reading, now=NOON)
        return decide(seen, world, registry(), now=NOON, memory=Memory(), mirrors=mirrors)

    one, other = mirroring("a"), mirroring("b")
    seen, blind = snapshot(jobs(8)), replace(snapshot(jobs(8)), pilots=failed("jobs of a"))
    version = one.read().version
    assert one.write_down(blind, decided(one, blind), world, expect=version, now=NOON) is None
    both = decided(one, seen), decided(other, seen)
    assert one.write_down(seen, both[0], world, expect=version, now=NOON) is not None
    with pytest.raises(Overtaken):
        other.write_down(seen, both[1], world, expect=version, now=NOON)
    # The four pilots that the eight jobs need are on their way: there is nothing left to send.
    assert not any(isinstance(action, SubmitPilots) for action in decided(other, seen).actions)
    one.write_down(blind, decided(one, blind), world, expect=one.read().version, now=NOON)
    assert one.pilots_before() == mirroring("a").pilots_before() == 4
