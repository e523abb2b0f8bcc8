"""Matches over ads of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.unit.factory.world import policy
from typer.testing import CliRunner

from opengoc.base.errors import InvalidInput
from opengoc.cli.factory_match import match
from opengoc.condor.classads import Truth, evaluate, truth
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
    app = typer.Typer()
    app.command()(match)
    contents = {
        "policy": POLICY,
        "jobs": "\n\n".join(map(json.dumps, JOBS)),
        "entries": json.dumps(ENTRIES),
    } | files
    options = []
    for name, content in contents.items():
        (folder / name).write_text(content)
        options += [f"--{name}", str(folder / name)]
    return CliRunner().invoke(app, [*options, "--json"])


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
