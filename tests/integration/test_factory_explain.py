"""``goc factory explain`` from outside, with a job's ad in a file and with queues that nobody serves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.command import answer, goc
from tests.integration.factory_home import factory_home
from tests.unit.factory.world import entry_table

from opengoc.factory.cycle import Cycle, write_status
from opengoc.factory.model import EntryRow, Limit

pytestmark = pytest.mark.integration

# As condor_q -long writes it.
AD = """ClusterId = 42
ProcId = 3
JobStatus = 1
VO = "cms"
RequestCpus = 1
RequestMemory = ifThenElse(MemoryUsage =!= undefined, MemoryUsage, 4096)
DESIRED_Sites = "SITE-X"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a registry and a factory whose daemons nobody runs."""
    factory_home(tmp_path)
    applied = goc(tmp_path, "factory", "apply", "--why", "the first")
    assert applied.returncode == 0, applied.stderr
    return tmp_path


def _keep_a_cycle(home: Path) -> None:
    row = EntryRow(
        entry="A",
        vo="cms",
        matching_jobs=9,
        requested=5,
        allowed=1,
        limit=Limit.MAX_IDLE,
        detail="10 waiting pilots",
        idle=9,
        running=0,
        held=0,
        free_slots=0,
    )
    cycle: dict[str, Any] = dict.fromkeys(("removed", "collected", "running_jobs", "unmatched_jobs"), 0)
    write_status(
        home / "factory",
        Cycle(
            at=datetime(2026, 11, 16, 12, tzinfo=UTC),
            seconds=0.1,
            digest="0" * 64,
            frozen="",
            sources=(),
            rows=(row,),
            submitted={("A", "cms"): 1},
            idle_jobs=9,
            pilots=9,
            **cycle,
        ),
    )


def test_a_job_ad_in_a_file_is_explained_clause_by_clause(home: Path) -> None:
    (home / "job.ad").write_text(AD)
    _keep_a_cycle(home)
    said = answer(home, "factory", "explain", "job", "--ad", str(home / "job.ad"))
    assert (said["job"], said["vo"], said["state"], said["matches"]) == ("42.3", "cms", "idle", [])
    (entry,) = said["entries"]
    assert entry["rejected_by"] == [
        "job.RequestMemory <= entry.MemoryMiB",
        'job.DESIRED_Sites == "" || stringListMember(entry.Site, job.DESIRED_Sites)',
    ]
    (memory,) = [clause for clause in entry["clauses"] if clause["text"] == entry["rejected_by"][0]]
    assert memory["seen"] == {
        "job.RequestMemory": {"value": 4096, "default": False},
        "entry.MemoryMiB": {"value": 2048, "default": False},
    }
    assert entry["last_cycle"]["limit"] == "max_idle"
    shown = goc(home, "factory", "explain", "job", "--ad", str(home / "job.ad"))
    assert "is false: job.RequestMemory = 4096, entry.MemoryMiB = 2048" in " ".join(shown.stdout.split())


def test_a_json_ad_that_fits_matches(home: Path) -> None:
    (home / "job.json").write_text(json.dumps({"VO": "cms", "RequestMemory": 1024}))
    said = answer(home, "factory", "explain", "job", "--ad", str(home / "job.json"), "--entry", "A")
    assert (said["job"], said["matches"]) == (None, ["A"])


def test_an_entry_is_explained_by_its_last_cycle(home: Path) -> None:
    before = goc(home, "factory", "explain", "entry", "A")
    assert before.returncode == 1
    assert "goc factory run" in before.stderr
    _keep_a_cycle(home)
    said = answer(home, "factory", "explain", "entry", "A")
    assert said["answer"] == "max_idle: 10 waiting pilots"
    (bound,) = [each for each in said["limits"] if each["binds"]]
    assert {name: bound[name] for name in ("limit", "cap", "used", "left")} == {
        "limit": "max_idle",
        "cap": 10,
        "used": 9,
        "left": 1,
    }
    assert said["rows"][0]["submitted"] == 1
    shown = goc(home, "factory", "explain", "entry", "A").stdout
    assert "max_idle: 10 waiting pilots" in shown
    assert "→" in shown
    assert goc(home, "factory", "explain", "entry", "Z").returncode == 3


def test_what_is_in_force_explains_and_not_what_the_files_say_meanwhile(home: Path) -> None:
    (home / "job.json").write_text(json.dumps({"VO": "cms", "RequestMemory": 1024}))
    (home / "entries.toml").write_text(entry_table("B", resource='"ITB-SLURM-CE"', memory_mib=512))
    words = ["factory", "explain", "job", "--ad", str(home / "job.json")]
    assert answer(home, *words)["matches"] == ["A"]
    (planned,) = answer(home, *words, "--planned")["entries"]
    assert (planned["entry"], planned["rejected_by"]) == ("B", ["job.RequestMemory <= entry.MemoryMiB"])


def test_a_queue_that_does_not_answer_is_no_answer(home: Path) -> None:
    done = goc(home, "factory", "explain", "job", "42.0")
    assert done.returncode == 4
    assert "vo-pool" in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["job"], 2),
        (["job", "forty-two"], 3),
        (["job", "--ad", "nowhere"], 3),
        (["job", "1.0", "--ad", "x"], 2),
    ],
)
def test_what_cannot_be_asked_is_refused(home: Path, words: list[str], code: int) -> None:
    assert goc(home, "factory", "explain", *words).returncode == code


@pytest.mark.parametrize("text", ["", "no ad at all\n", "A = 1\n\nB = 2\n", "{", "[1]"])
def test_a_file_that_holds_no_ad_is_refused(home: Path, text: str) -> None:
    (home / "job.ad").write_text(text)
    done = goc(home, "factory", "explain", "job", "--ad", str(home / "job.ad"))
    assert done.returncode == 3
    assert "job.ad" in done.stderr
