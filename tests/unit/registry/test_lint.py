"""A tree with faults: every one is found at once, named by file and line."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from opengoc.base.errors import InvalidInput
from opengoc.registry.findings import FaultyTree, Grade
from opengoc.registry.lint import lint_tree, read_sound_tree

EXAMPLE = Path(__file__).parents[2] / "data" / "registry" / "example"
FACILITY = "topology/Example University Grid"
CONDOR = f"{FACILITY}/ITB-CONDOR/ITB-CONDOR.yaml"
SLURM = f"{FACILITY}/ITB-SLURM/ITB-SLURM.yaml"
DOWNTIMES = f"{FACILITY}/ITB-SLURM/ITB-SLURM_downtime.yaml"
DATA = Path(os.environ.get("GOC_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "topology"
CMS = "virtual-organizations/cms.yaml"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the example to break."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "tree"))


def edit(tree: Path, name: str, old: str, new: str) -> None:
    path = tree / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def found(tree: Path) -> list[str]:
    return [f"{finding.grade}: {finding}" for finding in lint_tree(tree)[1]]


def test_the_example_has_no_fault() -> None:
    entries, findings = lint_tree(EXAMPLE)
    assert findings == ()
    assert {
        kind: len(entries.of(kind)) for kind in ("facility", "site", "group", "resource", "vo", "downtime")
    } == {
        "facility": 1,
        "site": 3,
        "group": 3,
        "resource": 4,
        "vo": 2,
        "downtime": 1,
    }


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "rule"),
    [
        (CONDOR, "    FQDN: ce", "    Hostname: x\n    FQDN: ce", 10, "is not a key of a resource here"),
        (CONDOR, "FQDN: ce.itb-condor.example.org", "FQDN: ce", 6, "must be a full host name"),
        (CONDOR, "    FQDN: ce.itb-condor.example.org\n", "", 6, "is missing"),
        (CONDOR, "Active: true", "Active: perhaps", 8, "must be true or false"),
        (CONDOR, "ID: 1111", "ID: first", 7, "must be a whole number"),
        (CONDOR, "      CE:", "      Computing Element:", 6, "is no known kind of service"),
        (CONDOR, "[cms, ligo]", "[cms, atlas]", 6, "is no vo of the tree"),
        (CONDOR, "AllowedVOs: [cms, ligo]", "AllowedVOs: cms", 21, "must be a list of texts"),
        (SLURM, "  ITB-SLURM-CE:", "  ITB-CONDOR-CE:", 6, "is the name of the resource at"),
        (CONDOR, "Primary: {ID: c-admin}", "Primary: {Nme: x}", 13, "is missing"),
        (CONDOR, "Resources:", "Resources: [1]\nThings:", 5, "must be a table"),
        (SLURM, "Production: false", "Production: false\nProduction: true", 2, "stands at line 1 already"),
        (DOWNTIMES, "ITB-SLURM-CE", "ITB-SLURM-SE", 1, "is no resource of the tree"),
        (DOWNTIMES, "EndTime: Nov 14", "EndTime: Nov 13", 7, "must be after StartTime"),
        (DOWNTIMES, "Nov 14, 2026 06:00 +0000", "14/11/2026", 6, "must be a time such as"),
        (DOWNTIMES, "Nov 14, 2026 06:00 +0000", "2026-11-14T06:00:00", 6, "must be a time such as"),
        (DOWNTIMES, "Severity: Outage", "Severity: Bad", 4, "must be one of: Outage, Severe"),
        (DOWNTIMES, "- ID: 9001\n  Class", "- Class", 1, "a downtime needs one"),
        (DOWNTIMES, "  - CE", "  - Computing", 1, "is no known kind of service"),
        (DOWNTIMES, "- ID: 9001", "- ID: 9001\n  Reason: x", 2, "is not a key of a downtime here"),
        (CMS, "ID: 3", "ID: 3\nName: atlas", 2, "must be the file's name, cms"),
        (CMS, "ID: 3", "ID: 3\nParentVO: {Name: atlas}", 1, "is no vo of the tree"),
        (f"{FACILITY}/ITB-SLURM/SITE.yaml", "Latitude: 41.79", "Latitude: 141.79", 1, "must lie between"),
        ("contacts.yaml", "Email: admin@itb.example.org", "Email: nobody", 1, "must be user@host"),
    ],
)
def test_a_fault_is_named_with_its_file_and_line(
    tree: Path, name: str, old: str, new: str, line: int, rule: str
) -> None:
    edit(tree, name, old, new)
    faults = [text for text in found(tree) if text.startswith("fault")]
    assert any(text.startswith(f"fault: {name}:{line}: ") and rule in text for text in faults), faults


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        (SLURM, "ce.itb-slurm.example.org", "CE.ITB-CONDOR.example.org", "offers CE for the resource at"),
        (SLURM, "ID: 1211", "ID: 1111", "this entry goes by name"),
        (SLURM, "[cms, ligo]", "[CMS, ligo]", "is written cms where that VO stands"),
        (DOWNTIMES, "  - CE", "  - Squid", "is no service of ITB-SLURM-CE"),
        (CMS, "- cms", "- uscms", "is no reporting-group of the tree"),
        (CMS, "- cms", "{ReportingGroup: {Name: null}}", "must be a list of names"),
        (CMS, "- ID: c-cms", "- ID: c-cms\n    Name: Somebody else", "is not named as at"),
    ],
)
def test_what_can_be_taken_but_was_hardly_meant_is_a_doubt(
    tree: Path, name: str, old: str, new: str, rule: str
) -> None:
    edit(tree, name, old, new)
    if "{ReportingGroup" in new:
        edit(tree, name, "ReportingGroups:\n{", "ReportingGroups: {")
    texts = found(tree)
    assert len(texts) == 1
    assert texts[0].startswith("doubt")
    assert rule in texts[0]


def test_all_faults_of_all_files_come_at_once(tree: Path) -> None:
    edit(tree, CONDOR, "ID: 1111", "ID: first")
    edit(tree, SLURM, "FQDN: ce.itb-slurm.example.org", "FQDN: ce")
    (tree / CMS).write_bytes(b"ID: 3\nLongName: \xff\n")
    with pytest.raises(FaultyTree) as refused:
        read_sound_tree(tree, strict=True)
    files = {finding.where.rpartition(":")[0] for finding in refused.value.findings}
    assert files >= {CONDOR, SLURM, CMS}
    assert all(str(finding) in str(refused.value) for finding in refused.value.findings)
    assert refused.value.where == refused.value.findings[0].where


@pytest.mark.parametrize(
    ("break_it", "where", "rule"),
    [
        (lambda tree: (tree / FACILITY / "FACILITY.yaml").unlink(), FACILITY, "has no FACILITY.yaml"),
        (
            lambda tree: (tree / FACILITY / "ITB-POOL" / "SITE.yaml").unlink(),
            f"{FACILITY}/ITB-POOL",
            "has no SITE.yaml",
        ),
        (
            lambda tree: (tree / FACILITY / "Lost.yaml").write_text("Production: true\n"),
            f"{FACILITY}/Lost.yaml",
            "is no file of this level",
        ),
        (
            lambda tree: (tree / SLURM).unlink(),
            DOWNTIMES,
            "belongs to the resource group ITB-SLURM, which is not here",
        ),
        (
            lambda tree: (tree / "virtual-organizations/CMS.yaml").write_text("ID: 4\n"),
            CMS,
            "differs from the VO at virtual-organizations/CMS.yaml:1 by case only",
        ),
        (lambda tree: (tree / SLURM).write_text("- 1\n"), SLURM, "must hold the table of a group"),
        (lambda tree: (tree / DOWNTIMES).write_text("ID: 1\n"), DOWNTIMES, "must hold a list"),
        (lambda tree: (tree / DOWNTIMES).write_text("- 1\n"), DOWNTIMES, "every item must be a downtime"),
    ],
)
def test_files_out_of_place_are_faults(
    tree: Path, break_it: Callable[[Path], object], where: str, rule: str
) -> None:
    break_it(tree)
    texts = found(tree)
    assert any(text.startswith(f"fault: {where}:1: ") and rule in text for text in texts), texts


def test_a_folder_without_a_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a registry tree"):
        lint_tree(tmp_path)


def test_a_list_of_service_kinds_in_the_tree_takes_the_place_of_the_built_in_one(tree: Path) -> None:
    (tree / "topology/services.yaml").write_text("CE: 1\nSubmit Node: 109\n")
    texts = found(tree)
    assert texts == [
        f"fault: {FACILITY}/ITB-POOL/ITB-POOL.yaml:6: 'Condor Collector': is no known kind of service"
    ]


def test_reading_passes_doubts_and_quarantines_faulty_downtimes(tree: Path) -> None:
    edit(tree, SLURM, "ID: 1211", "ID: 1111")
    edit(tree, DOWNTIMES, "EndTime: Nov 14", "EndTime: Nov 13")
    with pytest.raises(FaultyTree):
        read_sound_tree(tree, strict=True)
    sound, findings = read_sound_tree(tree, strict=False)
    assert set(sound.of("quarantined-downtime")) == {"9001"}
    assert not sound.of("downtime")
    assert sorted(finding.grade for finding in findings) == [Grade.DOUBT, Grade.FAULT]


def test_reading_still_refuses_a_faulty_resource(tree: Path) -> None:
    edit(tree, SLURM, "FQDN: ce.itb-slurm.example.org", "FQDN: ce")
    with pytest.raises(FaultyTree):
        read_sound_tree(tree, strict=False)


@pytest.mark.skipif(
    not DATA.is_dir() and os.environ.get("CI") != "true",
    reason=f"no registry of the Open Science Grid in {DATA}: set GOC_SHARED_DATA",
)
def test_the_whole_registry_of_the_open_science_grid_is_read() -> None:
    tree, findings = read_sound_tree(DATA, strict=False)
    counts = {kind: len(tree.of(kind)) for kind in ("facility", "site", "group", "resource", "vo", "project")}
    expected = {"facility": 230, "site": 405, "group": 429, "resource": 1100, "vo": 122, "project": 1567}
    assert counts == expected
    # 17 of the 3,812 end before they start.
    assert (len(tree.of("downtime")), len(tree.of("quarantined-downtime"))) == (3795, 17)
    assert {finding.kind for finding in findings if finding.grade is Grade.FAULT} == {"downtime"}
