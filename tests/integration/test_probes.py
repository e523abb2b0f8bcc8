"""Probes against a real pool, factory and sites: what they say of services that work, and of others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.testbed_grid import Grid

from opengoc.condor.session import Pool, Session
from opengoc.monitoring.model import RunOutcome, Status
from opengoc.monitoring.probes.ce import CeProbe
from opengoc.monitoring.probes.pool import PoolProbe
from opengoc.monitoring.probes.schedd import ScheddProbe
from opengoc.testbed.lifecycle import supervisor_status
from opengoc.testbed.processes import descendants

pytestmark = pytest.mark.integration

ENTRY = "PROBE-TEST"

_KILLED = """
import sys
from pathlib import Path
from opengoc.condor.session import Pool, Session
from opengoc.monitoring.probes.ce import CeProbe
collector, tokens, schedd, entry = sys.argv[1:]
with Session(Pool(name="factory", collector=collector, token_directory=Path(tokens))) as factory:
    CeProbe(session=factory, schedd=schedd, entry=entry, grid_resource="batch slurm").run(600)
"""


@contextmanager
def session(grid: Grid, pool: str, *, tokens: str = "operator", timeout: float = 20) -> Iterator[Session]:
    access = Pool(
        name=pool,
        collector=grid.address(pool),
        token_directory=grid.layout.tokens / tokens,
        timeout_seconds=timeout,
    )
    with Session(access) as opened:
        yield opened


@pytest.fixture
def factory(grid: Grid) -> Iterator[Session]:
    with session(grid, "factory", tokens="factory") as opened:
        yield opened


@pytest.fixture
def registered(grid: Grid) -> Grid:
    """The grid, with its registry known to the house and its entries in force."""
    for words in (("registry", "import", str(grid.home / "registry")), ("factory", "apply", "--accept")):
        done = grid.goc(*words)
        assert done.returncode == 0, done.stderr
    return grid


@contextmanager
def hanging(grid: Grid, machine: str, daemon: str) -> Iterator[None]:
    """A daemon that is there and takes no step."""
    status = supervisor_status(grid.layout)
    assert status is not None
    roots = [one["pid"] for one in status["machines"] if one["name"] == machine]
    (pid,) = [one.pid for one in descendants(roots) if one.name == daemon]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_for(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)


def jobs_of_probes(factory: Session, grid: Grid) -> int:
    """Test jobs in the factory's queue that nobody has asked to leave."""
    seen = factory.jobs(grid.schedd("factory"), f'GOC_Probe =?= "{ENTRY}" && JobStatus != 3', ["ClusterId"])
    assert seen.complete, seen.error
    return len(seen.items)


def test_a_pool_that_works_is_ok(grid: Grid) -> None:
    with session(grid, "pool") as pool:
        finding = PoolProbe(session=pool).run(20)
    assert finding.status is Status.OK, finding
    assert finding.summary.startswith("collector and negotiator answer")


def test_a_collector_that_is_not_there_is_critical() -> None:
    with Session(Pool(name="gone", collector="127.0.0.1:1")) as gone:
        finding = PoolProbe(session=gone).run(20)
    assert (finding.status, finding.outcome) == (Status.CRITICAL, RunOutcome.DONE), finding


def test_a_collector_that_hangs_is_critical(grid: Grid) -> None:
    with session(grid, "site-condor", timeout=3) as site, hanging(grid, "site-condor", "condor_collecto"):
        finding = PoolProbe(session=site).run(20)
    assert (finding.status, finding.outcome) == (Status.CRITICAL, RunOutcome.DONE), finding


def test_without_a_token_nothing_is_known_of_a_pool(grid: Grid, tmp_path: Path) -> None:
    stranger = Pool(name="stranger", collector=grid.address("pool"), token_directory=tmp_path)
    with Session(stranger) as pool:
        finding = PoolProbe(session=pool).run(20)
    assert (finding.status, finding.outcome) == (Status.UNKNOWN, RunOutcome.FAILED), finding


def test_a_schedd_that_works_is_ok_and_an_unknown_one_critical(grid: Grid) -> None:
    with session(grid, "pool") as pool:
        works = ScheddProbe(session=pool, schedd=grid.schedd("pool")).run(20)
        unknown = ScheddProbe(session=pool, schedd="nobody@itb.example.org").run(20)
    assert works.status is Status.OK, works
    assert unknown.status is Status.CRITICAL
    assert unknown.summary == "the collector knows no schedd nobody@itb.example.org"


def test_a_schedd_that_hangs_is_critical(grid: Grid) -> None:
    with session(grid, "site-condor", timeout=3) as site, hanging(grid, "site-condor", "condor_schedd"):
        finding = ScheddProbe(session=site, schedd=grid.schedd("site-condor")).run(20)
    assert (finding.status, finding.outcome) == (Status.CRITICAL, RunOutcome.DONE), finding


def test_behind_a_dead_collector_nothing_is_known_of_a_schedd() -> None:
    with Session(Pool(name="gone", collector="127.0.0.1:1")) as gone:
        finding = ScheddProbe(session=gone, schedd="pool-schedd@itb.example.org").run(20)
    assert (finding.status, finding.outcome) == (Status.UNKNOWN, RunOutcome.FAILED), finding


@pytest.mark.parametrize("site", ["slurm", "condor"])
def test_a_test_job_goes_to_a_site_and_its_output_comes_back(grid: Grid, factory: Session, site: str) -> None:
    to_condor = f"condor {grid.schedd('site-condor')} {grid.address('site-condor')}"
    probe = CeProbe(
        session=factory,
        schedd=grid.schedd("factory"),
        entry=ENTRY,
        grid_resource=to_condor if site == "condor" else "batch slurm",
    )
    finding = probe.run(120)
    assert finding.status is Status.OK, finding
    assert jobs_of_probes(factory, grid) == 0


def test_a_ce_that_is_not_there_is_critical_and_no_test_job_stays(grid: Grid, factory: Session) -> None:
    probe = CeProbe(
        session=factory,
        schedd=grid.schedd("factory"),
        entry=ENTRY,
        grid_resource="condor nobody@nowhere.example.org 127.0.0.1:1",
    )
    finding = probe.run(40)
    assert (finding.status, finding.outcome) == (Status.CRITICAL, RunOutcome.DONE), finding
    assert jobs_of_probes(factory, grid) == 0


def test_a_job_that_the_batch_system_refuses_is_critical_with_its_reason(
    grid: Grid, factory: Session
) -> None:
    probe = CeProbe(
        session=factory,
        schedd=grid.schedd("factory"),
        entry=ENTRY,
        grid_resource="batch slurm",
        submit={"batch_queue": "nosuchqueue"},
    )
    finding = probe.run(90)
    assert finding.status is Status.CRITICAL, finding
    assert finding.summary.startswith("the test job was held: ")


def test_an_unknown_factory_schedd_says_nothing_of_the_ce(registered: Grid) -> None:
    """Through ``goc``: what keeps the probe from running becomes an UNKNOWN result with the reason."""
    settings = registered.home / "goc.toml"
    before = settings.read_text()
    settings.write_text(before.replace('schedd = "factory-schedd@', 'schedd = "nobody@'))
    try:
        results = goc(registered, "probe", "run", "--only", "CE")
    finally:
        settings.write_text(before)
    assert {(r["status"], r["outcome"]) for r in results} == {("UNKNOWN", "failed")}
    assert all("knows no schedd" in r["summary"] for r in results)


def test_a_killed_probe_s_test_job_is_reaped_by_the_next_run(grid: Grid, factory: Session) -> None:
    schedd = grid.schedd("factory")
    tokens = str(grid.layout.tokens / "factory")
    killed = subprocess.Popen([sys.executable, "-c", _KILLED, grid.address("factory"), tokens, schedd, ENTRY])
    try:
        wait_for(lambda: jobs_of_probes(factory, grid) == 1, 30)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert jobs_of_probes(factory, grid) == 1
    # With a timeout of 2 s a test job is stale after 6.
    probe = CeProbe(session=factory, schedd=schedd, entry=ENTRY, grid_resource="batch slurm")

    def reaped() -> bool:
        probe.run(2)
        return jobs_of_probes(factory, grid) == 0

    wait_for(reaped, 60)


def goc(grid: Grid, *words: str) -> Any:
    """What a command answers as JSON; it must succeed."""
    ran = grid.goc(*words, "--json", timeout=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_from_probe_to_status_to_availability(registered: Grid) -> None:
    grid = registered
    listed = goc(grid, "probe", "list")
    assert {(check["resource"], check["service"]) for check in listed} == {
        ("ITB-CONDOR-CE", "CE"),
        ("ITB-SLURM-CE", "CE"),
        ("vo-pool", "Condor Collector"),
        ("pool-schedd", "Submit Node"),
        ("pilot-factory", "Glidein factory"),
    }
    results = goc(grid, "probe", "run")
    assert {result["status"] for result in results} == {"OK"}, results
    assert goc(grid, "probe", "run", "--due") == []
    states = goc(grid, "status")
    assert [state["status"] for state in states] == ["OK"] * 5
    assert {state["site"] for state in states} == {"ITB-CONDOR", "ITB-SLURM", "ITB-POOL"}
    # The day began before the first probe: known in part, and up for all that is known.
    answer = goc(grid, "ar", "ITB-SLURM", "--from", "-2h", "--explain")
    (site,) = answer["sites"]
    assert site["availability"]["state"] == "partial"
    assert site["availability"]["value"] == 100
    lost = sum(piece["seconds"] for piece in site["losses"]["availability"])
    evidence = site["availability"]["evidence"]
    assert lost == evidence["total_seconds"] - evidence["up_seconds"]
