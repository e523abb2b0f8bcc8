"""What the factory decides about a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.factory.world import (
    NOW,
    configuration,
    entry_table,
    failed,
    jobs,
    outage,
    pilot,
    registry,
    slot,
    snapshot,
    whole,
)

from opengoc.factory.configuration import Configuration
from opengoc.factory.decide import decide
from opengoc.factory.limits import Limits, read_limits
from opengoc.factory.model import (
    CollectPilot,
    Decision,
    EntryRow,
    Limit,
    Memory,
    Pace,
    PayloadState,
    PilotState,
    ReleasePilot,
    RemovePilot,
    Snapshot,
    Submission,
    SubmitPilots,
)
from opengoc.factory.protection_ends import Judged, PilotEnd, judge
from opengoc.factory.ramp import Ramp
from opengoc.registry.snapshot import Registry

CONFIGURATION = configuration()
DIGEST = CONFIGURATION.digest


def decided(
    seen: Snapshot,
    *,
    world: Configuration = CONFIGURATION,
    known: Registry | None = None,
    memory: Memory | None = None,
    pace: Pace | None = None,
    ends: Sequence[Judged] = (),
    ramp: Ramp | None = None,
) -> Decision:
    known, memory = known or registry(), memory or Memory()
    return decide(seen, world, known, now=NOW, memory=memory, pace=pace, ends=ends, ramp=ramp)


def sent(decision: Decision) -> dict[tuple[str, str], int]:
    return {(a.entry, a.vo): a.count for a in decision.actions if isinstance(a, SubmitPilots)}


def removed(decision: Decision) -> list[str]:
    return [a.pilot.id for a in decision.actions if isinstance(a, RemovePilot)]


def row(decision: Decision, entry: str, vo: str = "cms") -> EntryRow:
    return next(each for each in decision.rows if (each.entry, each.vo) == (entry, vo))


def test_idle_jobs_get_pilots_at_every_entry_they_may_use() -> None:
    decision = decided(snapshot(jobs(8) + jobs(4, vo="ligo")))
    assert sent(decision) == {("A", "cms"): 2, ("B", "cms"): 2, ("A", "ligo"): 1, ("B", "ligo"): 1}
    assert row(decision, "A").matching_jobs == 8
    assert decision.frozen == ""


def test_running_jobs_ask_for_nothing() -> None:
    assert sent(decided(snapshot(jobs(8, state=PayloadState.RUNNING)))) == {}


def test_pilots_on_their_way_count_before_they_join() -> None:
    waiting = [pilot(n, digest=DIGEST) for n in range(2)]
    starting = [pilot(2, digest=DIGEST, state=PilotState.RUNNING)]
    submitted = [Submission(pilot_id="plt-900", entry="B", vo="cms")]
    assert sent(decided(snapshot(jobs(8), waiting + starting, (), submitted))) == {}


def test_a_pilot_that_never_joins_is_no_supply_any_more() -> None:
    late = pilot(1, digest=DIGEST, state=PilotState.RUNNING, age_seconds=601)
    assert sent(decided(snapshot(jobs(2), [late]))) != {}


def test_a_pilot_that_waits_too_long_is_no_supply_and_keeps_its_place() -> None:
    late = [pilot(1, digest=DIGEST, age_seconds=1801)]
    first = decided(snapshot(jobs(2), late))
    assert sum(sent(first).values()) == 1
    assert removed(decided(snapshot(jobs(2), late), memory=first.memory)) == []
    idle = decided(snapshot((), late))
    assert removed(decided(snapshot((), late), memory=idle.memory)) == ["plt-001"]


def test_a_pilot_that_left_the_pool_is_no_supply_any_more() -> None:
    leaving = pilot(1, digest=DIGEST, state=PilotState.RUNNING, age_seconds=60)
    decision = decided(snapshot(jobs(2), [leaving]), memory=Memory(joined=frozenset({leaving.id})))
    assert sum(sent(decision).values()) == 1


def test_idle_slots_that_nobody_can_use_are_no_supply() -> None:
    of_ligo = [slot(n, digest=DIGEST, vo="ligo") for n in range(50)]
    draining = [slot(60, digest=DIGEST, accepting=False)]
    of_another_policy = [slot(61, digest="0" * 64)]
    full = [slot(62, digest=DIGEST, cores=0)]
    decision = decided(snapshot(jobs(4), (), of_ligo + draining + of_another_policy + full))
    assert sum(sent(decision).values()) == 2


def test_free_slots_are_filled_before_pilots_are_asked_for() -> None:
    assert sent(decided(snapshot(jobs(4), (), [slot(1, digest=DIGEST), slot(2, digest=DIGEST)]))) == {}


def test_the_limit_that_bound_is_named_beside_what_was_requested() -> None:
    world = configuration(entry_table("A", max_pilots=6, max_idle=2))
    first = row(decided(snapshot(jobs(20)), world=world), "A")
    assert (first.requested, first.allowed, first.limit) == (10, 2, Limit.MAX_IDLE)
    running = [pilot(n, digest=world.digest, state=PilotState.RUNNING) for n in range(5)]
    full = [slot(n, digest=world.digest, cores=0) for n in range(5)]
    second = row(decided(snapshot(jobs(20), running, full), world=world), "A")
    assert (second.requested, second.allowed, second.limit) == (10, 1, Limit.MAX_PILOTS)


def test_held_pilots_count_as_waiting_ones() -> None:
    world = configuration(entry_table("A", max_pilots=9, max_idle=2))
    held = [pilot(n, digest=world.digest, state=PilotState.HELD) for n in range(2)]
    found = row(decided(snapshot(jobs(20), held), world=world), "A")
    assert (found.allowed, found.limit, found.held) == (0, Limit.MAX_IDLE, 2)


def test_no_more_pilots_are_submitted_in_a_cycle_than_the_pace_allows() -> None:
    decision = decided(snapshot(jobs(40)), pace=Pace(submissions=3))
    assert sum(sent(decision).values()) == 3
    assert row(decision, "A").limit is Limit.CYCLE


def test_a_job_that_matches_no_entry_is_counted_and_asks_for_nothing() -> None:
    decision = decided(snapshot(jobs(3, DESIRED_Sites="SITE-X")))
    assert (sent(decision), decision.unmatched_jobs) == ({}, 3)


def test_a_disabled_entry_says_why() -> None:
    world = configuration(entry_table("A", enabled="false", reason='"cooling"'), entry_table("B"))
    found = row(decided(snapshot(jobs(2)), world=world), "A")
    assert (found.limit, found.detail, found.allowed) == (Limit.DISABLED, "cooling", 0)


def test_an_entry_in_an_outage_gets_no_pilots() -> None:
    decision = decided(snapshot(jobs(8)), known=registry(outage("CE-A", starts_in=-1, hours=2)))
    assert sent(decision) == {("B", "cms"): 4}
    found = row(decision, "A")
    assert (found.limit, found.matching_jobs) == (Limit.OUTAGE, 8)
    assert "power work" in found.detail


def test_an_outage_of_another_service_does_not_count() -> None:
    known = registry(outage("CE-A", starts_in=-1, hours=2, service="Squid"))
    assert ("A", "cms") in sent(decided(snapshot(jobs(8)), known=known))


def test_before_an_outage_only_pilots_that_can_end_are_sent() -> None:
    # A pilot of A lives for an hour.
    soon = decided(snapshot(jobs(8)), known=registry(outage("CE-A", starts_in=0.9, hours=2)))
    assert row(soon, "A").limit is Limit.OUTAGE_AHEAD
    assert sent(soon) == {("B", "cms"): 4}
    later = decided(snapshot(jobs(8)), known=registry(outage("CE-A", starts_in=1.1, hours=2)))
    assert ("A", "cms") in sent(later)


def test_a_queue_that_does_not_answer_freezes_everything() -> None:
    idle = [pilot(n, digest=DIGEST) for n in range(3)]
    surplus = Memory(surplus=frozenset(each.id for each in idle))
    good = snapshot(jobs(8), idle)
    for seen in (
        replace(good, queues=(failed("jobs of pool"),)),
        replace(good, queues=(*good.queues, failed("jobs of other"))),
        replace(good, pilots=failed("jobs of factory")),
        replace(good, slots=failed("slots")),
    ):
        decision = decided(seen, memory=surplus)
        assert decision.actions == ()
        assert "no answer within 20 s" in decision.frozen
        assert {each.limit for each in decision.rows} == {Limit.FROZEN}
        assert decision.memory.surplus == frozenset()


def test_a_queue_that_does_not_answer_freezes_the_vos_that_were_seen_in_it() -> None:
    of_ligo = [pilot(n, digest=DIGEST, vo="ligo") for n in range(2)]
    of_cms = [pilot(7, digest=DIGEST)]
    other = whole("jobs of other", jobs(4, vo="ligo"))
    good = replace(snapshot((), of_ligo + of_cms), queues=(whole("jobs of pool", jobs(8)), other))
    first = decided(good)
    lost = replace(good, queues=(good.queues[0], failed("jobs of other")))
    second = decided(lost, memory=first.memory)
    assert second.frozen == ""
    assert second.frozen_vos == {"ligo": "jobs of other: no answer within 20 s"}
    assert {place[1] for place in sent(second)} == {"cms"}
    assert removed(decided(lost, memory=second.memory)) == []
    assert row(second, "A", "ligo").limit is Limit.FROZEN
    assert row(second, "A", "cms").limit is not Limit.FROZEN
    # It never answered: whose jobs it holds is not known.
    assert decided(lost).frozen == "jobs of other: no answer within 20 s"


def test_a_pool_that_is_suddenly_empty_is_looked_at_again() -> None:
    running = [pilot(n, digest=DIGEST, state=PilotState.RUNNING) for n in range(3)]
    first = decided(snapshot(jobs(8), running), memory=Memory(slots=3, pilots=3))
    assert "the pool shows no slot, 3 before" in first.frozen
    assert first.actions == ()
    second = decided(snapshot(jobs(8), running), memory=first.memory)
    assert second.frozen == ""


def test_a_factory_queue_that_is_suddenly_empty_is_looked_at_again() -> None:
    seen = snapshot(jobs(8), (), [slot(1, digest=DIGEST, cores=0)])
    first = decided(seen, memory=Memory(slots=1, pilots=5))
    assert "the factory's queue is empty, 5 before" in first.frozen
    assert decided(seen, memory=first.memory).frozen == ""


def test_a_waiting_pilot_is_taken_back_when_two_snapshots_agree() -> None:
    idle = [pilot(n, digest=DIGEST, age_seconds=100 - n) for n in range(3)]
    first = decided(snapshot(jobs(2), idle))
    assert removed(first) == []
    second = decided(snapshot(jobs(2), idle), memory=first.memory)
    # One pilot is enough for two jobs: the oldest stays, the youngest goes first.
    assert removed(second) == ["plt-002", "plt-001"]


def test_a_pilot_that_found_work_in_between_stays() -> None:
    idle = [pilot(1, digest=DIGEST)]
    first = decided(snapshot((), idle))
    busy = decided(snapshot(jobs(2), idle), memory=first.memory)
    third = decided(snapshot((), idle), memory=busy.memory)
    assert (removed(busy), removed(third)) == ([], [])


def test_removals_are_paced() -> None:
    idle = [pilot(n, digest=DIGEST) for n in range(30)]
    first = decided(snapshot((), idle))
    assert len(removed(decided(snapshot((), idle), memory=first.memory, pace=Pace(removals=4)))) == 4


def test_a_pilot_that_starts_while_nothing_asks_for_it_is_spared() -> None:
    idle = [pilot(n, digest=DIGEST) for n in (1, 2)]
    seen = snapshot((), idle)
    second = decided(seen, memory=decided(seen).memory)
    # One that waits in the queue may start before it is removed.
    assert {a.is_unneeded for a in second.actions if isinstance(a, RemovePilot)} == {True}
    # One that the pool shows has started, although the queue does not say so yet.
    joined = snapshot((), idle, [slot(1, digest=DIGEST)])
    assert removed(decided(joined, memory=decided(joined).memory)) == ["plt-002"]


def test_a_pilot_that_waits_is_kept_while_a_job_could_start_in_it_although_there_is_room_elsewhere() -> None:
    idle = [pilot(n, digest=DIGEST) for n in (1, 2)]
    seen = snapshot(jobs(2), idle, [slot(3, digest=DIGEST)])
    second = decided(seen, memory=decided(seen).memory)
    assert (sent(second), removed(second)) == ({}, ["plt-002"])
    none = snapshot((), idle, [slot(3, digest=DIGEST)])
    assert removed(decided(none, memory=second.memory)) == ["plt-002"]
    assert sorted(removed(decided(none, memory=decided(none).memory))) == ["plt-001", "plt-002"]


def test_running_pilots_are_never_removed() -> None:
    running = [pilot(1, digest=DIGEST, state=PilotState.RUNNING)]
    idle_slot = [slot(1, digest=DIGEST)]
    first = decided(snapshot((), running, idle_slot))
    assert removed(decided(snapshot((), running, idle_slot), memory=first.memory)) == []


def test_waiting_pilots_of_another_digest_are_no_supply_and_are_taken_back() -> None:
    old = [pilot(1, digest="0" * 64)]
    first = decided(snapshot(jobs(2), old))
    assert sum(sent(first).values()) == 1
    assert removed(decided(snapshot(jobs(2), old), memory=first.memory)) == ["plt-001"]


def test_a_pilot_that_stays_held_is_given_up() -> None:
    young = pilot(1, digest=DIGEST, state=PilotState.HELD, age_seconds=299)
    old = pilot(2, digest=DIGEST, state=PilotState.HELD, age_seconds=301)
    decision = decided(snapshot((), [young, old]))
    assert removed(decision) == ["plt-002"]
    assert "no credential" in next(a.reason for a in decision.actions if isinstance(a, RemovePilot))


def test_ended_pilots_are_collected_even_when_requests_are_frozen() -> None:
    ended = [pilot(1, digest=DIGEST, state=PilotState.COMPLETED, exit_code=0)]
    seen = replace(snapshot((), ended), queues=(failed("jobs of pool"),))
    assert [a.pilot.id for a in decided(seen).actions if isinstance(a, CollectPilot)] == ["plt-001"]


def _bad_ends(count: int, *, last_seconds_ago: float) -> list[Judged]:
    """Pilots of entry A that left no report, one every ten seconds."""
    times = [NOW - timedelta(seconds=last_seconds_ago + 10 * number) for number in range(count)]
    return [
        judge(PilotEnd(pilot_id=f"old-{n}", entry="A", vo="cms", submitted_at=at, ended_at=at))
        for n, at in enumerate(times)
    ]


def test_an_entry_whose_pilots_end_badly_is_sent_none_for_a_while_and_others_take_its_jobs() -> None:
    decision = decided(snapshot(jobs(4)), ends=_bad_ends(3, last_seconds_ago=60))
    assert row(decision, "A").limit is Limit.FAILING
    assert "3 of the last 3 pilots ended badly" in row(decision, "A").detail
    assert sent(decision) == {("B", "cms"): 2}


def test_after_that_one_at_a_time_is_sent_until_one_does_well() -> None:
    world = configuration(entry_table("A"))
    ends = _bad_ends(3, last_seconds_ago=601)
    first = decided(snapshot(jobs(20)), world=world, ends=ends)
    assert (sum(sent(first).values()), row(first, "A").limit) == (1, Limit.CANARY)
    waiting = [pilot(7, digest=world.digest)]
    assert sent(decided(snapshot(jobs(20), waiting), world=world, ends=ends)) == {}
    running = [pilot(7, digest=world.digest, state=PilotState.RUNNING, age_seconds=130)]
    ends = _bad_ends(3, last_seconds_ago=900)
    in_pool = snapshot(jobs(20), running, [slot(7, digest=world.digest, cores=0)])
    opened = decided(in_pool, world=world, ends=ends)
    assert row(opened, "A").limit is not Limit.CANARY
    assert sum(sent(opened).values()) == 9


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"hold_code": 16}, None),
        ({"hold_reason": "connection refused", "holds": 1}, ReleasePilot),
        ({"hold_reason": "connection refused", "holds": 4}, None),
        ({"hold_reason": "Invalid partition name specified"}, RemovePilot),
        ({"hold_reason": "for no reason"}, None),
    ],
)
def test_a_held_pilot_is_treated_by_the_reason_of_its_hold(
    changes: dict[str, Any], action: type | None
) -> None:
    held = replace(pilot(1, digest=DIGEST, state=PilotState.HELD, age_seconds=100), **changes)
    actions = [each for each in decided(snapshot((), [held])).actions if not isinstance(each, CollectPilot)]
    assert [type(each) for each in actions] == ([action] if action else [])
    assert all(held.hold_reason in each.reason for each in actions)
    if action is RemovePilot:
        assert isinstance(actions[0], RemovePilot)
        assert actions[0].fails_entry


pilots_of_all_kinds = st.lists(
    st.builds(
        lambda number, state, entry, vo: pilot(number, digest=DIGEST, state=state, entry=entry, vo=vo),
        st.integers(0, 10_000),
        st.sampled_from(PilotState),
        st.sampled_from(["A", "B", "gone"]),
        st.sampled_from(["cms", "ligo"]),
    ),
    max_size=30,
    unique_by=lambda each: each.id,
)


@given(
    found=pilots_of_all_kinds,
    counts=st.tuples(st.integers(0, 200), st.integers(0, 200)),
    lost=st.sampled_from(["", "queue", "pilots", "slots"]),
)
def test_limits_hold_and_nothing_is_removed_on_what_was_not_seen(
    found: list[object], counts: tuple[int, int], lost: str
) -> None:
    seen = snapshot(jobs(counts[0]) + jobs(counts[1], vo="ligo"), found)
    if lost == "queue":
        seen = replace(seen, queues=(failed("jobs"),))
    elif lost:
        seen = replace(seen, **{lost: failed(lost)})
    memory = Memory(surplus=frozenset(each.id for each in found))
    decision = decided(seen, memory=memory)
    if lost:
        assert not sent(decision)
        assert not removed(decision)
    alive = (PilotState.IDLE, PilotState.RUNNING, PilotState.HELD)
    for name in ("A", "B"):
        there = sum(each.entry == name and each.state in alive for each in found)
        new = sum(count for (entry, _), count in sent(decision).items() if entry == name)
        assert new == 0 or there + new <= 10


def test_the_same_snapshot_gives_the_same_decision() -> None:
    seen = snapshot(jobs(9), [pilot(1, digest=DIGEST)], [slot(2, digest=DIGEST)])
    assert decided(seen) == decided(seen)


def test_an_observation_is_a_part_of_the_world_not_of_the_decision() -> None:
    seen = snapshot(jobs(2))
    assert decided(seen).frozen == ""
    assert decided(replace(seen, queues=())).actions == ()
    assert decided(replace(seen, queues=(whole("jobs of empty", ()), *seen.queues))).frozen == ""


def test_a_vo_at_an_entry_gets_no_more_than_its_own_limit_and_the_rest_goes_elsewhere() -> None:
    tables = (
        entry_table("A", max_pilots_of="{ cms = 2 }"),
        entry_table("B", resource='"CE-B"', max_pilots=5, max_idle=5),
    )
    decision = decided(snapshot(jobs(16) + jobs(4, vo="ligo")), world=configuration(*tables))
    assert sent(decision)["A", "cms"] == 2
    assert sent(decision)["B", "cms"] + sent(decision).get(("B", "ligo"), 0) == 5
    found = row(decision, "A")
    assert (found.allowed, found.limit, found.detail) == (2, Limit.MAX_PILOTS_OF_VO, "2 pilots of cms")
    there = [pilot(n, digest=configuration(*tables).digest, state=PilotState.RUNNING) for n in range(2)]
    again = decided(snapshot(jobs(40), there), world=configuration(*tables))
    assert ("A", "cms") not in sent(again)


def test_an_entry_with_too_many_held_pilots_gets_none() -> None:
    world = configuration(entry_table("A", max_held=2))
    held = [pilot(n, digest=world.digest, state=PilotState.HELD) for n in range(2)]
    assert sum(sent(decided(snapshot(jobs(8), held[:1]), world=world)).values()) == 4
    found = row(decided(snapshot(jobs(8), held), world=world), "A")
    assert (found.allowed, found.limit) == (0, Limit.MAX_HELD)


def test_an_entry_is_filled_slowly_where_it_says_so() -> None:
    found = row(decided(snapshot(jobs(20)), world=configuration(entry_table("A", max_per_cycle=3))), "A")
    assert (found.requested, found.allowed, found.limit) == (10, 3, Limit.MAX_PER_CYCLE)


def test_an_entry_and_all_of_them_are_filled_at_a_rate() -> None:
    ramp = Ramp(sent={"A": (NOW,)})
    slow = configuration(entry_table("A", max_per_minute=12))
    found = row(decided(snapshot(jobs(20)), world=slow, ramp=ramp), "A")
    assert (found.requested, found.allowed, found.limit) == (10, 2, Limit.MAX_PER_MINUTE)
    assert found.detail == "12 pilots a minute: more follow"
    all_slow = replace(CONFIGURATION, limits=Limits(max_per_minute=6))
    decision = decided(snapshot(jobs(40)), world=all_slow, ramp=ramp)
    assert (sum(sent(decision).values()), row(decision, "A").limit) == (1, Limit.ALL_ENTRIES)


def test_limits_over_all_entries_hold_and_are_named() -> None:
    world = replace(CONFIGURATION, limits=Limits(max_pilots=5, max_idle=4))
    there = [pilot(n, digest=DIGEST, state=PilotState.RUNNING) for n in range(2)]
    full = [slot(n, digest=DIGEST, cores=0) for n in range(2)]
    decision = decided(snapshot(jobs(40), there, full), world=world)
    assert sum(sent(decision).values()) == 3
    assert row(decision, "A").limit is Limit.ALL_ENTRIES
    assert row(decision, "A").detail == "5 pilots, all entries together"
    waiting = [pilot(n, digest=DIGEST) for n in range(4)]
    assert sent(decided(snapshot(jobs(40), waiting), world=world)) == {}
    slow = replace(CONFIGURATION, limits=Limits(max_per_cycle=2))
    decision = decided(snapshot(jobs(40)), world=slow)
    assert (sum(sent(decision).values()), row(decision, "A").limit) == (2, Limit.CYCLE)


def test_the_faults_of_limits_are_named() -> None:
    assert read_limits("[limits]\nmax_pilots = 7\n", "p") == (Limits(max_pilots=7), ())
    for text in (
        "[limits]\nmax_pilots = -1",
        "[limits]\nmax_idle = true",
        "[limits]\nmost = 1",
        "limits = 1",
    ):
        _, faults = read_limits(text, "p")
        assert len(faults) == 1
    assert configuration(entry_table("A", max_held=3)).digest != configuration(entry_table("A")).digest
