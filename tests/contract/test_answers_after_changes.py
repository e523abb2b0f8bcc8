"""The old answers after a change: what a fresh rendering gives, and nothing rendered that did not change."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opengoc.registry.live import LiveRegistry
from opengoc.registry.store import cancel_downtime, import_tree, load_registry
from opengoc.store.database import Database
from opengoc.web.myosg.answers import ADDRESSES, Answers
from opengoc.web.myosg.catalog import Catalog
from opengoc.web.myosg.filters import Filters, read_filters

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"
NOW = datetime(2026, 11, 14, 12, tzinfo=UTC)
ALL = Filters()
CHOSEN = read_filters([("service", "on"), ("service_1", "on"), ("downtime_attrs_showpast", "all")])
SITE = "topology/Example University Grid/ITB-SLURM"


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(tree: Path) -> None:
        text = (tree / file).read_text()
        assert old in text
        (tree / file).write_text(text.replace(old, new))

    return change


def renamed_site(tree: Path) -> None:
    (tree / SITE).rename(tree / SITE.replace("ITB-SLURM", "ITB-RENAMED"))


def removed_site(tree: Path) -> None:
    shutil.rmtree(tree / SITE)


PROJECT = """
Description: Simulation of detectors
Department: Physics
FieldOfScience: Physics
Organization: Example University
Sponsor: {VirtualOrganization: {Name: cms}}
"""

#: What is changed, and the addresses whose answers that touches.
DOWNTIMES = {"/rgdowntime/xml", "/rgdowntime/ical"}
GROUPS = {"/rgsummary/xml", "/api/resource_group_summary"}
RESOURCES = GROUPS | {"/miscresource/json"}
VOS, PROJECTS = {"/vosummary/xml", "/vosummary/json"}, {"/miscproject/xml", "/miscproject/json"}
CHANGES = {
    "a VO": (replaced("virtual-organizations/cms.yaml", "LongName:", "LongName: New #"), VOS),
    "a project": (
        replaced("projects/Example.yaml", "Department:", "Department: New #"),
        PROJECTS,
    ),
    "a site": (replaced(f"{SITE}/SITE.yaml", "City:", "City: New #"), GROUPS | {"/miscsite/json"}),
    "a support center": (replaced("topology/support-centers.yaml", "ID: 7", "ID: 9"), GROUPS),
    "a name of a site": (renamed_site, RESOURCES | {"/miscsite/json"}),
    "a site that goes": (removed_site, RESOURCES | DOWNTIMES | {"/miscsite/json"}),
}


def documents(answers: Answers) -> dict[tuple[str, str], bytes]:
    return {
        (path, name): answers.answer(path, filters, NOW).body
        for path in ADDRESSES
        for name, filters in (("all", ALL), ("chosen", CHOSEN))
    }


def take(database: Database, tree: Path) -> None:
    with database.begin() as conn:
        import_tree(conn, tree, "test", now=NOW)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the example to be changed, with a project and a support center."""
    tree = Path(shutil.copytree(EXAMPLE, tmp_path / "tree"))
    (tree / "topology/support-centers.yaml").write_text("Self Supported: {ID: 7}\n")
    (tree / "projects").mkdir()
    (tree / "projects/Example.yaml").write_text(PROJECT)
    return tree


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_answered_as_a_fresh_rendering_would_and_touches_no_other_answer(
    sqlite_database: Database, tree: Path, what: str
) -> None:
    take(sqlite_database, tree)
    answers = Answers(LiveRegistry(sqlite_database))
    documents(answers)
    before = {path: answers.answer(path, ALL, NOW) for path in ADDRESSES}
    change, touched = CHANGES[what]
    change(tree)
    take(sqlite_database, tree)
    assert documents(answers) == documents(Answers(LiveRegistry(sqlite_database)))
    after = {path: answers.answer(path, ALL, NOW) for path in ADDRESSES}
    assert {path for path in ADDRESSES if after[path].body != before[path].body} == touched
    # A support center is among what downtimes are chosen by.
    chosen_by = DOWNTIMES if what == "a support center" else set()
    assert {path for path in ADDRESSES if after[path] is not before[path]} == touched | chosen_by


def test_a_cancelled_downtime_leaves_all_but_the_downtimes_the_very_answers(
    sqlite_database: Database, tree: Path
) -> None:
    take(sqlite_database, tree)
    answers = Answers(LiveRegistry(sqlite_database))
    before = {path: answers.answer(path, ALL, NOW) for path in ADDRESSES}
    with sqlite_database.begin() as conn:
        cancel_downtime(conn, "9001", who="test", why="x")
    changed = {path for path in ADDRESSES if answers.answer(path, ALL, NOW) is not before[path]}
    assert changed == DOWNTIMES


def test_a_change_renders_the_one_resource_that_it_touches(sqlite_database: Database, tree: Path) -> None:
    take(sqlite_database, tree)
    with sqlite_database.read() as conn:
        first = Catalog(load_registry(conn))
    old = {resource.text: resource for group in first.groups() for resource in group.resources}
    replaced(f"{SITE}/ITB-SLURM.yaml", "FQDN: ", "FQDN: new.")(tree)
    take(sqlite_database, tree)
    with sqlite_database.read() as conn:
        second = Catalog(load_registry(conn), before=first)
    new = [resource for group in second.groups() for resource in group.resources]
    assert sum(resource is not old.get(resource.text) for resource in new) == 1
    assert len(new) == len(old) > 1
