"""The factory on a real grid: jobs of two VOs run at two sites, and faults do no harm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.testbed_grid import Grid, StartGrid, grid_of_its_own, put_in_force, wait_for

from opengoc.accounting import table as usage_table
from opengoc.app import House
from opengoc.cli.factory import factory_loop
from opengoc.condor.session import Pool, Session
from opengoc.factory.act import SUBMISSION
from opengoc.factory.model import Limit, PilotState
from opengoc.factory.observe import observe_pilots, taken_up
from opengoc.store import ledger
from opengoc.store.ledger import EffectState
from opengoc.testbed import faults

pytestmark = pytest.mark.integration

WHERE_IT_RAN = (
    "ClusterId",
    "VO",
    "JobStatus",
    "ExitCode",
    "MachineAttrGLIDEIN_Site0",
    "MachineAttrGOC_Digest0",
    "MachineAttrGOC_PilotId0",
)


@pytest.fixture
def own_grid(private_grid: StartGrid) -> Iterator[Grid]:
    """A grid of the test's own, its entries and policy in force."""
    with grid_of_its_own(private_grid) as grid:
        put_in_force(grid)
        yield grid


def session(grid: Grid, pool: str, tokens: str = "operator") -> Session:
    return Session(Pool(name=pool, collector=grid.address(pool), token_directory=grid.layout.tokens / tokens))


def queue_jobs(grid: Grid, vo: str, count: int, *, desired_sites: str = "", seconds: int = 2) -> int:
    """Put jobs of a VO into the pool's queue; their cluster."""
    description = {
        "universe": "vanilla",
        "executable": "/bin/sleep",
        "arguments": str(seconds),
        "transfer_executable": "false",
        "initialdir": str(grid.home),
        "should_transfer_files": "YES",
        "request_memory": "256",
        "request_disk": "1024",
        # One that loses its node runs elsewhere soon, not after the default of 40 minutes.
        "job_lease_duration": "40",
    }
    if desired_sites:
        description["+DESIRED_Sites"] = json.dumps(desired_sites)
    with session(grid, "pool", vo) as each:
        return each.submit(grid.schedd("pool"), description, count=count).cluster


def payloads(grid: Grid) -> list[dict[str, Any]]:
    """Finished jobs of the VOs, from the history of the pool's schedd."""
    with session(grid, "pool") as each:
        found = each.history(grid.schedd("pool"), "true", WHERE_IT_RAN)
    assert found.complete, found.error
    return [dict(ad) for ad in found.items]


def pilots_left(grid: Grid) -> list[Any]:
    with session(grid, "factory", "factory") as each:
        found = each.jobs(grid.schedd("factory"), "true", ["GOC_PilotId"])
    assert found.complete, found.error
    return list(found.items)


def pilots_seen_by_the_factory(grid: Grid) -> list[str]:
    with session(grid, "factory", "factory") as each:
        found = each.history(grid.schedd("factory"), "true", ["GOC_PilotId"])
    assert found.complete, found.error
    return [ad["GOC_PilotId"] for ad in found.items]


def pilots_seen_by_the_sites(grid: Grid) -> list[str]:
    with session(grid, "site-condor") as each:
        found = each.history(grid.schedd("site-condor"), "true", ["GOC_PilotId"])
    assert found.complete, found.error
    return [ad["GOC_PilotId"] for ad in found.items] + [name for _, name in slurm_jobs(grid)]


def slurm_jobs(grid: Grid) -> set[tuple[str, str]]:
    """(job id, name) of the jobs in Slurm's completion log; one that was requeued has several lines there."""
    log = grid.layout.completions_of_slurm
    lines = log.read_text().splitlines() if log.exists() else []
    fields = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
    return {(each["JobId"], each["Name"]) for each in fields}


def digest_of(grid: Grid) -> str:
    house = House(grid.home)
    try:
        return factory_loop(house).force().configuration.digest
    finally:
        house.close()


def digests_on_the_way(grid: Grid) -> dict[str, set[str]]:
    """The digest at each station from the apply to the usage record."""
    assert grid.goc("accounting", "collect").returncode == 0
    with session(grid, "factory", "factory") as each:
        submitted = each.history(grid.schedd("factory"), "GOC_PilotId isnt undefined", ["GOC_Digest"])
    with session(grid, "site-condor") as each:
        at_site = each.history(grid.schedd("site-condor"), "GOC_PilotId isnt undefined", ["GOC_Digest"])
    house = House(grid.home)
    try:
        usage_table.declare(house.lake)
        payloads_used = house.lake.query(
            f"SELECT DISTINCT policy_digest FROM {usage_table.TABLE} WHERE kind = 'payload'",
            {},
            tables=[usage_table.TABLE],
        )
    finally:
        house.close()
    return {
        "applied": {each["digest"] for each in json.loads(grid.goc("factory", "log", "--json").stdout)},
        "submitted": {ad["GOC_Digest"] for ad in submitted.items},
        "site": {ad["GOC_Digest"] for ad in at_site.items},
        "usage": {row["policy_digest"] for row in payloads_used.to_pylist()},
    }


def test_jobs_of_two_vos_run_at_both_sites_and_a_bound_job_only_at_its_own(own_grid: Grid) -> None:
    grid = own_grid
    # Long enough for the slower site to start its pilots before the faster one has done everything.
    free = {vo: queue_jobs(grid, vo, 8, seconds=20) for vo in ("cms", "ligo")}
    # A blank after the comma: on both sides of the match it has to say the same.
    bound = queue_jobs(grid, "cms", 4, desired_sites="ITB-NOWHERE, ITB-SLURM")
    done = grid.goc("-v", "factory", "run", "--until-done", timeout=360)
    assert done.returncode == 0, done.stderr

    ran = payloads(grid)
    assert len(ran) == 20
    assert {(job["JobStatus"], job["ExitCode"]) for job in ran} == {(4, 0)}
    assert Counter(job["VO"] for job in ran) == {"cms": 12, "ligo": 8}
    assert {job["MachineAttrGLIDEIN_Site0"] for job in ran} == {"ITB-CONDOR", "ITB-SLURM"}
    assert {job["MachineAttrGLIDEIN_Site0"] for job in ran if job["ClusterId"] == bound} == {"ITB-SLURM"}
    assert {job["ClusterId"] for job in ran} == {*free.values(), bound}
    assert {job["MachineAttrGOC_Digest0"] for job in ran} == {digest_of(grid)}

    assert pilots_left(grid) == []
    known = pilots_seen_by_the_factory(grid)
    assert max(Counter(known).values()) == 1
    assert {job["MachineAttrGOC_PilotId0"] for job in ran} <= set(known)
    at_sites = pilots_seen_by_the_sites(grid)
    assert max(Counter(at_sites).values()) == 1
    assert set(at_sites) <= set(known)

    collected = list((grid.home / "factory" / "pilots").glob("*/*/pilot-report.json"))
    reports = [json.loads(path.read_text()) for path in collected]
    assert {each["pilot_id"] for each in reports} >= {job["MachineAttrGOC_PilotId0"] for job in ran}
    assert {each["policy_digest"] for each in reports} == {digest_of(grid)}

    status = json.loads(grid.goc("factory", "status", "--json").stdout)
    assert (status["idle_jobs"], status["pilots"], status["frozen"]) == (0, 0, "")
    assert digests_on_the_way(grid) == {
        "applied": {digest_of(grid)},
        "submitted": {digest_of(grid)},
        "site": {digest_of(grid)},
        "usage": {digest_of(grid)},
    }


def test_a_schedd_that_does_not_answer_freezes_the_factory_and_nothing_is_removed(own_grid: Grid) -> None:
    grid = own_grid
    queue_jobs(grid, "cms", 20, seconds=120)
    house = House(grid.home)
    try:
        loop = factory_loop(house)
        first = loop.once()
        assert sum(first.submitted.values()) > 0
        before = len(pilots_left(grid))
        quick = replace(loop, pool=replace(loop.pool, timeout_seconds=8.0))
        (schedd,) = faults.running_daemons(grid.layout, machine="pool", daemon="schedd")
        os.kill(schedd.pid, signal.SIGSTOP)
        try:
            for _ in range(2):
                cycle = quick.once()
                assert "no answer to jobs within 8 s" in cycle.frozen
                assert (cycle.submitted, cycle.removed) == ({}, 0)
                assert {row.limit for row in cycle.rows} == {Limit.FROZEN}
            assert len(pilots_left(grid)) == before
            status = json.loads(grid.goc("factory", "status", "--json").stdout)
            assert "no answer" in status["frozen"]
            assert [s["complete"] for s in status["sources"]] == [False, True, True]
        finally:
            os.kill(schedd.pid, signal.SIGCONT)
        wait_for(lambda: not quick.once().frozen, "the factory goes on", seconds=60)
        spares_what_the_pool_has(grid, loop.premises.name)
    finally:
        house.close()


def spares_what_the_pool_has(grid: Grid, factory: str) -> None:
    """Whoever joined or got a job after the factory looked is not taken back."""
    with session(grid, "factory", "factory") as each:
        sent = observe_pilots(each, schedd=grid.schedd("factory"), factory_name=factory).items
    nobody = replace(sent[0], id="plt-nobody")
    waiting = [replace(pilot, state=PilotState.IDLE) for pilot in (*sent, nobody)]
    running = [replace(pilot, state=PilotState.RUNNING) for pilot in (*sent, nobody)]
    with session(grid, "pool") as pool:
        joined = wait_for(lambda: taken_up(pool, waiting), "a pilot has joined", seconds=120)
        busy = wait_for(lambda: taken_up(pool, running), "a pilot has a job", seconds=60)
    assert joined <= {pilot.id for pilot in sent}
    assert busy <= {pilot.id for pilot in sent}
    with Session(
        Pool(name="gone", collector="127.0.0.1:9", token_directory=grid.layout.tokens / "operator")
    ) as gone:
        assert taken_up(gone, waiting) == {pilot.id for pilot in waiting}


def test_a_killed_loop_goes_on_where_it_was_and_no_pilot_is_sent_twice(own_grid: Grid) -> None:
    grid = own_grid
    clusters = [queue_jobs(grid, vo, 8) for vo in ("cms", "ligo")]
    submitted = 0
    for kill_after in (2, 1):
        loop = subprocess.Popen(
            [sys.executable, "-m", "opengoc", "--home", str(grid.home), "-v", "factory", "run"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert loop.stderr is not None
        seen = 0
        for line in loop.stderr:
            seen += "action=submit" in line
            if seen == kill_after:
                break
        # In the middle of its submissions: some are in the queue and not settled, some only decided.
        loop.send_signal(signal.SIGKILL)
        loop.wait()
        loop.stderr.close()
        submitted += seen
    assert submitted == 3
    done = grid.goc("-v", "factory", "run", "--until-done", timeout=400)
    assert done.returncode == 0, done.stderr

    ran = payloads(grid)
    assert Counter(job["ClusterId"] for job in ran) == dict.fromkeys(clusters, 8)
    assert {(job["JobStatus"], job["ExitCode"]) for job in ran} == {(4, 0)}, done.stderr
    assert pilots_left(grid) == []
    known = pilots_seen_by_the_factory(grid)
    assert max(Counter(known).values()) == 1
    assert max(Counter(pilots_seen_by_the_sites(grid)).values()) == 1
    house = House(grid.home)
    try:
        with house.database.read() as connection:
            effects = ledger.effects(connection, SUBMISSION)
    finally:
        house.close()
    assert {effect.state for effect in effects} <= {EffectState.SETTLED, EffectState.ABANDONED}
    assert {each.key for each in effects if each.state is EffectState.SETTLED} == set(known)


def test_a_second_loop_in_the_same_home_is_refused_and_sigterm_ends_after_the_cycle(own_grid: Grid) -> None:
    grid = own_grid
    command = [sys.executable, "-m", "opengoc", "--home", str(grid.home), "factory", "run"]
    loop = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        status = grid.home / "factory" / "status.json"
        wait_for(status.exists, "the loop ran a cycle", seconds=30)
        second = grid.goc("factory", "run", "--once")
        assert second.returncode == 4
        assert f"process {loop.pid}" in second.stderr
        loop.send_signal(signal.SIGTERM)
        _, errors = loop.communicate(timeout=30)
        assert (loop.returncode, errors) == (0, "")
    finally:
        loop.kill()
        loop.wait()
