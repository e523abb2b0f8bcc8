"""What a factory decides that has mirrors."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.unit.factory.world import NOW, configuration, entry_table, jobs, pilot, registry, slot, snapshot

from opengoc.factory.configuration import Configuration
from opengoc.factory.decide import decide
from opengoc.factory.explain_entry import Around, explain_entry
from opengoc.factory.limits import Limits
from opengoc.factory.mirror import ALONE, Holding, Mirror, Mirrored, Reading, larger, mirrored, with_walltimes
from opengoc.factory.mirroring import holdings_of, overtaken
from opengoc.factory.model import (
    Decision,
    Limit,
    Memory,
    Pace,
    PilotState,
    RemovePilot,
    Snapshot,
    Submission,
    SubmitPilots,
)
from opengoc.factory.ramp import Ramp

WORLD = configuration(entry_table("A"))
DIGEST = WORLD.digest
PLACE = ("A", "cms")


def others(own: str = "a", *, now: Any = NOW, **holdings: Holding) -> Mirrored:
    """Mirrors that hold pilots of A for cms, seen by another."""
    found = tuple(
        Mirror(
            name=name,
            holder=name,
            schedd="schedd",
            collector="127.0.0.1:9",
            expires_at=NOW + timedelta(minutes=2),
            counted_at=NOW,
            is_able=False,
            holdings={PLACE: holding},
            version=1,
        )
        for name, holding in holdings.items()
    )
    return mirrored(own, Reading(version=1, others=found), now=now)


def decided(
    seen: Snapshot, mirrors: Mirrored, *, world: Configuration = WORLD, memory: Memory | None = None
) -> Decision:
    return decide(seen, world, registry(), now=NOW, memory=memory or Memory(), mirrors=mirrors)


def sent(decision: Decision) -> int:
    return sum(action.count for action in decision.actions if isinstance(action, SubmitPilots))


def test_pilots_that_a_mirror_expects_are_sent_no_second_time() -> None:
    seen = snapshot(jobs(8))
    assert sent(decided(seen, ALONE)) == 4
    assert sent(decided(seen, others(b=Holding(idle=3, coming=3)))) == 1
    assert sent(decided(seen, others(b=Holding(running=4)))) == 4


def test_pilots_of_a_silent_mirror_take_up_room_and_no_job_waits_for_them() -> None:
    later = NOW + timedelta(minutes=3)
    decision = decided(snapshot(jobs(40)), others(now=later, b=Holding(idle=8, coming=8)))
    assert sent(decision) == 2
    row = next(row for row in decision.rows if row.vo == "cms")
    assert (row.requested, row.allowed, row.limit) == (20, 2, Limit.MAX_PILOTS)
    assert row.detail == "10 pilots, 8 held by mirror b (silent since 2026-11-16T12:02:00Z)"


def test_every_limit_of_pilots_counts_those_of_mirrors() -> None:
    held = others(b=Holding(idle=1, running=3))
    of_vo = configuration(entry_table("A", max_pilots_of="{ cms = 6 }"))
    over_all = replace(configuration(entry_table("A")), limits=Limits(max_pilots=5))
    waiting = configuration(entry_table("A", max_idle=3))
    found = {
        name: decided(snapshot(jobs(40)), held, world=world)
        for name, world in {"VO": of_vo, "all": over_all, "waiting": waiting}.items()
    }
    assert {name: sent(decision) for name, decision in found.items()} == {"VO": 2, "all": 1, "waiting": 2}
    said = {name: next(r.detail for r in d.rows if r.vo == "cms") for name, d in found.items()}
    assert said == {
        "VO": "6 pilots of cms, 4 held by mirror b",
        "all": "5 pilots, all entries together, 4 held by mirror b",
        "waiting": "3 waiting pilots, 1 held by mirror b",
    }


def test_of_two_mirrors_with_too_many_waiting_pilots_one_takes_back_its_own() -> None:
    two = [pilot(number, digest=DIGEST) for number in (1, 2)]
    removed = {}
    for own, other in (("a", "b"), ("b", "a")):
        mirrors = others(own, **{other: Holding(idle=2, coming=2)})
        memory = decided(snapshot(jobs(4), two), mirrors).memory
        again = decided(snapshot(jobs(4), two), mirrors, memory=memory)
        removed[own] = [act.pilot.id for act in again.actions if isinstance(act, RemovePilot)]
    assert removed == {"a": [], "b": ["plt-001", "plt-002"]}


def test_a_pilot_that_joins_between_two_readings_is_not_missed() -> None:
    def reading(coming: int) -> Reading:
        mirror = Mirror(
            name="b",
            holder="b",
            schedd="schedd",
            collector="127.0.0.1:9",
            expires_at=NOW + timedelta(minutes=2),
            counted_at=NOW,
            is_able=True,
            holdings={PLACE: Holding(running=4, coming=coming)},
            version=1,
        )
        return Reading(version=1, others=(mirror,))

    ahead, now = reading(4), reading(1)
    assert list(mirrored("a", now, before=ahead, now=NOW).coming()) == [("b", PLACE, 4)]
    assert list(mirrored("a", now, now=NOW).coming()) == [("b", PLACE, 1)]


def test_a_mirror_holds_its_pilots_in_every_state_and_those_on_their_way() -> None:
    seen = snapshot(
        pilots=[
            pilot(1, digest=DIGEST),
            pilot(2, digest=DIGEST, age_seconds=7200),
            pilot(3, digest=DIGEST, state=PilotState.RUNNING),
            pilot(4, digest=DIGEST, state=PilotState.RUNNING),
            pilot(5, digest=DIGEST, state=PilotState.HELD),
            pilot(6, digest=DIGEST, state=PilotState.COMPLETED),
            pilot(7, digest=DIGEST, entry="gone"),
        ],
        slots=[slot(3, digest=DIGEST)],
        submissions=[Submission(pilot_id="plt-008", entry="A", vo="cms")],
    )
    joined = frozenset({"plt-003"})
    held = holdings_of(seen, WORLD, joined=joined, now=NOW, pace=Pace())
    # Expected: the first, the fourth and the eighth; the second has waited too long to be counted on.
    assert held[PLACE] == Holding(idle=3, held=1, running=2, coming=3, walltime_seconds=3600)
    assert held[("gone", "cms")] == Holding(idle=1)


def test_the_longest_walltime_stands_as_long_as_a_mirror_holds_anything() -> None:
    short, long, unknown = (Holding(running=1, walltime_seconds=seconds) for seconds in (60, 3600, None))
    assert with_walltimes({PLACE: short}, {PLACE: long})[PLACE].walltime_seconds == 3600
    assert with_walltimes({PLACE: short}, {PLACE: unknown})[PLACE].walltime_seconds is None
    assert with_walltimes({PLACE: unknown}, {PLACE: long})[PLACE].walltime_seconds == 3600
    assert with_walltimes({PLACE: short}, {})[PLACE].walltime_seconds == 60


def test_of_two_counts_of_a_silent_queue_the_larger_number_stands() -> None:
    one, other = {PLACE: Holding(idle=2, running=1)}, {PLACE: Holding(idle=1, running=3)}
    assert larger(one, other) == {PLACE: Holding(idle=2, running=3)}
    assert larger({}, other) == other


def test_a_decision_that_others_were_faster_than_sends_nothing_and_says_so() -> None:
    decision = overtaken(decided(snapshot(jobs(8)), ALONE))
    assert sent(decision) == 0
    row = next(row for row in decision.rows if row.vo == "cms")
    assert (row.requested, row.allowed, row.limit) == (4, 0, Limit.CYCLE)
    assert "mirrors" in row.detail


def test_the_explanation_of_an_entry_counts_the_pilots_of_mirrors() -> None:
    mirrors = others(b=Holding(running=10))
    decision = decided(snapshot(jobs(8)), mirrors)
    around = Around(
        registry=registry(),
        limits=Limits(),
        ramp=Ramp(),
        paused={},
        mirrors=mirrors,
        pace=Pace(),
        now=NOW,
    )
    explained = explain_entry(WORLD.entries["A"], decision.rows, around)
    (most,) = (each for each in explained.limits if each.limit == Limit.MAX_PILOTS.value)
    assert (most.cap, most.used, most.left, most.binds) == (10, 10, 0, True)
    assert explained.answer == "max_pilots: 10 pilots, 10 held by mirror b"
