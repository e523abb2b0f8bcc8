"""The testbed: real jobs through both sites, pilots that join the pool, and who may do what."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.integration.testbed_grid import Grid, wait_for

from opengoc.base.errors import Permanent
from opengoc.settings import load_settings
from opengoc.testbed import lifecycle
from opengoc.testbed.credentials import tokens_of
from opengoc.testbed.machines import machines_of
from opengoc.testbed.payloads import Payload, submit_payloads

pytestmark = pytest.mark.integration

PILOT = Path(__file__).with_name("testbed_pilot.sh")

HELLO = """
universe = grid
grid_resource = {grid_resource}
executable = {folder}/hello.sh
initialdir = {folder}
output = hello.out
error = hello.err
log = hello.log
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
request_cpus = 2
request_memory = 256
batch_extra_submit_args = --job-name=hello-slurm
+remote_SMPGranularity = 2
+remote_GOC_PilotId = "hello-condor"
queue
"""


def grid_resources(grid: Grid) -> dict[str, str]:
    ce = f"condor {grid.schedd('site-condor')} {grid.address('site-condor')}"
    return {"ITB-CONDOR": ce, "ITB-SLURM": "batch slurm"}


def blocks(history: Path) -> list[dict[str, str]]:
    """Ads of a history file, oldest first: attribute → text."""
    text = history.read_text(encoding="utf-8") if history.exists() else ""
    return [
        dict(line.split(" = ", 1) for line in block.splitlines() if " = " in line)
        for block in re.split(r"^\*\*\* .*$", text, flags=re.MULTILINE)
        if block.strip()
    ]


def at_site(grid: Grid, pilot_id: str) -> dict[str, str] | None:
    """The record of one pilot in the HTCondor site's history, once it is there."""
    records = blocks(grid.layout.history_of_site)
    return next((ad for ad in records if ad.get("GOC_PilotId") == f'"{pilot_id}"'), None)


def test_it_is_up_within_a_minute_and_small(grid: Grid) -> None:
    assert grid.up.seconds < 60
    status = grid.status()
    assert status["up"] is True
    assert status["memory_bytes"] < 2 * 1024**3
    assert sum(machine["processes"] for machine in status["machines"]) > 20


def test_up_again_finds_it_running(grid: Grid) -> None:
    again = lifecycle.up(grid.home, grid.up.root, lambda what, done, total: None)
    assert not again.started
    assert again.ports == grid.ports
    assert again.written == ()


def test_it_writes_settings_that_the_product_accepts(grid: Grid) -> None:
    settings = load_settings(grid.home)
    assert settings.factory is not None
    assert settings.factory.collector == grid.address("factory")
    assert (grid.home / settings.factory.pilot_token_file).is_file()
    assert (grid.home / "entries.toml").is_file()


@pytest.mark.parametrize("site", ["ITB-CONDOR", "ITB-SLURM"])
def test_a_grid_job_runs_at_the_site_and_its_output_comes_back(grid: Grid, site: str) -> None:
    folder = grid.home / f"hello-{site}"
    folder.mkdir()
    hello = folder / "hello.sh"
    hello.write_text("#!/bin/sh\nhostname\nenv\n")
    hello.chmod(0o755)
    grid.submit(HELLO.format(folder=folder, grid_resource=grid_resources(grid)[site]))
    log = folder / "hello.log"
    wait_for(lambda: log.exists() and "Job terminated" in log.read_text(), f"{site} ends the job")
    said = (folder / "hello.out").read_text()
    machine = {"ITB-CONDOR": "site-condor", "ITB-SLURM": "wn1"}[site]
    assert said.splitlines()[0] == machine
    # A pilot that inherited the factory's configuration would join the wrong pool.
    assert "CONDOR_CONFIG=" not in said
    if site == "ITB-CONDOR":
        record = wait_for(lambda: at_site(grid, "hello-condor"), "the site's schedd lets the job go")
        assert record["RequestCpus"] == "2"
    else:
        done = grid.layout.completions_of_slurm.read_text()
        assert re.search(r"Name=hello-slurm JobState=COMPLETED .*ProcCnt=2 ", done)


@pytest.mark.parametrize("site", ["ITB-CONDOR", "ITB-SLURM"])
def test_a_pilot_joins_the_pool_from_a_site_and_its_payload_is_accounted(grid: Grid, site: str) -> None:
    folder = grid.home / f"pilot-{site}"
    folder.mkdir()
    shutil.copy(PILOT, folder / "pilot.sh")
    shutil.copy(grid.layout.pilot_token, folder / "pilot.token")
    (cluster,) = submit_payloads(
        grid.layout,
        grid.up.root,
        grid.ports,
        jobs=2,
        vos=["cms"],
        payload=Payload(cpu_seconds=2.3, wall_seconds=5),
        sites=[site],
    )
    text = HELLO.replace("hello.sh", "pilot.sh").format(
        folder=folder, grid_resource=grid_resources(grid)[site]
    )
    extra = f"transfer_input_files = pilot.token\narguments = {grid.address('pool')} {site} 90\nqueue\n"
    grid.submit(text.replace("queue\n", extra).replace("hello-condor", "least-pilot"))

    def finished() -> list[dict[str, str]]:
        records = blocks(grid.layout.history_of_pool)
        return [ad for ad in records if ad["ClusterId"] == str(cluster.cluster)]

    wait_for(lambda: len(finished()) == 2, f"payloads end at {site}", seconds=150)
    for record in finished():
        assert record["Owner"] == '"cmsprod"'
        assert record["VO"] == '"cms"'
        assert record["MachineAttrGLIDEIN_Site0"] == f'"{site}"'
        assert record["MachineAttrGOC_PilotId0"] == f'"least-{site}"'
        # HTCondor counts whole seconds, of what it saw: 2 of 2.3.
        assert float(record["RemoteUserCpu"]) + float(record["RemoteSysCpu"]) >= 2
    log = folder / "hello.log"
    wait_for(lambda: "Job terminated" in log.read_text(), f"the pilot at {site} ends", seconds=90)
    if site == "ITB-CONDOR":
        # The pilot's own record covers what ran inside it.
        pilot = wait_for(lambda: at_site(grid, "least-pilot"), "the site's schedd lets the pilot go")
        assert float(pilot["RemoteUserCpu"]) + float(pilot["RemoteSysCpu"]) >= 4


def test_a_user_cannot_claim_another_vo(grid: Grid) -> None:
    text = 'executable = /bin/true\n+VO = "ligo"\ntransfer_executable = False\nqueue\n'
    with pytest.raises(Permanent, match="cmsprod is a user of VO cms; the job claims VO ligo"):
        grid.submit(text, pool="pool", tokens="cms")


def test_a_job_that_names_no_vo_gets_that_of_its_owner_for_good(grid: Grid) -> None:
    text = "executable = /bin/true\ntransfer_executable = False\nhold = True\nqueue\n"
    cluster = grid.submit(text, pool="pool", tokens="ligo")
    try:
        assert grid.tool("condor_q", "-all", str(cluster), "-af", "VO", tokens="ligo").strip() == "ligo"
        with pytest.raises(Permanent):
            grid.tool("condor_qedit", str(cluster), "VO", '"cms"', tokens="ligo")
    finally:
        grid.tool("condor_rm", str(cluster), tokens="ligo")


def test_the_pilots_token_cannot_queue_a_job(grid: Grid) -> None:
    text = "executable = /bin/true\ntransfer_executable = False\nqueue\n"
    with pytest.raises(Permanent):
        grid.submit(text, pool="pool", tokens="pilot")


def test_a_token_of_one_pool_opens_no_other(grid: Grid) -> None:
    with pytest.raises(Permanent):
        grid.tool("condor_q", "-name", grid.schedd("factory"), "-all", pool="factory", tokens="cms")


def test_tokens_and_keys_are_for_their_owner_alone(grid: Grid) -> None:
    secrets = [token.path for token in tokens_of(grid.layout)]
    secrets += grid.layout.state.rglob("private/**/POOL")
    secrets += grid.layout.state.rglob("munge.key")
    assert len(secrets) > 12
    for path in secrets:
        assert path.stat().st_mode & 0o077 == 0, path
        assert path.parent.stat().st_mode & 0o077 == 0, path.parent


@pytest.mark.parametrize("machine", ["wn1", "site-condor"])
def test_a_site_sees_no_secret_of_the_others(grid: Grid, machine: str) -> None:
    (site,) = [one for one in machines_of(grid.layout, grid.up.root) if one.name == machine]
    folders = [str(grid.layout.tokens), str(grid.layout.private("pool")), str(grid.layout.private("factory"))]
    assert site.sandbox.run(["find", *folders, "-type", "f"]) == ""
