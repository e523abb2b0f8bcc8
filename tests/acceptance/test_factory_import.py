"""``goc factory import`` and ``goc factory lint`` from outside, on production files and on small ones."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.shared_data import SHARED_DATA, needs_shared_data
from tests.command import answer, goc
from tests.unit.factory.foreign_file import entry_xml, write_file

pytestmark = pytest.mark.acceptance

REGISTRY = Path(__file__).parents[1] / "data" / "registry" / "example"


@needs_shared_data
def test_production_files_are_imported_once_and_linted(tmp_path: Path) -> None:
    files = sorted(str(path) for path in (SHARED_DATA / "gfactory").glob("*.xml"))
    first = answer(tmp_path, "factory", "import", *files)
    assert (first["entries"], first["enabled"], len(first["added"])) == (471, 244, 471)
    again = answer(tmp_path, "factory", "import", *files)
    assert (again["entries"], again["unchanged"]) == (471, 471)
    assert again["added"] == again["changed"] == again["retracted"] == []
    kept, named = (
        goc(tmp_path, "factory", "lint", "--json"),
        goc(tmp_path, "factory", "lint", "--json", *files),
    )
    assert (kept.returncode, named.returncode) == (1, 1)
    assert json.loads(kept.stdout) == json.loads(named.stdout)
    said: dict[str, Any] = json.loads(kept.stdout)
    assert said["counts"]["missing-memory"] == {"all": 80, "enabled": 14}
    assert {"file", "line", "entry", "rule", "value", "advice"} <= said["findings"][0].keys()
    assert {each["rule"] for each in said["not_checked"]} >= {"unknown-resource"}


def test_converted_entries_are_in_force_with_the_drafted_policy(tmp_path: Path) -> None:
    assert goc(tmp_path, "registry", "import", str(REGISTRY)).returncode == 0
    resource = {"GLIDEIN_ResourceName": ("string", "ITB-CONDOR-CE"), "GLIDEIN_Country": ("string", "FR")}
    known = entry_xml("OSG_A", attributes=resource)
    file = write_file(tmp_path / "10.xml", known, entry_xml("OSG_B", gridtype="cream"))
    entries, policy = tmp_path / "entries.toml", tmp_path / "policy.toml"
    words = [
        "factory",
        "import",
        str(file),
        "--vo",
        "OSGVO=ligo",
        "--output",
        str(entries),
        "--policy",
        str(policy),
    ]
    done = answer(tmp_path, *words)
    assert (done["converted"], done["faults"]) == (1, [])
    assert [each["entry"] for each in done["left_out"]] == ["OSG_B"]
    (table,) = tomllib.loads(entries.read_text())["entries"]
    assert (table["name"], table["vos"]) == ("OSG_A", ["cms", "ligo"])
    assert "# OSG_B (10.xml:" in entries.read_text()
    (tmp_path / "goc.toml").write_text(
        '[[pools]]\nname = "p"\ncollector = "127.0.0.1:9"\nschedds = ["s"]\ntoken_directory = "t"\n'
        '[factory]\nschedd = "f"\ncollector = "127.0.0.1:9"\ntoken_directory = "t"\npool = "p"\n'
        'pilot_token_file = "t/pilot"\n'
    )
    in_force = answer(tmp_path, "factory", "entries")
    assert [entry["name"] for entry in in_force["entries"]] == ["OSG_A"]
    assert in_force["entries"][0]["attributes"] == {"GLIDEIN_Country": "FR"}


def test_a_file_that_says_something_else_is_not_written_over(tmp_path: Path) -> None:
    file, entries = write_file(tmp_path / "10.xml", entry_xml("OSG_A")), tmp_path / "entries.toml"
    entries.write_text("# mine\n")
    refused = goc(tmp_path, "factory", "import", str(file), "--output", str(entries))
    assert refused.returncode == 3
    assert "--force" in refused.stderr
    assert entries.read_text() == "# mine\n"
    words = ["factory", "import", str(file), "--output", str(entries)]
    assert goc(tmp_path, *words, "--force").returncode == 0
    assert goc(tmp_path, *words).returncode == 0


def test_a_broken_file_is_refused_with_its_place(tmp_path: Path) -> None:
    file = write_file(tmp_path / "10.xml", '<entry name="A" enabled="maybe" gatekeeper="x"/>')
    for verb in ("import", "lint"):
        refused = goc(tmp_path, "factory", verb, str(file))
        assert refused.returncode == 3
        assert f"{file}: " in refused.stderr
        assert "line 2: entry A: enabled must be True or False" in refused.stderr


def test_lint_ends_with_0_where_nothing_is_wrong_and_1_where_something_is(tmp_path: Path) -> None:
    right = write_file(tmp_path / "10.xml", entry_xml("A"))
    wrong = write_file(tmp_path / "20.xml", entry_xml("B", gridtype="cream"))
    assert goc(tmp_path, "factory", "lint", str(right)).returncode == 0
    done = goc(tmp_path, "factory", "lint", str(right), str(wrong))
    assert done.returncode == 1
    assert "20.xml:2: B: unknown-grid-type: cream: CREAM is gone" in done.stderr
    assert goc(tmp_path, "factory", "lint", "--rule", "missing-memory", str(wrong)).returncode == 0
    assert goc(tmp_path, "factory", "lint", "--rule", "colour", str(wrong)).returncode == 3
    nothing = goc(tmp_path, "factory", "lint")
    assert nothing.returncode == 1
    assert "goc factory import" in nothing.stderr
