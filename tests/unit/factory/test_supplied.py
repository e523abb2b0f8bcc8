"""Attributes that requirements name and nobody supplies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.factory.world import POLICY, entry_table, jobs, registry, whole

from opengoc.base.errors import InvalidInput
from opengoc.factory.configuration import Configuration, load_configuration, read_configuration
from opengoc.factory.entries import KnownResource
from opengoc.factory.plan import plan
from opengoc.registry.model import Resource, Service

GPUS = '[entry.Gpus]\ntype = "int"\n[job.Colour]\ntype = "string"\n' + POLICY.replace(
    "&& (!job.WantSquid", "&& entry.Gpus > 0\n&& (!job.WantSquid"
)
RESOURCES = {"CE-A": KnownResource(site="SITE-A")}
CE = Resource(
    id="1", name="CE-A", group="G", site="SITE-A", fqdn="ce.example.org", services=(Service(kind="CE"),)
)


def load(folder: Path, entries: str, policy: str) -> Configuration:
    (folder / "entries.toml").write_text(entries)
    (folder / "policy.toml").write_text(policy)
    known = replace(registry(), resources={"CE-A": CE})
    return load_configuration(folder / "entries.toml", folder / "policy.toml", known)


def test_an_attribute_that_no_entry_supplies_is_a_fault_with_line_and_column(tmp_path: Path) -> None:
    line = GPUS.splitlines().index("requirements = '''") + 1
    with pytest.raises(InvalidInput) as refused:
        load(tmp_path, entry_table("A"), GPUS)
    assert f"line {line}: vos.cms: requirements, line 3, column 4: entry.Gpus: no entry supplies it" in str(
        refused.value
    )


def test_one_entry_or_a_default_supplies_it(tmp_path: Path) -> None:
    other = entry_table("B", enabled="false", reason='"new"') + "[entries.attributes]\nGpus = 1\n"
    assert load(tmp_path, entry_table("A") + other, GPUS).entries.keys() == {"A", "B"}
    assert load(tmp_path, entry_table("A"), GPUS.replace('"int"', '"int"\ndefault = 0')).entries


def test_faults_of_entries_come_first(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no known key") as refused:
        load(tmp_path, entry_table("A", colour=1), GPUS)
    assert "Gpus" not in str(refused.value)


def test_what_was_applied_before_still_loads() -> None:
    _, *faults = read_configuration(entry_table("A"), GPUS, RESOURCES, names=("e", "p"))
    assert faults == [(), ()]


def test_a_plan_warns_of_what_no_recent_job_has() -> None:
    policy = POLICY.replace("!job.WantSquid", 'job.Colour == "red" || !job.WantSquid')
    policy = '[job.Colour]\ntype = "string"\n' + policy
    after, *_ = read_configuration(entry_table("A"), policy, RESOURCES, names=("e", "p"))
    found = plan(after, after, payloads=jobs(2), pilots=whole("queue", ()))
    (warning,) = found.warnings
    assert warning.startswith("cms, requirements, line 3, column 5: job.Colour: no recent job of cms has it")
    assert found.to_json()["warnings"] == [warning]
    assert not plan(after, after, payloads=jobs(1, Colour="blue"), pilots=whole("queue", ())).warnings
    # Nobody asked jobs for it so far: ``replay.lacking`` says so.
    before, *_ = read_configuration(entry_table("A"), POLICY, RESOURCES, names=("e", "p"))
    assert not plan(before, after, payloads=jobs(2), pilots=whole("queue", ())).warnings
