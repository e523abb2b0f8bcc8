"""The pilot's job for an ARC CE, as HTCondor's own condor_submit understands it. No ARC CE is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.unit.factory.world import configuration, entry_table

from opengoc.condor.classads import parse_ads
from opengoc.factory.pilots import CONFIG_FILE, Premises, submit_description

pytestmark = pytest.mark.integration

ENTRY = (
    entry_table(
        "ARC",
        grid_resource='"arc https://arc.example.org:443/arex/rest/1.0"',
        cores=8,
        memory_mib=20_001,
        walltime_seconds=172_800,
    )
    + """
[entries.submit]
scitokens_file = "/etc/goc/arc.token"
arc_rte = "ENV/PROXY USE_DELEGATION_DB, APPS/LHC"
arc_application = "<Notification><Protocol>email</Protocol></Notification>"
ARC_Resources = "<NetworkInfo>infiniband</NetworkInfo>"
batch_queue = "grid"
"""
)


def submitted(folder: Path, testbed_root: Path, entries: str) -> dict[str, Any]:
    """The job's ad that condor_submit makes of the pilot's description."""
    world = configuration(entries)
    for name in ("goc-pilot", "pool.token", CONFIG_FILE):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    premises = Premises(
        name="factory",
        schedd="factory-schedd",
        collector="127.0.0.1:9618",
        token_file=folder / "pool.token",
        pilot_file=folder / "goc-pilot",
        folder=folder,
    )
    commands = submit_description(
        premises, world, world.entries["ARC"], vo="cms", pilot_id="plt-1", folder=folder
    )
    lines = [*(f"{name} = {value}" for name, value in commands.items()), "queue", ""]
    (folder / "pilot.sub").write_text("\n".join(lines))
    argv = ["bwrap", "--ro-bind", str(testbed_root / "usr"), "/usr", "--symlink", "usr/lib64", "/lib64"]
    argv += ["--symlink", "usr/lib", "/lib", "--ro-bind", str(testbed_root / "etc"), "/etc"]
    argv += ["--dev", "/dev", "--proc", "/proc", "--bind", str(folder), str(folder), "--clearenv"]
    argv += ["--setenv", "CONDOR_CONFIG", "/dev/null", "--setenv", "PATH", "/usr/bin"]
    argv += ["condor_submit", "-dry-run", "-", str(folder / "pilot.sub")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (ad,) = parse_ads("\n".join(line for line in done.stdout.splitlines() if "=" in line))
    return dict(ad)


def test_an_arc_ce_is_told_what_the_pilot_needs(tmp_path: Path, testbed_root: Path) -> None:
    ad = submitted(tmp_path, testbed_root, ENTRY)
    # 20,001 MiB over 8 cores, for each of them, in whole bytes.
    per_core = 2_621_571_072
    expected = {
        "JobUniverse": 9,
        "GridResource": "arc https://arc.example.org:443/arex/rest/1.0",
        "ArcResources": "<NetworkInfo>infiniband</NetworkInfo><WallTime>172800</WallTime>"
        f"<IndividualPhysicalMemory>{per_core}</IndividualPhysicalMemory>",
        "ArcRte": "ENV/PROXY USE_DELEGATION_DB, APPS/LHC",
        "ArcApplication": "<Notification><Protocol>email</Protocol></Notification>",
        "ScitokensFile": "/etc/goc/arc.token",
        "BatchQueue": "grid",
        "RequestCpus": 8,
        "GOC_PilotId": "plt-1",
        "Args": f"--config {CONFIG_FILE}",
        "Cmd": str(tmp_path / "goc-pilot"),
        "TransferInput": f"{tmp_path / CONFIG_FILE},{tmp_path / 'pool.token'}",
        "Out": "stdout",
        "Err": "stderr",
    }
    assert {name: ad.get(name) for name in expected} == expected


def test_what_an_entry_asks_of_the_ce_itself_stands(tmp_path: Path, testbed_root: Path) -> None:
    own = "<WallTime>600</WallTime><IndividualPhysicalMemory>1</IndividualPhysicalMemory>"
    entry = ENTRY.replace("<NetworkInfo>infiniband</NetworkInfo>", own)
    assert submitted(tmp_path, testbed_root, entry)["ArcResources"] == own
