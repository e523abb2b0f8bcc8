"""``goc accounting quarantine`` from outside: what could not be stored is listed, shown, and read again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests import command

pytestmark = pytest.mark.integration

SAMPLE = (Path(__file__).parents[1] / "data/accounting/slurm-24.11-jobcomp.txt").read_bytes()


def goc(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command.goc(home, "accounting", *arguments)


def test_a_bad_line_is_listed_shown_and_stays_until_it_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "goc.toml").write_text(
        '[[accounting]]\nname = "site"\nkind = "slurm-jobcomp"\npath = "jobcomp.txt"\n'
        'records = "pilot"\nsite = "ITB-SLURM"\n'
    )
    (tmp_path / "jobcomp.txt").write_bytes(SAMPLE + b"JobId=99 [cut \xff off]\n" + SAMPLE)
    collected = json.loads(goc(tmp_path, "collect", "--json").stdout)[0]
    lines = SAMPLE.count(b"\n")
    assert (collected["stored"], collected["duplicate"], collected["quarantined"]) == (lines, lines, 1)
    (entry,) = json.loads(goc(tmp_path, "quarantine", "list", "--json").stdout)
    assert (entry["line"], entry["offset"]) == (lines + 1, len(SAMPLE))
    assert "no line of jobcomp/filetxt" in entry["reason"]
    shown = goc(tmp_path, "quarantine", "show", entry["key"][:8])
    assert r"JobId=99 [cut \xff off]" in shown.stdout
    retried = goc(tmp_path, "quarantine", "retry", "--json")
    assert (retried.returncode, json.loads(retried.stdout)["remaining"]) == (1, 1)
    assert goc(tmp_path, "quarantine", "show", "nothing").returncode == 3


def test_usage_says_what_it_lacks_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "goc.toml").write_text(
        '[[accounting]]\nname = "site"\nkind = "slurm-jobcomp"\npath = "no.txt"\n'
        'records = "pilot"\nsite = "ITB-SLURM"\n'
    )
    assert goc(tmp_path, "collect").returncode == 1
    answer = json.loads(goc(tmp_path, "usage", "--week", "2026-W47", "--kind", "pilot", "--json").stdout)
    assert answer["rows"] == []
    assert answer["completeness"]["complete"] is False
    assert "No such file" in answer["completeness"]["sources"][0]["lacking"]
    assert goc(tmp_path, "usage", "--week", "2026-W60").returncode == 3
    assert goc(tmp_path, "usage", "--week", "2026-W47", "--by", "colour").returncode == 3
    assert goc(tmp_path, "usage", "--from", "2026-11-16").returncode == 3
    assert goc(tmp_path, "collect", "--source", "nobody").returncode == 3
