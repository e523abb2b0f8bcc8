"""``goc factory plan``, ``apply``, ``rollback`` and ``log`` from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_factory_command import goc, home
from tests.unit.factory.world import POLICY, entry_table

pytestmark = pytest.mark.integration

__all__ = ["home"]

CANARY = """
[[canaries.must_not_run]]
name = "bound elsewhere"
entry = "A"
job = { VO = "cms", DESIRED_Sites = "ITB-NOWHERE" }
"""


def said(home: Path, *words: str, code: int = 0) -> Any:
    done = goc(home, "factory", *words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def in_force(home: Path) -> list[str]:
    return [each["digest"] for each in said(home, "log")]


def test_nothing_runs_before_the_first_apply(home: Path) -> None:
    for words in (("run", "--once"), ("run", "--dry-run"), ("run",)):
        done = goc(home, "factory", *words)
        assert done.returncode == 1
        assert "goc factory apply" in done.stderr


def test_an_apply_is_planned_kept_and_logged(home: Path) -> None:
    plan = said(home, "plan")
    assert (plan["applied"], plan["entries"]["added"]) == (None, ["A"])
    assert plan["pairs"]["gained"] == {"cms": ["A"], "ligo": ["A"]}
    # The factory's schedd does not answer: how many pilots are affected is not known.
    assert plan["pilots"]["pilots"] is None
    assert plan["pilots"]["unknown"]
    assert in_force(home) == []
    applied = said(home, "apply", "--why", "first")
    assert applied["digest"] == plan["planned"]
    (entry,) = said(home, "log")
    assert (entry["why"], entry["action"]) == ("first", "apply")
    assert said(home, "plan")["changes_nothing"]
    assert said(home, "apply")["applied"] is False
    assert len(in_force(home)) == 1


def test_an_edited_file_changes_nothing_until_it_is_applied(home: Path) -> None:
    said(home, "apply")
    (home / "entries.toml").write_text("this is no TOML")
    goc(home, "factory", "run", "--once")
    status = said(home, "status")
    assert [row["entry"] for row in status["rows"]] == ["A", "A"]
    assert status["digest"] == in_force(home)[0]


def test_a_failed_canary_refuses_even_with_accept_and_leaves_all_as_it_was(home: Path) -> None:
    (home / "policy.toml").write_text(POLICY + CANARY)
    first = said(home, "apply")["digest"]
    before = sorted((home / "factory" / "bundles").iterdir())
    (home / "policy.toml").write_text(
        POLICY.replace('job.DESIRED_Sites == ""', 'job.DESIRED_Sites != "x"') + CANARY
    )
    plan = said(home, "plan", code=1)
    assert [(each["name"], each["ok"]) for each in plan["canaries"]] == [("bound elsewhere", False)]
    for words in (("apply",), ("apply", "--accept")):
        refused = goc(home, "factory", *words)
        assert refused.returncode == 1
        assert "bound elsewhere" in refused.stderr
    assert in_force(home) == [first]
    assert sorted((home / "factory" / "bundles").iterdir()) == before


def test_a_large_change_needs_to_be_accepted(home: Path) -> None:
    said(home, "apply")
    (home / "entries.toml").write_text(
        entry_table("A", resource='"ITB-SLURM-CE"') + entry_table("B", resource='"ITB-SLURM-CE"')
    )
    refused = goc(home, "factory", "apply")
    assert refused.returncode == 1
    assert "cms: 1 of 1 entries gained or lost" in refused.stderr
    assert said(home, "apply", "--accept")["applied"]


def test_a_rollback_goes_back_and_the_files_stay(home: Path) -> None:
    first = said(home, "apply")["digest"]
    (home / "entries.toml").write_text(entry_table("A", resource='"ITB-SLURM-CE"', max_pilots=3, max_idle=3))
    second = said(home, "apply")["digest"]
    text = (home / "entries.toml").read_text()
    back = said(home, "rollback", "--why", "too few")
    assert (back["digest"], back["action"]) == (first, "rollback")
    changed = back["difference"]["entries"]["changed"]["A"]
    assert changed["max_pilots"] == {"before": 3, "after": 10}
    assert (home / "entries.toml").read_text() == text
    assert said(home, "plan")["planned"] == second
    assert said(home, "rollback", second[:8])["digest"] == second
    assert in_force(home) == [first, second, first, second]
    assert goc(home, "factory", "rollback", "ffff").returncode == 3


def test_a_bundle_that_was_changed_does_not_run(home: Path) -> None:
    digest = said(home, "apply")["digest"]
    policy = home / "factory" / "bundles" / digest / "policy.toml"
    policy.chmod(0o644)
    policy.write_text(policy.read_text().replace('== ""', '!= ""'))
    done = goc(home, "factory", "run", "--once")
    assert done.returncode == 1
    assert "is not what was applied" in done.stderr


# Ends itself outright at the given call of the operating system's that changes something.
_DIE = """
import os, signal, sys
left = int(sys.argv.pop(1))
def dying(name, real):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
for name in ("mkdir", "rename", "replace", "fsync", "chmod"):
    setattr(os, name, dying(name, getattr(os, name)))
from opengoc.cli.main import run
run()
"""


def test_an_apply_killed_anywhere_leaves_the_old_or_the_new_in_force(home: Path) -> None:
    first = said(home, "apply")["digest"]
    # The registry and the plan write nothing: what is counted here is the apply.
    outcomes = []
    for number in range(1, 40):
        (home / "entries.toml").write_text(
            entry_table("A", resource='"ITB-SLURM-CE"', walltime_seconds=4000 + number)
        )
        done = subprocess.run(
            [sys.executable, "-c", _DIE, str(number), "--home", str(home), "factory", "apply"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        log = in_force(home)
        # Whatever is in force stands whole.
        assert said(home, "plan")["applied"] == log[-1]
        outcomes.append(done.returncode)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert log == [first]
    assert outcomes[-1] == 0
    assert len(outcomes) > 5
