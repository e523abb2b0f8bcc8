"""What a cycle costs the factory itself, beside waiting for daemons."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.unit.factory.world import NOW, configuration, entry_table, jobs, pilot, registry, slot, snapshot

from opengoc.factory.applied import Applied
from opengoc.factory.configuration import Configuration
from opengoc.factory.decide import decide
from opengoc.factory.force import Force
from opengoc.factory.guard import SourceState, guard
from opengoc.factory.match import Matching
from opengoc.factory.model import Memory, PayloadState, PilotState, Snapshot

ENTRIES, PILOTS, RUNNING, IDLE = 471, 10_000, 20_000, 10_000


def crowd(world: Configuration) -> Snapshot:
    starts = world.starts()
    names = [f"E{n % ENTRIES}" for n in range(PILOTS)]
    pilots = [
        pilot(n, digest=world.digest, entry=name, state=PilotState.RUNNING) for n, name in enumerate(names)
    ]
    slots = [
        replace(
            slot(n, digest=world.digest, entry=name, cores=1),
            start="GOC_Start && GOC_Accepting",
            policy_start=starts[name]["cms"],
        )
        for n, name in enumerate(names)
    ]
    (one,) = jobs(1)
    running = [
        replace(
            one,
            id=f"r{n}",
            state=PayloadState.RUNNING,
            pilot_id=pilots[n % PILOTS].id,
            entry=names[n % PILOTS],
            digest=world.digest,
            attributes={**one.attributes, "RequestMemory": n % 997},
        )
        for n in range(RUNNING)
    ]
    idle = [
        replace(one, id=f"i{n}", attributes={**one.attributes, "RequestMemory": n % 1997})
        for n in range(IDLE)
    ]
    return snapshot(running + idle, pilots, slots)


def test_with_ten_thousand_pilots_guard_and_decision_take_less_than_a_second_of_cpu() -> None:
    table = [entry_table(f"E{n}", cores=8, memory_mib=16_000, max_pilots=100) for n in range(ENTRIES)]
    world = configuration(*table)
    applied = Applied(
        digest=world.digest, at=NOW, who="operator", why="", action="apply", difference={}, version=1
    )
    force = Force(applied=applied, configuration=world, former={})
    seen, known, memory, matching = crowd(world), registry(), Memory(), Matching()
    costs = []
    for _ in range(3):
        began = time.process_time()
        verdict = guard(seen, force, SourceState(digest=world.digest), factory="factory")
        decision = decide(seen, world, known, now=NOW, memory=memory, matching=matching, stops=verdict.stops)
        costs.append(time.process_time() - began)
        memory = decision.memory
    assert verdict.findings == ()
    assert min(costs) < 1
