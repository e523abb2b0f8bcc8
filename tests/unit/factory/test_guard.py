"""What the guard finds where what runs does not agree with what was applied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.factory.world import (
    NOW,
    configuration,
    entry_table,
    failed,
    jobs,
    pilot,
    registry,
    slot,
    snapshot,
)

from opengoc.factory.applied import Applied
from opengoc.factory.configuration import Configuration
from opengoc.factory.decide import decide
from opengoc.factory.finding import Action, FindingKind
from opengoc.factory.first_seen import FirstSeen
from opengoc.factory.force import Force
from opengoc.factory.guard import SourceState, Verdict, guard
from opengoc.factory.model import (
    Limit,
    Memory,
    Pace,
    Payload,
    PayloadState,
    PilotState,
    RemovePilot,
    Slot,
    Snapshot,
    StopStartd,
)

NOW_IN_FORCE = configuration()
#: Its A had one core.
BEFORE = configuration(entry_table("A", cores=1), entry_table("B", resource='"CE-B"'))
UNKNOWN = "f" * 64


def force(active: Configuration = NOW_IN_FORCE) -> Force:
    applied = Applied(
        digest=active.digest, at=NOW, who="operator", why="", action="apply", difference={}, version=2
    )
    starts = BEFORE.starts()
    alike = frozenset((BEFORE.digest, "B", vo) for vo in ("cms", "ligo"))
    return Force(applied=applied, configuration=replace(active, alike=alike), former={BEFORE.digest: starts})


def startd(number: int, of: Configuration = NOW_IN_FORCE, *, entry: str = "A", **changes: Any) -> Slot:
    right = {
        "start": "GOC_Start && GOC_Accepting",
        "policy_start": of.starts()[entry]["cms"],
    }
    return replace(slot(number, digest=of.digest, entry=entry), **(right | changes))


def carrier(number: int, of: Configuration = NOW_IN_FORCE, **changes: Any) -> Any:
    return pilot(number, digest=of.digest, state=PilotState.RUNNING, **changes)


def running(number: int, digest: str = NOW_IN_FORCE.digest, **attributes: Any) -> Payload:
    (job,) = jobs(1, state=PayloadState.RUNNING, **attributes)
    return replace(job, pilot_id=f"plt-{number:03d}", entry="A", digest=digest)


def found(seen: Snapshot, source: str = NOW_IN_FORCE.digest) -> Verdict:
    return guard(seen, force(), SourceState(digest=source), factory="factory")


def kinds(verdict: Verdict) -> list[tuple[FindingKind, str, Action]]:
    return [(each.kind, each.subject, each.action) for each in verdict.findings]


def stopped(verdict: Verdict) -> list[str]:
    """The pilots."""
    return [each.pilot.id for each in verdict.stops if isinstance(each, RemovePilot)]


def test_what_agrees_gives_nothing() -> None:
    good = running(1, DESIRED_Sites="SITE-X, SITE-A")
    old_one = startd(2, BEFORE)
    assert found(snapshot([good], [carrier(1), carrier(2, BEFORE)], [startd(1), old_one])) == Verdict()


def test_files_that_say_something_else_than_what_is_in_force() -> None:
    (edited,) = found(snapshot(), source="e" * 64).findings
    assert (edited.kind, edited.action) == (FindingKind.SOURCE, Action.ALARM)
    assert f"in force {NOW_IN_FORCE.digest[:12]}, the files have digest eeee" in edited.evidence
    source = SourceState(digest="", faults="line 3: cores")
    (faulty,) = guard(snapshot(), force(), source, factory="factory").findings
    assert "the files have faults: line 3: cores" in faulty.evidence


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "true"},
        {"start": "GOC_Start || GOC_Accepting"},
        {"policy_start": "true"},
        {"policy_start": ""},
        {"policy_start": "(("},
        {"policy_start": NOW_IN_FORCE.starts()["A"]["cms"] + " || true"},
        {"policy_start": NOW_IN_FORCE.starts()["B"]["cms"]},
        {"policy_start": NOW_IN_FORCE.starts()["A"]["cms"].replace("2048", "20480")},
    ],
)
def test_a_startd_with_another_start_is_stopped_and_its_entry_paused(changes: dict[str, str]) -> None:
    verdict = found(snapshot((), [carrier(1)], [startd(1, **changes)]))
    assert kinds(verdict) == [(FindingKind.START, "plt-001", Action.STOP_AND_PAUSE)]
    assert stopped(verdict) == ["plt-001"]
    assert verdict.pauses == {"A": "START differs: plt-001"}


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "GOC_Start&&GOC_Accepting"},
        {"start": "FALSE"},
        {"policy_start": "  " + NOW_IN_FORCE.starts()["A"]["cms"].replace("=?=", "is").replace(" && ", "&&")},
        {"policy_start": f"({NOW_IN_FORCE.starts()['A']['cms']})"},
    ],
)
def test_the_same_start_in_other_words_is_the_same(changes: dict[str, str]) -> None:
    assert found(snapshot((), [carrier(1)], [startd(1, **changes)])) == Verdict()


def test_a_startd_that_ends_and_took_its_start_back_accepts_nothing() -> None:
    assert found(snapshot((), [carrier(1)], [startd(1, start="")])) == Verdict()
    assert found(snapshot((), [], [startd(1, start="")])) == Verdict()


def test_a_startd_of_an_unknown_digest_is_stopped_by_its_pilot_or_else_itself() -> None:
    strays = [
        startd(1, digest=UNKNOWN),
        startd(2, digest=UNKNOWN, factory="another"),
        startd(3, digest=UNKNOWN, factory="factory"),
        startd(4, digest=""),
    ]
    verdict = found(snapshot((), [carrier(1)], strays))
    assert kinds(verdict) == [
        (FindingKind.STARTD_DIGEST, "plt-001", Action.STOP),
        (FindingKind.STARTD_DIGEST, "plt-002", Action.NOBODY),
        (FindingKind.STARTD_DIGEST, "plt-003", Action.TOLD),
        (FindingKind.STARTD_DIGEST, "plt-004", Action.TOLD),
    ]
    why = "guard: startd of an unknown digest"
    assert set(verdict.stops) == {
        RemovePilot(pilot=carrier(1), reason=why),
        StopStartd(slot="slot1@3", entry="A", reason=why),
        StopStartd(slot="slot1@4", entry="A", reason=why),
    }
    assert verdict.pauses == {}
    # While the factory's queue keeps silent nobody knows whose they are.
    blind = replace(snapshot((), (), strays), pilots=failed("queue"))
    assert found(blind).stops == ()


def test_a_pilot_in_the_queue_of_an_unknown_digest_is_stopped() -> None:
    several = [
        pilot(1, digest=UNKNOWN),
        pilot(2, digest=UNKNOWN, state=PilotState.REMOVED),
        pilot(3, digest=BEFORE.digest),
    ]
    verdict = found(snapshot((), several))
    assert kinds(verdict) == [(FindingKind.PILOT_DIGEST, "plt-001", Action.STOP)]


def test_a_job_where_it_must_not_run_pauses_the_entry_unless_it_was_seen_to_change() -> None:
    astray = running(1, DESIRED_Sites="SITE-B")
    unseen = found(snapshot([astray], [carrier(1)]))
    assert kinds(unseen) == [(FindingKind.JOB, "cms#0.0", Action.STOP_AND_PAUSE)]
    assert stopped(unseen) == ["plt-001"]
    assert "DESIRED_Sites = 'SITE-B'" in unseen.findings[0].evidence
    # START is as it was rendered, and yet it was let in: the startd reads it otherwise.
    let_in = snapshot([astray], [carrier(1)], [startd(1)])
    assert kinds(found(let_in)) == [(FindingKind.JOB, "cms#0.0", Action.STOP_AND_PAUSE)]
    assert found(let_in).pauses == {"A": "job not allowed: cms#0.0"}
    # It was another job when it was let in.
    seen = FirstSeen()
    assert seen.changed([running(1), *jobs(1, vo="ligo")]) == frozenset()
    changed = seen.changed([astray, *jobs(1, vo="ligo", RequestCpus=2)])
    assert changed == {"cms#0.0"}
    source = SourceState(digest=NOW_IN_FORCE.digest)
    verdict = guard(let_in, force(), source, factory="factory", changed=changed)
    assert kinds(verdict) == [(FindingKind.JOB_CHANGED, "cms#0.0", Action.ALARM)]
    assert (verdict.stops, verdict.pauses) == ((), {})


def test_a_job_that_only_an_earlier_policy_allowed_is_stopped_and_the_entry_goes_on() -> None:
    astray = running(1, BEFORE.digest, DESIRED_Sites="SITE-B")
    verdict = found(snapshot([astray], [carrier(1, BEFORE)], [startd(1, BEFORE)]))
    assert kinds(verdict) == [(FindingKind.JOB, "cms#0.0", Action.STOP)]
    assert verdict.pauses == {}


def test_one_pilot_is_stopped_once_whatever_is_found_of_it() -> None:
    astray = [running(1, DESIRED_Sites="SITE-B"), running(1, DESIRED_Sites="SITE-C")]
    several = [replace(job, id=f"cms#{n}.0") for n, job in enumerate(astray)]
    verdict = found(snapshot(several, [carrier(1)], [startd(1, start="true")]))
    assert len(verdict.findings) == 3
    assert len(verdict.stops) == 1


def decided(seen: Snapshot, verdict: Verdict, **more: Any) -> Any:
    settings = {"now": NOW, "memory": Memory(), "stops": verdict.stops, "paused": verdict.pauses} | more
    return decide(seen, force().configuration, registry(), **settings)


def removed(decision: Any) -> list[str]:
    return [each.pilot.id for each in decision.actions if isinstance(each, RemovePilot)]


def test_stops_are_paced_and_paused_entries_say_why() -> None:
    several = [startd(n, start="true") for n in range(20)]
    seen = snapshot(jobs(8), [carrier(n) for n in range(20)], several)
    decision = decided(seen, found(seen), pace=Pace(stops=4))
    assert removed(decision) == [f"plt-{n:03d}" for n in range(4)]
    rows = {(row.entry, row.limit) for row in decision.rows}
    assert rows == {("A", Limit.PAUSED), ("B", Limit.NONE)}


def test_stops_happen_even_while_requests_are_frozen() -> None:
    whole = snapshot((), [carrier(1)], [startd(1, start="true")])
    lost = replace(whole.queues[0], complete=False, error="no answer", items=())
    seen = replace(whole, queues=(lost,))
    decision = decided(seen, found(seen))
    assert decision.frozen
    assert removed(decision) == ["plt-001"]


def test_idle_pilots_that_decide_otherwise_are_taken_back_when_two_snapshots_agree() -> None:
    idle = [startd(1, BEFORE, is_busy=False), startd(2, BEFORE, is_busy=True)]
    alike = startd(3, BEFORE, entry="B", is_busy=False)
    pilots = [carrier(1, BEFORE), carrier(2, BEFORE), carrier(3, BEFORE, entry="B")]
    seen = snapshot((), pilots, [*idle, alike])
    first = decided(seen, Verdict())
    assert removed(first) == []
    assert removed(decided(seen, Verdict(), memory=first.memory)) == ["plt-001"]


def test_pilots_of_an_earlier_digest_that_decide_alike_are_supply() -> None:
    of_b = replace(slot(3, digest=BEFORE.digest, entry="B"), is_busy=False)
    of_a = replace(slot(4, digest=BEFORE.digest), is_busy=False)
    asked = jobs(2, DESIRED_Sites="SITE-B")
    assert not any(row.requested for row in decided(snapshot(asked, (), [of_b]), Verdict()).rows)
    other = jobs(2, DESIRED_Sites="SITE-A")
    assert any(row.requested for row in decided(snapshot(other, (), [of_a]), Verdict()).rows)
