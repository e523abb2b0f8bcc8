"""The guard on a real grid: what runs otherwise than it was applied is found and stopped within a minute."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_factory_run import pilots_left, queue_jobs, session
from tests.integration.testbed_grid import Grid, StartGrid, grid_of_its_own, put_in_force, wait_for

from opengoc.condor.classads import literal
from opengoc.testbed.machines import login_sandbox

pytestmark = pytest.mark.integration

#: From the fault to its end.
WITHIN_SECONDS = 60


@pytest.fixture
def own_grid(private_grid: StartGrid) -> Iterator[Grid]:
    """A grid of the test's own, its registry loaded, its entries and policy in force."""
    with grid_of_its_own(private_grid) as grid:
        put_in_force(grid)
        yield grid


@contextmanager
def running_factory(grid: Grid) -> Iterator[None]:
    """The factory's loop, for the length of a block."""
    with (grid.home / "factory.log").open("ab") as log:
        command = [sys.executable, "-m", "opengoc", "--home", str(grid.home), "-v", "factory", "run"]
        loop = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        loop.send_signal(signal.SIGTERM)
        loop.wait(timeout=60)


def findings(grid: Grid, kind: str) -> list[dict[str, Any]]:
    """What stands of a kind."""
    done = grid.goc("factory", "findings", "--json")
    return [each for each in json.loads(done.stdout)["findings"] if each["kind"] == kind]


def paused(grid: Grid) -> list[str]:
    return [each["entry"] for each in json.loads(grid.goc("factory", "findings", "--json").stdout)["paused"]]


def limits(grid: Grid, entry: str) -> set[str]:
    """The limits of an entry in the last cycle."""
    status = json.loads(grid.goc("factory", "status", "--json").stdout)
    return {row["limit"] for row in status["rows"] if row["entry"] == entry}


def slots_of(grid: Grid, pilot_id: str) -> list[Any]:
    with session(grid, "pool") as each:
        found = each.slots(f"GOC_PilotId is {literal(pilot_id)}", ["Name", "State"], texts=["Start"])
    assert found.complete, found.error
    return list(found.items)


def some_pilot(grid: Grid) -> str:
    """A pilot that has joined the pool and runs a job."""

    def look() -> str | None:
        with session(grid, "pool") as each:
            found = each.slots('SlotType is "Dynamic" && GOC_PilotId isnt undefined', ["GOC_PilotId"])
        return found.items[0]["GOC_PilotId"] if found.items else None

    return str(wait_for(look, "a job runs in a pilot", seconds=180))


def startd_of(grid: Grid, pilot_id: str) -> tuple[int, Path]:
    """Process and configuration of a pilot's startd, seen from outside of its sandbox."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if (process / "comm").read_text().strip() != "condor_startd":
                continue
            environment = (process / "environ").read_bytes().decode().split("\0")
            config = next(each for each in environment if each.startswith("CONDOR_CONFIG=")).split("=")[1]
            path = process / "root" / config.removeprefix("/")
            if pilot_id in path.read_text():
                return int(process.name), path
        except (OSError, StopIteration):
            continue
    raise AssertionError(f"no startd of {pilot_id} runs here")


def test_a_wrong_start_in_a_live_pilot_is_found_and_stopped(own_grid: Grid) -> None:
    grid = own_grid
    queue_jobs(grid, "cms", 2, seconds=300)
    with running_factory(grid):
        pilot_id = some_pilot(grid)
        process, config = startd_of(grid, pilot_id)
        began = time.monotonic()
        with config.open("a") as file:
            file.write("START = True\n")
        os.kill(process, signal.SIGHUP)
        (finding,) = wait_for(
            lambda: findings(grid, "START differs"), "the guard finds it", seconds=WITHIN_SECONDS
        )
        assert finding["subject"] == pilot_id
        assert "has Start = true" in finding["evidence"].replace("True", "true")
        assert finding["action"] == "pilot stopped, entry paused"
        assert paused(grid) == [finding["entry"]]
        left = WITHIN_SECONDS - (time.monotonic() - began)
        wait_for(lambda: not slots_of(grid, pilot_id), "the startd has ended", seconds=left)
        # A pool that is suddenly empty is looked at again first.
        wait_for(lambda: limits(grid, finding["entry"]) == {"paused"}, "the entry is paused", seconds=60)
        # What it was is kept when it is over, and the entry stays paused until a person says otherwise.
        wait_for(lambda: not findings(grid, "START differs"), "the finding is over", seconds=60)
        every = json.loads(grid.goc("factory", "findings", "--all", "--json").stdout)["findings"]
        assert [each["subject"] for each in every if each["ended"]] == [pilot_id]
        assert grid.goc("factory", "resume", finding["entry"], "--why", "node mended").returncode == 0
        assert paused(grid) == []


def test_a_policy_edited_without_apply_is_found_and_never_used(own_grid: Grid) -> None:
    grid = own_grid
    queue_jobs(grid, "cms", 2, desired_sites="ITB-SLURM", seconds=5)
    with running_factory(grid):
        policy = grid.home / "policy.toml"
        text = policy.read_text()
        # As it happened: every job may run everywhere.
        corrupt = text.replace('job.DESIRED_Sites == ""', 'job.DESIRED_Sites != "nowhere"')
        assert corrupt != text
        policy.write_text(corrupt)
        (finding,) = wait_for(
            lambda: findings(grid, "source differs"), "the guard finds it", seconds=WITHIN_SECONDS
        )
        assert finding["action"] == "alarm"
        in_force = json.loads(grid.goc("factory", "log", "--json").stdout)[-1]["digest"]
        assert finding["evidence"].startswith(f"in force {in_force[:12]}, the files have digest ")
        # Applying it is refused as well: a canary says what must not run.
        assert grid.goc("factory", "apply", "--accept").returncode == 1
        wait_for(lambda: pilots_left(grid), "pilots are sent", seconds=60)
        with session(grid, "factory", "factory") as each:
            pilots = each.jobs(grid.schedd("factory"), "true", ["GOC_Entry", "GOC_Digest"])
        assert {(ad["GOC_Entry"], ad["GOC_Digest"]) for ad in pilots.items} == {("ITB-SLURM-2core", in_force)}
        policy.write_text(text)
        wait_for(lambda: not findings(grid, "source differs"), "the finding is over", seconds=WITHIN_SECONDS)


def test_a_startd_of_an_unknown_digest_is_found_and_stopped(own_grid: Grid) -> None:
    grid = own_grid
    queue_jobs(grid, "cms", 2, seconds=300)
    with running_factory(grid):
        pilot_id = some_pilot(grid)
        process, config = startd_of(grid, pilot_id)
        began = time.monotonic()
        with config.open("a") as file:
            file.write(f'GOC_Digest = "{"f" * 64}"\n')
        os.kill(process, signal.SIGHUP)
        (finding,) = wait_for(
            lambda: findings(grid, "startd of an unknown digest"),
            "the guard finds it",
            seconds=WITHIN_SECONDS,
        )
        assert (finding["subject"], finding["digest"]) == (pilot_id, "f" * 64)
        assert finding["action"] == "pilot stopped"
        left = WITHIN_SECONDS - (time.monotonic() - began)
        wait_for(lambda: not slots_of(grid, pilot_id), "the startd has ended", seconds=left)


@contextmanager
def stray_startd(grid: Grid) -> Iterator[None]:
    """A startd that no factory sent, in the pool with a pilot's token, for the length of a block."""
    folder = grid.home / "stray"
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("testbed_pilot.sh"), folder)
    shutil.copy(grid.layout.pilot_token, folder / "pilot.token")
    script = f"cd '{folder}' && exec bash testbed_pilot.sh {grid.address('pool')} NOWHERE 300"
    argv = login_sandbox(grid.layout, grid.up.root).argv(["/bin/bash", "-c", script])
    with (folder / "out").open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.kill()


def test_a_startd_that_is_no_pilot_of_ours_is_told_to_end(own_grid: Grid) -> None:
    grid = own_grid

    def cycle() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(grid.goc("factory", "run", "--once", "--json").stdout)
        return found

    settings = grid.home / "goc.toml"
    administers = settings.read_text()
    with stray_startd(grid):
        wait_for(lambda: slots_of(grid, "least-NOWHERE"), "the stray joins", seconds=60)
        # With a token that may look at the pool, and no more, it stays a finding.
        settings.write_text(administers.replace('"testbed/tokens/operator"', '"testbed/tokens/cms"'))
        decided = json.loads(grid.goc("factory", "run", "--dry-run", "--json").stdout)["actions"]
        assert [each["action"] for each in decided] == ["stop"]
        refusal = "needs ADMINISTRATOR at the collector"
        wait_for(lambda: refusal in str(cycle()["failures"]), "its master is there and refuses", seconds=60)
        (finding,) = findings(grid, "startd of an unknown digest")
        assert (finding["subject"], finding["action"]) == ("least-NOWHERE", "startd told to end")
        settings.write_text(administers)
        began = time.monotonic()
        assert cycle()["failures"] == []
        left = WITHIN_SECONDS - (time.monotonic() - began)
        wait_for(lambda: not slots_of(grid, "least-NOWHERE"), "the startd has ended", seconds=left)
        assert cycle()["findings"] == []


def test_a_job_where_it_must_not_run_is_stopped_after_the_policy_is_mended(own_grid: Grid) -> None:
    grid = own_grid
    policy = grid.home / "policy.toml"
    right = policy.read_text()
    # September 2011: a corrupt expression is in force, and the canaries that would have told are not there.
    corrupt = right.split("# Tried before")[0].replace(
        'job.DESIRED_Sites == ""', 'job.DESIRED_Sites != "nowhere"'
    )
    policy.write_text(corrupt)
    assert grid.goc("factory", "apply", "--accept").returncode == 0
    queue_jobs(grid, "cms", 2, desired_sites="ITB-NOWHERE", seconds=300)
    with running_factory(grid):
        pilot_id = some_pilot(grid)
        policy.write_text(right)
        assert grid.goc("factory", "apply", "--accept", "--why", "mended").returncode == 0
        began = time.monotonic()
        found = wait_for(
            lambda: findings(grid, "job not allowed"), "the guard finds the job", seconds=WITHIN_SECONDS
        )
        assert {each["action"] for each in found} == {"pilot stopped"}
        left = WITHIN_SECONDS - (time.monotonic() - began)
        wait_for(lambda: not slots_of(grid, pilot_id), "its pilot has ended", seconds=left)
        # The entries go on: their next pilots carry the mended policy.
        assert paused(grid) == []
        status = json.loads(grid.goc("factory", "status", "--json").stdout)
        assert status["unmatched_jobs"] == 2 or status["running_jobs"]
