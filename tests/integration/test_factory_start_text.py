"""START means the same to the HTCondor of the sites as to the one that the factory was built with."""

from __future__ import annotations

import itertools
import re

import pytest
from tests.integration.testbed_grid import Grid
from tests.unit.factory.world import configuration, jobs

from opengoc.condor.classads import literal
from opengoc.factory.configuration import Configuration
from opengoc.factory.rules import allowed

pytestmark = pytest.mark.integration

CASES = [
    {"VO": vo, "RequestCpus": cores, "RequestMemory": 512, "RequestDisk": 1024, **more}
    for vo, cores, more in itertools.product(
        ("cms", "ligo"),
        (1, 3),
        (
            {},
            {"DESIRED_Sites": ""},
            {"DESIRED_Sites": "SITE-X, SITE-B"},
            {"DESIRED_Sites": "SITE-A", "WantSquid": True},
            {"WantSquid": False},
        ),
    )
]


def says(grid: Grid, start: str, job: dict[str, object]) -> str:
    """What the HTCondor of the testbed's sites makes of a START for a job."""
    values = [f"{name} = {literal(value)}" for name, value in job.items()]
    return grid.tool("classad_eval", *values, start.replace("TARGET.", "")).strip().splitlines()[-1]


@pytest.mark.parametrize("entry", ["A", "B"])
def test_an_older_htcondor_reads_start_as_the_factory_does(grid: Grid, entry: str) -> None:
    world: Configuration = configuration()
    for case in CASES:
        vo = str(case["VO"])
        (entries,) = allowed(world, jobs(1, vo=vo, **case))
        answer = says(grid, world.starts()[entry][vo], case)
        assert answer == ("true" if entry in entries else "false"), case


def test_the_two_read_a_fallback_without_brackets_differently(grid: Grid) -> None:
    """Why START has them: were this no more so, they could go."""
    assert grid.tool("classad_eval", "A = 1", "5 ?: 1 <= 2").strip().splitlines()[-1] == "5"
    for text in configuration().starts()["A"].values():
        assert text.count("?:") == len(re.findall(r"\(TARGET\.\w+ \?: [^ ]+\)", text)) > 0
