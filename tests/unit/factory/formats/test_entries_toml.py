"""Entries written as TOML, and read again."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.acceptance.shared_data import SHARED_DATA, needs_shared_data
from tests.unit.factory.foreign_file import entry_xml, read_entry, write_file

from opengoc.base.errors import InvalidInput
from opengoc.factory.entries import OWN_COMMANDS, PILOT_KEYS, Entry, KnownResource, read_entries
from opengoc.factory.expression import Attribute, Vocabulary
from opengoc.factory.formats.convert import Converted, convert
from opengoc.factory.formats.entries_toml import entry_toml
from opengoc.factory.formats.glideinwms import read_file, read_files
from opengoc.factory.formats.policy_toml import policy_toml
from opengoc.factory.formats.toml_text import toml_table, toml_value
from opengoc.factory.policy import read_policy

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DECLARED = {"Flag": "bool", "Count": "int", "Share": "float", "Word": "string"}
VOCABULARY = Vocabulary(
    job={}, entry={name.casefold(): Attribute(name=name, type=kind) for name, kind in DECLARED.items()}
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
JSON = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=6,
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry that can be read."""
    most = draw(st.integers(0, 10_000))
    enabled = draw(st.booleans())
    commands = st.from_regex(r"\+?[A-Za-z_][A-Za-z_0-9.]{0,9}", fullmatch=True)
    line = TEXT.filter(lambda text: "\n" not in text)
    submit = draw(st.dictionaries(commands, line, max_size=3))
    return Entry(
        name=draw(NAMES),
        resource=draw(st.sampled_from(["CE-A", "CE-B"])),
        site="SITE",
        grid_resource=draw(st.sampled_from(["batch slurm", "condor ce ce:9619"])),
        cores=draw(st.integers(1, 512)),
        memory_mib=draw(st.integers(1, 10**7)),
        disk_mib=draw(st.integers(1, 10**9)),
        walltime_seconds=draw(st.integers(60, 10**7)),
        vos=tuple(sorted(draw(st.sets(st.sampled_from(["cms", "ligo", "osg"]), min_size=1)))),
        max_pilots=most,
        max_idle=draw(st.integers(0, most)),
        enabled=enabled,
        reason=draw(TEXT.filter(bool)) if not enabled else draw(TEXT),
        attributes=draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "Flag": st.booleans(),
                    "Count": st.integers(-(2**63), 2**63 - 1),
                    "Share": st.floats(allow_nan=False, allow_infinity=False),
                    "Word": TEXT,
                },
            )
        ),
        submit={name: value for name, value in submit.items() if name.casefold() not in OWN_COMMANDS},
        pilot=draw(st.dictionaries(st.sampled_from(sorted(PILOT_KEYS)), JSON, max_size=3)),
    )


def _written(given_entries: Iterable[Entry]) -> str:
    return "\n".join(entry_toml(_table(entry)) for entry in given_entries)


def _table(entry: Entry) -> dict[str, Any]:
    plain = ("name", "resource", "grid_resource", "cores", "memory_mib", "disk_mib", "walltime_seconds")
    limits = ("max_pilots", "max_idle", "enabled")
    table = {name: getattr(entry, name) for name in (*plain, *limits)} | {"vos": list(entry.vos)}
    if entry.reason:
        table["reason"] = entry.reason
    return table | {name: dict(getattr(entry, name)) for name in ("attributes", "submit", "pilot")}


def _read(text: str) -> tuple[Entry, ...]:
    resources = {name: KnownResource(site="SITE") for name in ("CE-A", "CE-B")}
    found, faults = read_entries(text, "entries.toml", vocabulary=VOCABULARY, resources=resources)
    assert not faults, faults
    return found


@given(st.lists(entries(), max_size=4, unique_by=lambda entry: entry.name))
def test_reading_what_was_written_gives_equal_entries(given_entries: list[Entry]) -> None:
    assert _read(_written(given_entries)) == tuple(sorted(given_entries, key=lambda entry: entry.name))


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_any_table_is_written_as_toml_that_says_the_same(values: dict[str, Any]) -> None:
    assert tomllib.loads(toml_table("[table]", values))["table"] == values


@pytest.mark.parametrize("value", [None, math.inf, math.nan, object()])
def test_what_toml_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        toml_value(value)


def _converted(*xml: str, folder: Path, **options: Any) -> Converted:
    file = read_file(write_file(folder / "10-test.xml", *xml))
    return convert(file.entries, resources=options.pop("resources", {"CE-A": "CE-A"}), **options)


def test_an_entry_of_glideinwms_becomes_one_of_ours(tmp_path: Path) -> None:
    xml = entry_xml(
        "OSG_A",
        attributes={
            "GLIDEIN_Country": ("string", "FR"),
            "IsCOVID19": ("expr", "True"),
            "TCP_KEEPALIVE_INTERVAL": ("expr", "60"),
        },
        submit={"+maxMemory": "16000", "request_memory": "16000"},
    )
    converted = _converted(xml, folder=tmp_path, vo_names={"OSGVO": "osg"})
    assert converted.left_out == ()
    assert converted.types == {
        "GLIDEIN_Country": "string",
        "IsCOVID19": "bool",
        "TCP_KEEPALIVE_INTERVAL": "int",
    }
    assert converted.tables["OSG_A"] == {
        "name": "OSG_A",
        "resource": "CE-A",
        "grid_resource": "condor ce.a.org ce.a.org:9619",
        "cores": 8,
        "memory_mib": 16000,
        "walltime_seconds": 172800,
        "vos": ["cms", "osg"],
        "max_pilots": 100,
        "max_idle": 20,
        "enabled": True,
        "attributes": {"GLIDEIN_Country": "FR", "IsCOVID19": True, "TCP_KEEPALIVE_INTERVAL": 60},
        # What the site is asked for in memory our factory says itself.
        "submit": {"+maxMemory": "16000"},
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gridtype": "cream"}, "is nothing that the factory submits to"),
        ({"attributes": {"GLIDEIN_MaxMemMBs": None}}, "GLIDEIN_MaxMemMBs is not given"),
        ({"attributes": {"GLIDEIN_CPUS": ("string", "auto")}}, "GLIDEIN_CPUS is not given as a number"),
        ({"attributes": {"GLIDEIN_Supported_VOs": ("string", "")}}, "names no VO"),
        ({"caps": {"per_entry": ("many", 1, 1)}}, "glideins is not given for the entry as a number"),
    ],
)
def test_what_an_entry_lacks_is_not_made_up(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    converted = _converted(entry_xml("OSG_A", **changes), folder=tmp_path)
    assert converted.tables == {}
    (left_out,) = converted.left_out
    assert (left_out.file, left_out.line, left_out.entry) == ("10-test.xml", 2, "OSG_A")
    assert reason in left_out.reason


def test_an_entry_of_an_arc_ce_waits_for_a_credential(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"gridtype": "arc", "gatekeeper": "https://arc.a.org:443/arex/rest/1.0"}
    table = _converted(entry_xml("OSG_A", **changes), folder=tmp_path).tables["OSG_A"]
    assert (table["grid_resource"], table["enabled"]) == ("arc https://arc.a.org:443/arex/rest/1.0", False)
    assert "needs scitokens_file" in table["reason"]


@pytest.mark.parametrize(
    ("attributes", "submit", "rsl", "cores"),
    [
        ({"GLIDEIN_CPUS": ("string", "auto"), "GLIDEIN_ESTIMATED_CPUS": ("string", "32")}, {}, "", 32),
        ({"GLIDEIN_CPUS": None}, {"+xcount": "4"}, "", 4),
        ({"GLIDEIN_CPUS": None}, {}, "(count=2)(memory=4000)", 2),
        ({"GLIDEIN_CPUS": None}, {}, "", 1),
    ],
)
def test_cores_are_found_wherever_they_are_said(
    tmp_path: Path, attributes: dict[str, Any], submit: dict[str, str], rsl: str, cores: int
) -> None:
    xml = entry_xml("OSG_A", attributes=attributes, submit=submit, rsl=rsl)
    assert _converted(xml, folder=tmp_path).tables["OSG_A"]["cores"] == cores


def test_memory_for_each_core_is_multiplied(tmp_path: Path) -> None:
    xml = entry_xml("OSG_A", attributes={"GLIDEIN_MaxMemMBs": None}, rsl="(count=8)(memory=2500)")
    assert _converted(xml, folder=tmp_path).tables["OSG_A"]["memory_mib"] == 20000


def test_a_resource_is_found_by_the_host_where_the_name_is_unknown(tmp_path: Path) -> None:
    converted = _converted(entry_xml("OSG_A"), folder=tmp_path, resources={"ce.a.org": "A-CE1"})
    assert converted.tables["OSG_A"]["resource"] == "A-CE1"


def test_the_later_file_replaces_an_entry_of_the_same_name(tmp_path: Path) -> None:
    early = read_entry(tmp_path, entry_xml("OSG_A"), "10-early.xml")
    late = read_entry(tmp_path, entry_xml("OSG_A", enabled="False", comment="moved"), "15-late.xml")
    converted = convert([late, early], resources={})
    assert converted.tables["OSG_A"]["reason"] == "moved"
    (left_out,) = converted.left_out
    assert left_out.file == "10-early.xml"
    assert "15-late.xml:2" in left_out.reason


@needs_shared_data
def test_production_entries_become_ours_and_read_the_same_again() -> None:
    files = read_files((SHARED_DATA / "gfactory").glob("*.xml"))
    given_entries = [entry for file in files for entry in file.entries]
    converted = convert(given_entries, resources={})
    assert len(converted.tables) + len(converted.left_out) == 471
    policy, faults = read_policy(policy_toml(converted), "policy.toml")
    assert not faults, faults
    known = {table["resource"]: KnownResource(site="SITE") for table in converted.tables.values()}
    text = "\n".join(map(entry_toml, converted.tables.values()))
    found, wrong = read_entries(text, "entries.toml", vocabulary=policy.vocabulary, resources=known)
    assert not wrong, wrong
    assert len(found) == len(converted.tables) > 200
    again = read_entries(_written(found), "entries.toml", vocabulary=policy.vocabulary, resources=known)
    assert again == (found, ())
    assert {entry.name: dict(entry.attributes) for entry in found} == {
        name: dict(table["attributes"]) for name, table in converted.tables.items()
    }
