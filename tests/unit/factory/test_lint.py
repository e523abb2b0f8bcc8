"""What is wrong in a glideinWMS factory's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.shared_data import SHARED_DATA, needs_shared_data
from tests.unit.factory.foreign_file import entry_xml, write_file
from tests.unit.factory.world import registry as empty_registry

from opengoc.factory.formats.glideinwms import read_files
from opengoc.factory.lint import Finding, LintReport, lint
from opengoc.factory.lint_rules import RULES, Level
from opengoc.registry.model import Resource, Service
from opengoc.registry.snapshot import Registry

ONLY_IN_PAIRS = {"duplicate-name", "attribute-types"}


def _resource(name: str, fqdn: str, *, active: bool = True, kind: str = "CE") -> Resource:
    return Resource(
        id=name, name=name, group="G", site="SITE-A", fqdn=fqdn, services=(Service(kind=kind),), active=active
    )


def _registry() -> Registry:
    resources = (
        _resource("CE-A", "ce.a.org"),
        _resource("CE-OLD", "old.a.org", active=False),
        _resource("SE-A", "se.a.org", kind="XRootD"),
    )
    known: dict[str, Any] = {**vars(empty_registry()), "resources": {each.name: each for each in resources}}
    return Registry(**{name: known[name] for name in Registry.__dataclass_fields__})


def _lint(folder: Path, *entries: str, **files: str) -> LintReport:
    paths = [write_file(folder / "10-test.xml", *entries)]
    paths += [write_file(folder / f"{name}.xml", text) for name, text in files.items()]
    return lint((entry for file in read_files(paths) for entry in file.entries), _registry())


def _only(report: LintReport, rule: str) -> Finding:
    (found,) = [finding for finding in report.findings if finding.rule == rule]
    return found


def test_an_entry_that_is_right_gives_no_finding(tmp_path: Path) -> None:
    report = _lint(tmp_path, entry_xml("A"), entry_xml("B", submit={"+maxMemory": "16000", "+xcount": "8"}))
    assert (report.entries, report.enabled, report.findings, report.not_checked) == (2, 2, (), ())
    assert report.is_clean


@pytest.mark.parametrize(
    ("rule", "changes", "value"),
    [
        ("missing-memory", {"attributes": {"GLIDEIN_MaxMemMBs": None}}, "no GLIDEIN_MaxMemMBs"),
        (
            "missing-memory",
            {"attributes": {"GLIDEIN_MaxMemMBs": None}, "submit": {"+maxMemory": "2500"}},
            "no GLIDEIN_MaxMemMBs; elsewhere it says 2500 MiB",
        ),
        ("missing-site", {"attributes": {"GLIDEIN_Site": None}}, "no GLIDEIN_Site"),
        ("missing-cores", {"attributes": {"GLIDEIN_CPUS": ("string", "")}}, "no GLIDEIN_CPUS"),
        (
            "missing-cores",
            {"attributes": {"GLIDEIN_CPUS": None}, "submit": {"+xcount": "4"}},
            "no GLIDEIN_CPUS; elsewhere it says 4 cores",
        ),
        ("missing-resource", {"attributes": {"GLIDEIN_ResourceName": None}}, "no GLIDEIN_ResourceName"),
        ("missing-walltime", {"attributes": {"GLIDEIN_Max_Walltime": None}}, "no GLIDEIN_Max_Walltime"),
        ("missing-vos", {"attributes": {"GLIDEIN_Supported_VOs": None}}, "no GLIDEIN_Supported_VOs"),
        (
            "attribute-value",
            {"attributes": {"GLIDEIN_Max_Walltime": ("int", "2 d")}},
            "GLIDEIN_Max_Walltime: '2 d'",
        ),
        (
            "estimated-memory",
            {
                "attributes": {
                    "GLIDEIN_MaxMemMBs": None,
                    "GLIDEIN_MaxMemMBs_Estimate": ("string", "True"),
                }
            },
            "GLIDEIN_MaxMemMBs_Estimate True",
        ),
        (
            "list-repeats",
            {"attributes": {"GLIDEIN_Supported_VOs": ("string", "A,B,A")}},
            "GLIDEIN_Supported_VOs: A",
        ),
        (
            "list-blanks",
            {"attributes": {"GLIDEIN_Supported_VOs": ("string", "A, B")}},
            "GLIDEIN_Supported_VOs: 'A, B'",
        ),
        ("unknown-grid-type", {"gridtype": "cream"}, "cream"),
        ("unknown-grid-type", {"gridtype": "batch torque"}, "batch torque"),
        ("gatekeeper-form", {"gatekeeper": "ce.a.org:9619"}, "ce.a.org:9619"),
        ("unknown-resource", {"attributes": {"GLIDEIN_ResourceName": ("string", "CE-Z")}}, "CE-Z"),
        (
            "unusable-resource",
            {
                "attributes": {"GLIDEIN_ResourceName": ("string", "CE-OLD")},
                "gatekeeper": "old.a.org old.a.org:9619",
            },
            "CE-OLD is not in use, says the registry",
        ),
        (
            "unusable-resource",
            {
                "attributes": {"GLIDEIN_ResourceName": ("string", "SE-A")},
                "gatekeeper": "se.a.org se.a.org:9619",
            },
            "SE-A offers no CE, says the registry",
        ),
        ("other-host", {"gatekeeper": "ce.b.org ce.b.org:9619"}, "ce.b.org, and CE-A is ce.a.org"),
        ("disabled", {"enabled": "False", "comment": "moved to SLURM"}, "moved to SLURM"),
        ("disabled-without-reason", {"enabled": "False"}, "no comment"),
        ("limit-value", {"caps": {"per_entry": ("many", 20, 10)}}, "per_entry: glideins 'many'"),
        ("limit-value", {"caps": {"per_entry": (100, -1, 10)}}, "per_entry: idle '-1'"),
        (
            "limit-zero",
            {"caps": {"per_entry": (100, 0, 10), "default_per_frontend": (1, 0, 1)}},
            "per_entry: idle 0",
        ),
        ("idle-over-total", {"caps": {"per_entry": (100, 200, 10)}}, "per_entry: idle 200 > glideins 100"),
        ("held-over-total", {"caps": {"per_entry": (100, 20, 101)}}, "per_entry: held 101 > glideins 100"),
        (
            "frontend-over-entry",
            {"caps": {"default_per_frontend": (101, 10, 5)}},
            "default_per_frontend: glideins 101 > per_entry glideins 100",
        ),
        (
            "frontend-over-entry",
            {"caps": {"cms:frontend": (50, 21, 5)}},
            "cms:frontend: idle 21 > per_entry idle 20",
        ),
        (
            "walltime-contradicts",
            {"submit": {"+maxWallTime": "2879"}},
            "GLIDEIN_Max_Walltime 172800 s, and the site is asked for 172740 s",
        ),
        (
            "walltime-contradicts",
            {"submit": {"arc_resources": "&lt;WallTime&gt;1800&lt;/WallTime&gt;"}},
            "GLIDEIN_Max_Walltime 172800 s, and the site is asked for 1800 s",
        ),
        (
            "memory-contradicts",
            {"submit": {"+maxMemory": "15999"}},
            "GLIDEIN_MaxMemMBs 16000 MiB, and the site is asked for 15999 MiB",
        ),
        (
            "cores-contradict",
            {"submit": {"request_cpus": "4"}},
            "GLIDEIN_CPUS 8 cores, and the site is asked for 4 cores",
        ),
    ],
)
def test_each_rule_finds_what_it_is_for_and_nothing_beside(
    tmp_path: Path, rule: str, changes: dict[str, Any], value: str
) -> None:
    report = _lint(tmp_path, entry_xml("A"), entry_xml("B", **changes))
    found = {(finding.rule, finding.entry, finding.value) for finding in report.findings}
    assert (rule, "B", value) in found
    assert {name for name, _, _ in found} == {rule}
    assert all(finding.line > 2 and finding.advice for finding in report.findings)
    assert report.is_clean == all(finding.level is Level.NOTE for finding in report.findings)


def test_every_rule_is_tested_above_or_by_a_pair() -> None:
    marks = test_each_rule_finds_what_it_is_for_and_nothing_beside.pytestmark  # type: ignore[attr-defined]
    tested = {case[0] for case in marks[0].args[1]}
    assert {rule.name for rule in RULES} == tested | ONLY_IN_PAIRS | {"duplicate-attribute"}


def test_a_name_in_two_files_says_which_one_runs(tmp_path: Path) -> None:
    report = _lint(tmp_path, entry_xml("A"), late=entry_xml("A", enabled="False", comment="gone"))
    early, late = [finding for finding in report.findings if finding.rule == "duplicate-name"]
    assert early.value == "also in late.xml:2 (enabled in one, disabled in another)"
    assert early.advice == "only the one in late.xml:2 runs: remove this one"
    assert (late.file, late.line, late.level) == ("late.xml", 2, Level.ERROR)
    assert "this one runs" in late.advice


def test_one_limit_in_two_types_is_found_where_it_is_the_rarer(tmp_path: Path) -> None:
    as_text = entry_xml("C", attributes={"GLIDEIN_MaxMemMBs": ("string", "16000")})
    report = _lint(tmp_path, entry_xml("A"), entry_xml("B"), as_text)
    found = _only(report, "attribute-types")
    assert (found.entry, found.value) == ("C", "GLIDEIN_MaxMemMBs: string in 1, int in 2")
    assert found.advice == 'write type="int"'


def test_an_attribute_given_twice_is_found_at_the_second(tmp_path: Path) -> None:
    xml = entry_xml("A").replace("</attrs>", '<attr name="GLIDEIN_Site" value="OTHER"/>\n</attrs>')
    found = _only(_lint(tmp_path, xml), "duplicate-attribute")
    assert found.value == "GLIDEIN_Site: 'SITE-A', 'OTHER'"
    assert found.line == len(xml.splitlines())


def test_a_resource_is_suggested_by_its_host_and_by_its_name(tmp_path: Path) -> None:
    wrong = {"GLIDEIN_ResourceName": ("string", "CE-Z")}
    by_host = _lint(tmp_path, entry_xml("A", attributes=wrong))
    assert "ce.a.org belongs to CE-A" in _only(by_host, "unknown-resource").advice
    alike = entry_xml(
        "A", attributes={"GLIDEIN_ResourceName": ("string", "CE-OLDD")}, gatekeeper="x.org x.org:1"
    )
    assert _only(_lint(tmp_path, alike), "unknown-resource").advice == "is CE-OLD meant?"


def test_what_is_wrong_in_a_disabled_entry_is_a_note(tmp_path: Path) -> None:
    report = _lint(tmp_path, entry_xml("A", enabled="False", comment="gone", gridtype="cream"))
    assert [(each.rule, each.level) for each in report.findings] == [
        ("disabled", Level.NOTE),
        ("unknown-grid-type", Level.NOTE),
    ]
    assert report.is_clean


def test_without_a_registry_its_rules_are_named_as_not_checked(tmp_path: Path) -> None:
    (file,) = read_files([write_file(tmp_path / "10.xml", entry_xml("A"))])
    report = lint(file.entries, None)
    assert report.findings == ()
    assert [name for name, _ in report.not_checked] == ["unknown-resource", "unusable-resource", "other-host"]


@needs_shared_data
def test_the_production_files_show_what_was_counted_in_them() -> None:
    files = read_files((SHARED_DATA / "gfactory").glob("*.xml"))
    counts = lint((entry for file in files for entry in file.entries), None).counts()
    assert counts["duplicate-name"] == {"all": 68, "enabled": 53}
    assert counts["missing-memory"] == {"all": 80, "enabled": 14}
    assert counts["unknown-grid-type"] == {"all": 90, "enabled": 29}
    assert counts["disabled-without-reason"] == {"all": 227, "enabled": 0}
    assert counts["attribute-types"] == {"all": 26, "enabled": 19}
