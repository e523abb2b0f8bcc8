"""The built pilot as a batch job of a real HTCondor site and of a real Slurm site."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.integration.testbed_grid import Grid, wait_for

from opengoc.factory.pilot_file import build_pilot
from opengoc.factory.pilot_report import read_report
from opengoc.testbed.payloads import Payload, submit_payloads

pytestmark = pytest.mark.integration

SUBMIT = """
universe = grid
grid_resource = {grid_resource}
executable = {folder}/goc-pilot
arguments = --config pilot.json pilot_id={pilot_id}
transfer_input_files = pilot.json, pilot.token
initialdir = {folder}
output = stdout
error = stderr
log = log
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
request_cpus = 2
request_memory = 512
batch_queue = grid
queue
"""


def pilot_config(grid: Grid, site: str) -> dict[str, Any]:
    return {
        "factory": "itb-factory",
        "entry": f"{site}-2core",
        "site": site,
        "resource": f"{site}-CE",
        "vos": ["cms"],
        "policy_digest": "e5" * 32,
        "collector": grid.address("pool"),
        "start": f'TARGET.VO =?= "cms" && stringListMember("{site}", TARGET.DESIRED_Sites)',
        "cores": 2,
        "memory_mib": 512,
        "walltime_seconds": 1800,
        "token_file": "pilot.token",
        "idle_seconds": 15,
        "failure_pause_seconds": 0,
        "condor_settings": {
            "NETWORK_INTERFACE": "127.0.0.1",
            "NO_DNS": "True",
            "DEFAULT_DOMAIN_NAME": "itb.example.org",
        },
    }


def submit_pilot(grid: Grid, site: str) -> Path:
    """Send one pilot to a site; the folder that its output comes back to."""
    folder = grid.home / f"built-pilot-{site}"
    folder.mkdir()
    build_pilot(folder / "goc-pilot")
    shutil.copy(grid.layout.pilot_token, folder / "pilot.token")
    (folder / "pilot.token").chmod(0o600)
    (folder / "pilot.json").write_text(json.dumps(pilot_config(grid, site)))
    ce = f"condor {grid.schedd('site-condor')} {grid.address('site-condor')}"
    grid_resource = {"ITB-CONDOR": ce, "ITB-SLURM": "batch slurm"}[site]
    grid.submit(SUBMIT.format(folder=folder, grid_resource=grid_resource, pilot_id=f"built-{site}"))
    return folder


@pytest.mark.parametrize("site", ["ITB-CONDOR", "ITB-SLURM"])
def test_it_joins_from_the_site_runs_payloads_and_ends_when_idle(grid: Grid, site: str) -> None:
    folder = submit_pilot(grid, site)
    submit_payloads(
        grid.layout,
        grid.up.root,
        grid.ports,
        jobs=2,
        vos=["cms"],
        payload=Payload(cpu_seconds=1.0, wall_seconds=3),
        sites=[site],
    )
    log = folder / "log"
    wait_for(
        lambda: log.exists() and "Job terminated" in log.read_text(), f"the pilot at {site}", seconds=150
    )

    report = read_report((folder / "stdout").read_text())
    assert report is not None, (folder / "stderr").read_text()
    assert report["end"] == {"reason": "idle", "message": "no job for 15 s", "exit_code": 0}
    assert (report["site"], report["pilot_id"]) == (site, f"built-{site}")
    assert {row["name"]: row["result"] for row in report["validations"] if row["result"] != "ok"} == {
        "clock": "skipped"
    }
    assert (report["jobs"]["seen"], report["jobs"]["finished"]) == (2, 2)
    assert report["jobs"]["wall_seconds"] >= 6
    assert report["startd"]["joined_at"] is not None
    assert "could not" not in (folder / "stderr").read_text()
