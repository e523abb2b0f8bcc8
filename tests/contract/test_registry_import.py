"""The registry as facts, on every database: what an import adds, changes, takes back and keeps apart."""

import shutil
from pathlib import Path

import pytest
from tests.contract.registry_trees import (
    AFTER,
    DOWNTIMES,
    DURING,
    EXAMPLE,
    FACILITY,
    SLURM,
    copied,
    edit,
    head,
    known_now,
    load,
    people,
    take,
    written,
)

from opengoc.registry.downtime import DowntimeClass, DowntimeState
from opengoc.registry.findings import FaultyTree
from opengoc.registry.formats.topology_write import tree_files, write_tree
from opengoc.store import facts
from opengoc.store.database import Database


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the example to change."""
    return copied(tmp_path)


def test_it_loads_what_the_tree_says(database: Database) -> None:
    take(database, EXAMPLE)
    registry = load(database)
    resource = registry.resource("ITB-SLURM-CE")
    assert resource.fqdn == "ce.itb-slurm.example.org"
    assert resource.endpoint("CE") == "127.0.0.1:9620"
    assert registry.site_of("ITB-SLURM-CE").country == "United States"
    assert registry.site_of("ITB-SLURM-CE").facility == "Example University Grid"
    vo = registry.vo("CMS")
    assert vo is not None
    assert [str(fqan) for fqan in vo.fqans] == ["/cms", "/cms/Role=pilot"]
    assert vo.fields_of_science == ("High Energy Physics",)
    downtime = registry.downtimes["9001"]
    assert downtime.resource_id == resource.id
    assert downtime.derived_class() is DowntimeClass.SCHEDULED
    assert {role.role for _, _, role in registry.roles()} >= {"Administrative Contact", "Security Contact"}


def test_an_empty_registry_is_empty_and_no_error(database: Database) -> None:
    registry = load(database)
    assert (registry.sites, registry.downtimes, registry.vo("cms")) == ({}, {}, None)


def test_importing_twice_writes_nothing(database: Database) -> None:
    assert written(take(database, EXAMPLE)) > 0
    before = head(database)
    result = take(database, EXAMPLE, now=AFTER)
    assert written(result) == 0
    assert sum(result.unchanged.values()) == 19
    assert head(database) == before


def test_a_faulty_tree_leaves_the_registry_as_it_was(database: Database, tree: Path) -> None:
    take(database, tree)
    before = head(database)
    edit(tree, f"{FACILITY}/ITB-CONDOR/SITE.yaml", "Example City", "Elsewhere")
    edit(tree, f"{SLURM}/ITB-SLURM.yaml", "ce.itb-slurm.example.org", "ce")
    with pytest.raises(FaultyTree):
        take(database, tree)
    assert head(database) == before


def test_an_edit_is_one_new_version_and_the_old_answer_stays(database: Database, tree: Path) -> None:
    take(database, tree)
    before = known_now(database)
    edit(tree, f"{FACILITY}/ITB-CONDOR/SITE.yaml", "Example City", "Elsewhere")
    result = take(database, tree)
    assert written(result) == 1
    assert load(database).site("ITB-CONDOR").city == "Elsewhere"
    assert load(database, before).site("ITB-CONDOR").city == "Example City"


def test_ids_survive_renames(database: Database, tree: Path) -> None:
    take(database, tree)
    before = load(database)
    (tree / SLURM / "ITB-SLURM_downtime.yaml").rename(tree / SLURM / "Cluster_downtime.yaml")
    (tree / SLURM / "ITB-SLURM.yaml").rename(tree / SLURM / "Cluster.yaml")
    (tree / SLURM).rename(tree / FACILITY / "Renamed site")
    edit(tree, f"{FACILITY}/Renamed site/Cluster.yaml", "ITB-SLURM-CE", "Renamed-CE")
    edit(tree, f"{FACILITY}/Renamed site/Cluster_downtime.yaml", "ITB-SLURM-CE", "Renamed-CE")
    (tree / FACILITY).rename(tree / "topology" / "Renamed University")
    result = take(database, tree)
    assert sum(result.added.values()) == 0
    assert sum(result.retracted.values()) == 0
    # Who refers by id does not change: neither the downtime, nor what stands below a renamed folder.
    assert {kind: count for kind, count in result.changed.items() if count} == {
        "facility": 1,
        "site": 1,
        "group": 1,
        "resource": 1,
    }
    after = load(database)
    assert after.resource("Renamed-CE").id == before.resource("ITB-SLURM-CE").id
    assert after.site("Renamed site").id == before.site("ITB-SLURM").id
    assert after.site_of("Renamed-CE").id == before.site_of("ITB-SLURM-CE").id
    assert [each.id for each in after.downtimes_of("Renamed-CE")] == ["9001"]


def test_an_entry_without_a_number_keeps_the_id_it_was_given(database: Database, tree: Path) -> None:
    edit(tree, f"{SLURM}/ITB-SLURM.yaml", "    ID: 1211\n", "")
    take(database, tree)
    given_id = load(database).resource("ITB-SLURM-CE").id
    edit(tree, f"{SLURM}/ITB-SLURM.yaml", "    Active: true\n", "    Active: true\n    ID: 77\n")
    take(database, tree)
    assert load(database).resource("ITB-SLURM-CE").id == given_id


def test_what_vanishes_is_retracted_with_a_reason_and_stays_in_the_past(
    database: Database, tree: Path
) -> None:
    take(database, tree)
    before = known_now(database)
    shutil.rmtree(tree / SLURM)
    result = take(database, tree, now=AFTER)
    assert dict(result.retracted) == {"resource": 1, "group": 1, "site": 1}
    assert "ITB-SLURM-CE" not in load(database).resources
    assert "ITB-SLURM-CE" in load(database, before).resources
    with database.read() as conn:
        last = facts.history(conn, "resource", "1211")[-1]
    assert (last.value, last.who, last.why) == (None, "test", "vanished from the tree")


@pytest.mark.parametrize("number", ["    ID: 1211\n", ""])
def test_what_comes_back_has_the_id_it_had(database: Database, tree: Path, number: str) -> None:
    edit(tree, f"{SLURM}/ITB-SLURM.yaml", "    ID: 1211\n", number)
    take(database, tree)
    given_id = load(database).resource("ITB-SLURM-CE").id
    hidden = tree.parent / "hidden"
    (tree / SLURM).rename(hidden)
    take(database, tree)
    hidden.rename(tree / SLURM)
    take(database, tree)
    assert load(database).resource("ITB-SLURM-CE").id == given_id


def test_a_newcomer_does_not_get_the_id_of_what_was_renamed(database: Database, tree: Path) -> None:
    group = f"{SLURM}/ITB-SLURM.yaml"
    edit(tree, group, "    ID: 1211\n", "")
    take(database, tree)
    old = load(database).resource("ITB-SLURM-CE").id
    (tree / DOWNTIMES).unlink()
    edit(tree, group, "    Active: true\n", "    Active: true\n    ID: 77\n")
    take(database, tree)
    edit(tree, group, "  ITB-SLURM-CE:", "  Renamed-CE:")
    edit(tree, f"{FACILITY}/ITB-POOL/ITB-POOL.yaml", "  vo-pool:\n    ID: 1011\n", "  ITB-SLURM-CE:\n")
    take(database, tree)
    registry = load(database)
    assert registry.resource("Renamed-CE").id == old
    assert registry.resource("ITB-SLURM-CE").id != old


def test_another_resource_of_the_same_name_does_not_inherit_downtimes_in_an_export(
    database: Database, tree: Path
) -> None:
    take(database, tree)
    (tree / DOWNTIMES).unlink()
    edit(tree, f"{SLURM}/ITB-SLURM.yaml", "  ITB-SLURM-CE:\n    ID: 1211\n", "  Other-CE:\n    ID: 5\n")
    take(database, tree, now=AFTER)
    edit(tree, f"{SLURM}/ITB-SLURM.yaml", "  Other-CE:\n    ID: 5\n", "  ITB-SLURM-CE:\n    ID: 6\n")
    take(database, tree, now=AFTER)
    assert DOWNTIMES not in tree_files(load(database))


def test_a_faulty_downtime_is_quarantined_and_what_stands_stays(database: Database, tree: Path) -> None:
    take(database, tree)
    edit(tree, DOWNTIMES, "EndTime: Nov 14", "EndTime: Nov 13")
    result = take(database, tree)
    assert (dict(result.added)["quarantined-downtime"], written(result), result.quarantined) == (1, 1, 1)
    assert len(result.findings) == 1
    registry = load(database)
    assert registry.downtimes["9001"].state(DURING) is DowntimeState.ACTIVE
    assert registry.quarantined["9001"].reasons == ("'Nov 13, 2026 18:00 +0000' must be after StartTime",)
    assert written(take(database, tree)) == 0


def test_a_quarantined_downtime_that_is_corrected_in_the_tree_leaves_the_quarantine(
    database: Database, tree: Path
) -> None:
    edit(tree, DOWNTIMES, "EndTime: Nov 14", "EndTime: Nov 13")
    take(database, tree)
    assert set(load(database).downtimes) == set()
    edit(tree, DOWNTIMES, "EndTime: Nov 13", "EndTime: Nov 14")
    take(database, tree)
    assert (set(load(database).downtimes), load(database).quarantined) == ({"9001"}, {})


def test_a_strict_import_refuses_what_would_be_quarantined(database: Database, tree: Path) -> None:
    edit(tree, DOWNTIMES, "EndTime: Nov 14", "EndTime: Nov 13")
    with pytest.raises(FaultyTree):
        take(database, tree, strict=True)


def test_naming_persons_by_id_alone_takes_no_name_back(database: Database, tmp_path: Path) -> None:
    take(database, EXAMPLE)
    write_tree(load(database), tmp_path / "out")
    assert not (tmp_path / "out" / "contacts.yaml").exists()
    assert written(take(database, tmp_path / "out")) == 0
    assert "Site administrator of the testbed" in [contact.name for contact in people(database).values()]
