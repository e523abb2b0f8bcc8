"""``goc factory`` from outside, where no grid answers."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from tests.command import goc
from tests.integration.factory_home import factory_home
from tests.unit.factory.world import POLICY, entry_table

from opengoc.app import House

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a registry and a factory whose daemons nobody runs."""
    return factory_home(tmp_path)


def test_entries_shows_what_the_files_say(home: Path) -> None:
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
    # Nobody knows how many jobs wait: none of the counts is a zero, and the reason is said once.
    said = goc(home, "factory", "status").stdout
    assert "jobs ≥ 0 idle, ≥ 0 running, ≥ 0 match no entry" in said
    assert said.count("≥ 0/0/0") == len(status["rows"])
    assert said.count("jobs of pool-schedd") == 1


@pytest.mark.parametrize("content", ["", '{"at": "2026-', "[]", '{"rows": [{}]}'])
def test_a_damaged_status_is_named(home: Path, content: str) -> None:
    (home / "factory").mkdir()
    (home / "factory" / "status.json").write_text(content)
    done = goc(home, "factory", "status")
    assert done.returncode == 1
    assert "status.json cannot be read" in done.stderr


def test_what_is_probed_and_shown_is_in_force_and_not_what_the_files_say(home: Path) -> None:
    def probed() -> set[str]:
        with closing(House(home)) as house, house.checks() as (_, checks):
            return {check.metric for check in checks if check.target.service == "CE"}

    with closing(House(home)) as house:
        entries, unknown = house.entries()
    assert (probed(), entries) == (set(), {})
    assert "goc factory apply" in unknown
    listed = goc(home, "probe", "list")
    assert "no compute element is probed: entries: no entries and policy are in force" in listed.stderr
    assert goc(home, "factory", "apply").returncode == 0
    (applied,) = probed()
    assert applied.endswith(":A")
    (home / "entries.toml").write_text(entry_table("B", resource='"ITB-SLURM-CE"'))
    assert probed() == {applied}
    with closing(House(home)) as house:
        assert house.report_stores().entry_sites == {"A": "ITB-SLURM"}
        assert house.planned(house.registry()).entries.keys() == {"B"}
    (bundle,) = (home / "factory" / "bundles").iterdir()
    (bundle / "bundle.json").unlink()
    assert probed() == set()
    with closing(House(home)) as house:
        assert house.report_stores().entry_sites is None


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
