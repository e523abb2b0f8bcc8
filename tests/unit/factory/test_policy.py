"""The policy file: declarations and requirements, every fault at once."""

from __future__ import annotations

import pytest
from tests.unit.factory.world import POLICY, policy

from opengoc.base.errors import InvalidInput
from opengoc.factory.policy import read_policy


def faults_of(text: str) -> list[str]:
    return [str(fault) for fault in read_policy(text, "policy.toml")[1]]


def test_it_names_the_job_attributes_that_have_to_be_fetched() -> None:
    assert policy().job_attributes == (
        "DESIRED_Sites",
        "RequestCpus",
        "RequestDisk",
        "RequestMemory",
        "VO",
        "WantSquid",
    )


def test_every_fault_is_named_with_its_line() -> None:
    text = """
[job.Flavour]
type = "text"
[entry.Cores]
type = "int"
[job.Depth]
type = "int"
default = "deep"
unit = 3
[job.Colour]
type = "string"
colour = "blue"
[vos.cms]
requirements = 'job.Depth == 1'
[vos.LIGO]
requirements = 'true'
[vos.atlas]
requirement = 'true'
[policies]
x = 1
"""
    found = faults_of(text)
    assert [line.split(": ")[:2] for line in found] == [
        ["line 19", "policies"],
        ["line 2", "job.Flavour"],
        ["line 6", "job.Depth"],
        ["line 10", "job.Colour"],
        ["line 4", "entry.Cores"],
        ["line 14", "vos.cms"],
        ["line 16", "vos.LIGO"],
        ["line 17", "vos.atlas"],
    ]


def test_a_default_of_another_type_is_a_fault() -> None:
    for type_name, default in (
        ("int", "1.5"),
        ("int", "true"),
        ("bool", "1"),
        ("string", "3"),
        ("float", "nan"),
    ):
        text = f'[job.X]\ntype = "{type_name}"\ndefault = {default}\n' + POLICY
        assert "has a default" in faults_of(text)[0]
    assert faults_of('[job.X]\ntype = "float"\ndefault = 1\n' + POLICY) == []


def test_a_vos_text_cannot_break_out_of_the_conditions_around_it() -> None:
    (fault,) = faults_of("[vos.cms]\nrequirements = 'true) || (true'")
    assert "is no ClassAd expression" in fault


def test_a_policy_without_vos_is_a_fault() -> None:
    assert faults_of("") == ["vos: needs at least one table such as [vos.cms]"]


def test_a_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"policy\.toml"):
        read_policy("[vos.cms", "policy.toml")


def test_a_requirement_that_can_be_read_and_makes_no_sense_is_a_fault() -> None:
    (constant, typed) = faults_of(
        "[vos.cms]\nrequirements = '''job.RequestCpus > 1\n || true || job.RequestMemory == \"x\"'''"
    )
    assert constant.startswith("line 2: vos.cms: requirements, line 2, column 5: true: is the same for every")
    assert "requirements, line 2, column 31" in typed
    assert "compares a number with a string" in typed
