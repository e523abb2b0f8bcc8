"""Reading the XML of a glideinWMS factory."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.shared_data import SHARED_DATA, needs_shared_data
from tests.unit.factory.foreign_file import entry_xml, read_entry, write_file

from opengoc.base.errors import InvalidInput
from opengoc.factory.formats.foreign import in_force
from opengoc.factory.formats.glideinwms import read_file, read_files


def test_everything_that_an_entry_says_is_kept(tmp_path: Path) -> None:
    xml = entry_xml(
        "OSG_A",
        attributes={"GLIDEIN_Country": ("string", "FR")},
        caps={"cms:frontend": (7, 6, 5)},
        submit={"+maxMemory": "16000"},
        rsl="(queue=long)",
        comment="for &quot;now&quot;",
    )
    entry = read_entry(tmp_path, xml)
    assert (entry.file, entry.name, entry.line, entry.enabled) == ("10-test.xml", "OSG_A", 2, True)
    assert (entry.grid_type, entry.gatekeeper) == ("condor", "ce.a.org ce.a.org:9619")
    assert entry.given == {
        "auth_method": "scitoken",
        "trust_domain": "grid",
        "rsl": "(queue=long)",
        "comment": 'for "now"',
    }
    memory = entry.attribute("GLIDEIN_MaxMemMBs")
    assert memory is not None
    assert (memory.type, memory.value, memory.flags) == ("int", "16000", {"publish": "True"})
    assert memory.line > entry.line
    assert [(each.name, each.value) for each in entry.submit] == [("+maxMemory", "16000")]
    assert [(each.scope, dict(each.caps)) for each in entry.limits] == [
        ("per_entry", {"glideins": "100", "idle": "20", "held": "10"}),
        ("default_per_frontend", {"glideins": "50", "idle": "10", "held": "5"}),
        ("cms:frontend", {"glideins": "7", "idle": "6", "held": "5"}),
    ]
    (config,) = entry.rest
    assert [(part["tag"], part["attributes"]) for part in config["children"]] == [
        ("release", {"max_per_cycle": "20", "sleep": "0.2"}),
        ("submit", {"cluster_size": "10"}),
    ]


@needs_shared_data
def test_every_attribute_of_the_production_files_is_read() -> None:
    files = read_files((SHARED_DATA / "gfactory").glob("*.xml"))
    entries = [entry for file in files for entry in file.entries]
    assert (len(files), len(entries), sum(entry.enabled for entry in entries)) == (7, 471, 244)
    assert sum(len(entry.attributes) for entry in entries) == 4733
    assert sum(len(entry.submit) for entry in entries) == 1094
    assert sum(len(entry.per_frontend) for entry in entries) == 3
    # 34 names stand in two files: the later file replaces the earlier one.
    assert (len(in_force(entries)), sum(each.enabled for each in in_force(entries).values())) == (437, 214)


def test_every_fault_of_a_file_is_named_with_its_line_and_entry(tmp_path: Path) -> None:
    broken = '<entry name="B" gatekeeper="b" enabled="yes">\n<attrs>\n<attr name="X"/>\n</attrs>\n</entry>'
    file = write_file(tmp_path / "10-a.xml", entry_xml("A"), broken, '<entry name="C"/>')
    with pytest.raises(InvalidInput) as refused:
        read_file(file)
    said = str(refused.value)
    first = 1 + len(entry_xml("A").splitlines()) + 1
    assert str(file) in said
    assert f"line {first}: entry B: enabled must be True or False, not 'yes'" in said
    assert f"line {first + 2}: entry B: <attr> X has no value" in said
    assert f"line {first + 5}: entry C: needs a gatekeeper" in said


@pytest.mark.parametrize(
    ("text", "where", "rule"),
    [
        ("<glidein>\n<entries>\n</glidein>", ":3", "well-formed"),
        ("", ":1", "well-formed"),
        ("<frontend/>", ":1", "must be <glidein>"),
        ('<entry name="a" name="b"/>', ":1", "well-formed"),
        (
            '<!DOCTYPE g [\n<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<glidein>&b;</glidein>',
            ":1",
            "entities are not read",
        ),
        (
            '<!DOCTYPE g [<!ENTITY x SYSTEM "file:///etc/passwd">]><glidein>&x;</glidein>',
            ":1",
            "entities are not read",
        ),
        ('<!DOCTYPE g SYSTEM "http://127.0.0.1/x.dtd"><glidein/>', ":1", "entities are not read"),
        ("<glidein>" * 60, ":1", "elements deep"),
    ],
)
def test_anything_but_plain_xml_is_refused_with_its_place(
    tmp_path: Path, text: str, where: str, rule: str
) -> None:
    file = tmp_path / "10-bad.xml"
    file.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_file(file)
    assert refused.value.where == f"{file}{where}"
    assert rule in refused.value.rule


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_file(tmp_path / folder / "10.xml", entry_xml("A"))
    with pytest.raises(InvalidInput, match="has the name of"):
        read_files([tmp_path / "a" / "10.xml", tmp_path / "b" / "10.xml"])


def test_hosts_come_from_every_form_of_a_gatekeeper(tmp_path: Path) -> None:
    forms = {
        "ce.a.org ce.a.org:9619": ("ce.a.org",),
        "ce.a.org:8443/cream-pbs-x": ("ce.a.org",),
        "https://arc.b.org:443/arex": ("arc.b.org",),
        "osg@login.c.org": ("login.c.org",),
    }
    for gatekeeper, hosts in forms.items():
        assert read_entry(tmp_path, entry_xml("A", gatekeeper=gatekeeper)).hosts == hosts
