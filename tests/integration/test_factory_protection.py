"""Entries protect themselves on a real grid: from an unknown queue, and from nodes that are not fit."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.test_factory_run import queue_jobs
from tests.integration.testbed_grid import Grid, StartGrid, grid_of_its_own, put_in_force

from opengoc.factory.formats.entries_toml import entry_toml

pytestmark = pytest.mark.integration

#: Cycles of a few seconds each: enough for a pilot to reach a site and come back, three times over.
_CYCLES = 60


@pytest.fixture
def broken_grid(private_grid: StartGrid) -> Iterator[Grid]:
    """A grid whose Slurm site is asked for a partition that it has not; the other site has unfit nodes."""
    with grid_of_its_own(private_grid) as grid:
        path = grid.home / "entries.toml"
        tables = tomllib.loads(path.read_text())["entries"]
        for table in tables:
            if table["grid_resource"] == "batch slurm":
                table["submit"] = table.get("submit", {}) | {"batch_queue": "nowhere"}
            else:
                unfit = [{"name": "never", "command": ["/bin/false"], "required": True}]
                table["pilot"] = table.get("pilot", {}) | {"validations": unfit, "failure_pause_seconds": 1}
        path.write_text("\n".join(map(entry_toml, tables)))
        put_in_force(grid)
        yield grid


def _rows(grid: Grid) -> dict[str, dict[str, Any]]:
    """Of each entry the row of cms in one more cycle."""
    done = grid.goc("factory", "run", "--once", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    return {row["entry"]: row for row in rows if row["vo"] == "cms"}


def test_entries_whose_pilots_cannot_run_are_paused_with_the_reason(broken_grid: Grid) -> None:
    grid = broken_grid
    cluster = queue_jobs(grid, "cms", 12, seconds=2)
    rows: dict[str, dict[str, Any]] = {}
    for _ in range(_CYCLES):
        rows = _rows(grid)
        if {row["limit"] for row in rows.values()} == {"failing"}:
            break
        time.sleep(1)
    details = {name: row["detail"] for name, row in rows.items()}
    slurm, condor = (
        [text for name, text in details.items() if ("SLURM" in name) is is_slurm]
        for is_slurm in (True, False)
    )
    assert all("request refused by the batch system" in text for text in slurm), details
    assert all("pilots ended badly, most with: validation-failed" in text for text in condor), details
    assert len(slurm) and len(condor)

    ends = [
        json.loads(path.read_text()) for path in (grid.home / "factory").glob("pilots/*/*/pilot-end.json")
    ]
    assert {(bool(end["hold_reason"]), end["pauses"]) for end in ends} == {(True, True), (False, False)}

    status = json.loads(grid.goc("factory", "status", "--json").stdout)
    found = {(each["kind"], each["entry"], each["action"]) for each in status["findings"]}
    for name in rows:
        closed = ("held", name, "entry closed until a canary does well")
        assert (
            closed if "SLURM" in name else ("validation-failed", name, "counted against the entry")
        ) in found

    # A factory that starts anew, as each --once does, comes to the same state.
    again = _rows(grid)
    assert {name: row["limit"] for name, row in again.items()} == dict.fromkeys(rows, "failing")
    assert sum(row["allowed"] for row in again.values()) == 0

    said = json.loads(grid.goc("factory", "explain", "job", f"{cluster}.0", "--json").stdout)
    assert (said["job"], said["vo"], said["state"]) == (f"{cluster}.0", "cms", "idle")
    assert set(said["matches"]) == set(rows)
    assert all(entry["last_cycle"]["limit"] == "failing" for entry in said["entries"])
    name = next(iter(rows))
    explained = json.loads(grid.goc("factory", "explain", "entry", name, "--json").stdout)
    assert explained["answer"] == f"failing: {details[name]}"
