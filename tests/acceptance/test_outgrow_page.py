"""The page on leaving one machine: what it says to run, runs, and ClickHouse answers as ``goc`` does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[2] / "docs" / "howto" / "outgrow-one-machine.md"
_RECORDS = [
    {"global_job_id": "1", "vo": "uscms", "site": "SITE-A", "wall_seconds": 3600, "cpu_user_seconds": 1800},
    {"global_job_id": "2", "vo": "ligo", "site": "SITE-B", "wall_seconds": 60},
]


@pytest.mark.acceptance
def test_what_the_page_says_to_run_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    records = tmp_path / "records.jsonl"
    same = {"ended_at": "2026-11-17T10:00:00Z", "processors": 4, "instance": "ce1"}
    records.write_text("".join(json.dumps(record | same) + "\n" for record in _RECORDS))
    rule = "goc accounting corrections add vo cms --on vo=uscms --why 'the name of the VO'"
    _run(tmp_path, f"goc accounting import {records} --source site-a; {rule}")
    days, statement, version, python = (_run(tmp_path, block) for block in blocks)
    assert re.search(r"2026-11-17 │ +2 │", days)
    assert re.search(r"cms +│ SITE-A +│ batch +│ +1 │ +3600 │ +14400 │ +1800 │", statement)
    assert re.search(r"ligo +│ SITE-B +│ batch +│ +1 │ +60 │ +240 │ +ᴺᵁᴸᴸ │", statement)
    assert re.search(r" 2 │", version)
    assert re.search(r"^\| 2 +\|$", python, re.MULTILINE), python


def _run(folder: Path, script: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ
        | {"GOC_HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
