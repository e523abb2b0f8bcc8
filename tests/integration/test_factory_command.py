"""``goc factory`` from outside, where no grid answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.factory.world import POLICY, entry_table

pytestmark = pytest.mark.integration

REGISTRY = Path(__file__).parents[1] / "data" / "registry" / "example"
SETTINGS = """
[[pools]]
name = "vo-pool"
collector = "127.0.0.1:9"
schedds = ["pool-schedd"]
token_directory = "tokens"

[factory]
schedd = "factory-schedd"
collector = "127.0.0.1:9"
token_directory = "tokens"
pool = "vo-pool"
pilot_token_file = "tokens/pilot"
"""


def goc(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "opengoc", "--home", str(home), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a registry and a factory whose daemons nobody runs."""
    (tmp_path / "goc.toml").write_text(SETTINGS)
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "pilot").write_text("no token\n")
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "entries.toml").write_text(entry_table("A", resource='"ITB-SLURM-CE"'))
    shutil.copytree(REGISTRY, tmp_path / "registry")
    done = goc(tmp_path, "registry", "import", str(tmp_path / "registry"))
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_entries_shows_what_is_in_force(home: Path) -> None:
    done = goc(home, "factory", "entries", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [(entry["name"], entry["site"]) for entry in said["entries"]] == [("A", "ITB-SLURM")]
    assert said["faults"] == []


def test_every_fault_of_both_files_is_named_at_once(home: Path) -> None:
    (home / "policy.toml").write_text(POLICY + "\n[vos.atlas]\nrequirements = 'job.Colour'\n")
    (home / "entries.toml").write_text(entry_table("A", cores=0, resource='"CE-X"', colour=1))
    done = goc(home, "factory", "entries", "--json")
    assert done.returncode == 3
    found = json.loads(done.stdout)["faults"]
    assert sorted((Path(fault["file"]).name, fault["subject"]) for fault in found) == [
        ("entries.toml", "entry A: colour"),
        ("entries.toml", "entry A: cores"),
        ("entries.toml", "entry A: resource"),
        ("policy.toml", "vos.atlas"),
    ]
    assert all(fault["line"] for fault in found)
    refused = goc(home, "factory", "apply")
    assert refused.returncode == 3
    assert "job.Colour" in refused.stderr


def test_daemons_that_do_not_answer_freeze_it_and_the_status_says_so(home: Path) -> None:
    assert goc(home, "factory", "apply").returncode == 0
    dry = goc(home, "factory", "run", "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    assert json.loads(dry.stdout)["actions"] == []
    assert not (home / "factory" / "status.json").exists()
    once = goc(home, "factory", "run", "--once")
    assert once.returncode == 0, once.stderr
    status = json.loads(goc(home, "factory", "status", "--json").stdout)
    assert "Failed communication with collector" in status["frozen"]
    assert [source["complete"] for source in status["sources"]] == [False, False, False]
    assert {row["limit"] for row in status["rows"]} == {"frozen"}
    assert status["age_seconds"] >= 0


def test_it_says_what_is_missing(home: Path) -> None:
    assert goc(home, "factory", "status").returncode == 1
    assert goc(home, "factory", "run", "--once", "--dry-run").returncode == 2
    (home / "tokens" / "pilot").unlink()
    lacking = goc(home, "factory", "run", "--once")
    assert lacking.returncode == 3
    assert "pilot_token_file" in lacking.stderr
    (home / "goc.toml").write_text("")
    nothing = goc(home, "factory", "run", "--once")
    assert nothing.returncode == 1
    assert "has no [factory]" in nothing.stderr
