"""The examples of docs/reference/entries.md are what the factory reads."""

from __future__ import annotations

import re
from pathlib import Path

from opengoc.factory.entries import KnownResource, read_entries
from opengoc.factory.functions import FUNCTIONS
from opengoc.factory.policy import read_policy

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "entries.md"


def test_the_documented_files_have_no_fault() -> None:
    entries_text, policy_text = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    policy, faults = read_policy(policy_text, "policy.toml")
    assert faults == ()
    resources = {
        name: KnownResource(site=name.removesuffix("-CE")) for name in ("ITB-CONDOR-CE", "ITB-SLURM-CE")
    }
    entries, faults = read_entries(
        entries_text, "entries.toml", vocabulary=policy.vocabulary, resources=resources
    )
    assert faults == ()
    assert [(entry.name, entry.enabled) for entry in entries] == [
        ("ITB-CONDOR-2core", True),
        ("ITB-SLURM-1core", False),
    ]
    assert entries[0].values()["HasSquid"] is True


def test_the_documented_language_is_what_policies_are_read_in() -> None:
    page = PAGE.with_name("policy.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert read_policy(text, "policy.toml")[1] == ()
    # Every function is in the table, and nothing else.
    table = re.findall(
        r"^\| (?:conditions|string lists|texts|numbers|others) \| (.*) \|$", page, re.MULTILINE
    )
    assert {name for row in table for name in re.findall(r"`(\w+)`", row)} == {
        f.name for f in FUNCTIONS.values()
    }
    faults = re.findall(
        r"^\| `([^`|…]+)`(?:, `[^`]+`)* \|", page.partition("## What is refused")[2], re.MULTILINE
    )
    assert len(faults) >= 4
    declared = 'job.MaxWallSeconds]\ntype = "int"\n[job.X]\ntype = "int"\n[entry.HasSquid]\ntype = "bool"\n'
    for example in faults:
        assert read_policy(f"[{declared}[vos.cms]\nrequirements = '{example}'", "policy.toml")[1], example
