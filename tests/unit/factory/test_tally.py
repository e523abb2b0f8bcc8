"""Matches over ads of files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.unit.factory.world import policy
from typer.testing import CliRunner

from opengoc.base.errors import InvalidInput
from opengoc.cli.factory import app
from opengoc.condor.classads import Truth, evaluate, parse, truth
from opengoc.factory.tally import tally

POLICY = """
[entry.HasSquid]
type = "bool"
default = false
[job.WantSquid]
type = "bool"
default = false
[vos.cms]
requirements = '''
(job.DESIRED_Sites == "" || stringListMember(entry.Site, job.DESIRED_Sites))
&& (!job.WantSquid || entry.HasSquid)
'''
"""
ENTRIES: dict[str, dict[str, Any]] = {
    "A": {"Site": "SITE-A", "Cores": 2, "MemoryMiB": 2048, "Owner": "nobody names it"},
    "B": {"Site": "SITE-B", "CORES": 8, "memorymib": 16_000, "HasSquid": True},
}
JOBS: list[dict[str, Any]] = [
    {"VO": "cms", "RequestMemory": 1000},
    {"VO": "cms", "RequestMemory": 1000, "DESIRED_Sites": "SITE-X, SITE-B"},
    {"vo": "cms", "requestmemory": 4000, "WantSquid": True},
    {"VO": "cms", "RequestMemory": "1000"},
    {"VO": "cms", "RequestCpus": 64},
    {"VO": "CMS"},
    {"RequestMemory": 1},
]
EXPECTED = {"pairs": 4, "entries": {"A": 1, "B": 3}, "unmatched_jobs": 4, "errors": 2}


def test_pairs_are_counted_whatever_the_case_of_names() -> None:
    assert tally(policy(POLICY), jobs=JOBS, entries=ENTRIES).to_json() == EXPECTED


def test_counts_are_those_of_htcondors_evaluator() -> None:
    requirements = policy(POLICY).requirements["cms"]
    entries = {name: {"Name": name, "DiskMiB": 4096, "HasSquid": False} | ad for name, ad in ENTRIES.items()}
    held = [
        truth(evaluate(requirements.match, my=entry, target=job))
        for job in JOBS
        if job.get("VO", job.get("vo")) == "cms"
        for entry in entries.values()
    ]
    assert (held.count(Truth.TRUE), held.count(Truth.ERROR)) == (EXPECTED["pairs"], EXPECTED["errors"])


def run(folder: Path, **files: str) -> Any:
    contents = {
        "policy": POLICY,
        "jobs": "\n\n".join(map(json.dumps, JOBS)),
        "entries": json.dumps(ENTRIES),
    } | files
    options = []
    for name, content in contents.items():
        (folder / name).write_text(content)
        options += [f"--{name}", str(folder / name)]
    return CliRunner().invoke(app, ["match", *options, "--json"])


# What POLICY says, written down anew: MY is the entry, TARGET the job.
BY_HAND = """
TARGET.VO =?= "cms" && (TARGET.RequestCpus ?: 1) <= MY.Cores && (TARGET.RequestMemory ?: 128) <= MY.MemoryMiB
&& (TARGET.RequestDisk ?: 1024) <= (MY.DiskMiB ?: 4096) * 1024
&& ((TARGET.DESIRED_Sites ?: "") == "" || stringListMember(MY.Site, TARGET.DESIRED_Sites ?: ""))
&& (!(TARGET.WantSquid ?: false) || (MY.HasSquid ?: false))
"""


def test_hundreds_of_odd_ads_are_counted_as_htcondors_evaluator_counts_them(tmp_path: Path) -> None:
    chance = random.Random(20_110_904)
    odd = [None, "1", 2.5, True, -1, 0]

    def ad(**values: list[Any]) -> dict[str, Any]:
        chosen = {name: chance.choice(several) for name, several in values.items() if chance.random() < 0.8}
        return {name: chance.choice(odd) if chance.random() < 0.05 else it for name, it in chosen.items()}

    sites = ["SITE-A", "SITE-B", "site-a", "SITE-X"]
    entries = {
        f"E{number}": ad(
            Site=sites,
            Cores=[1, 2, 8],
            MemoryMiB=[1000, 2048, 16_000],
            DiskMiB=[1, 4096],
            HasSquid=[True, False],
        )
        for number in range(20)
    }
    jobs = [
        {"VO": chance.choice(["cms"] * 9 + ["CMS", "ligo", 1])}
        | ad(
            RequestCpus=[1, 2, 9],
            RequestMemory=[500, 2048, 2049],
            RequestDisk=[1024, 5_000_000],
            DESIRED_Sites=["", "SITE-A", "SITE-X, SITE-B", "SITE-A SITE-B", ","],
            WantSquid=[True, False],
        )
        for _ in range(400)
    ]
    lines = "\n".join(map(json.dumps, jobs))
    found = json.loads(run(tmp_path, jobs=lines, entries=json.dumps(entries)).stdout)
    expression = parse(BY_HAND)
    matrix = [
        [truth(evaluate(expression, my=entry, target=job)) for entry in entries.values()] for job in jobs
    ]
    assert 100 < found["pairs"] < 7000
    assert found == {
        "pairs": sum(row.count(Truth.TRUE) for row in matrix),
        "entries": {
            name: sum(row[place] is Truth.TRUE for row in matrix) for place, name in enumerate(entries)
        },
        "unmatched_jobs": sum(Truth.TRUE not in row for row in matrix),
        "errors": sum(row.count(Truth.ERROR) for row in matrix),
    }
    assert found["errors"] > 0


def test_the_command_prints_the_counts_as_json(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert json.loads(found.stdout) == EXPECTED


@pytest.mark.parametrize(
    ("file", "content", "where"),
    [
        ("jobs", '{"VO": "cms"}\n[1]', "jobs, line 2"),
        ("jobs", '{"VO": "cms"', "jobs, line 1"),
        ("entries", '{"A": 1}', "entries, A"),
        ("entries", "[]", "entries"),
        ("policy", "[vos.cms]\nrequirements = 'job.Nope'", "policy"),
    ],
)
def test_a_file_with_a_mistake_is_named(tmp_path: Path, file: str, content: str, where: str) -> None:
    error = run(tmp_path, **{file: content}).exception
    assert isinstance(error, InvalidInput)
    assert error.where.endswith(where)
