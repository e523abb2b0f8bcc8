"""The registry as facts, on every database: import, load, export and change."""

import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.interval import Interval
from opengoc.registry.contacts import named_persons, read_contacts
from opengoc.registry.downtime import Downtime, DowntimeClass, DowntimeState, Severity
from opengoc.registry.findings import FaultyTree
from opengoc.registry.formats.persons_write import Persons
from opengoc.registry.formats.topology_write import tree_files, write_tree
from opengoc.registry.model import Contact
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import (
    ImportResult,
    add_downtime,
    cancel_downtime,
    change_downtime,
    import_tree,
    load_registry,
    reinstate_downtime,
)
from opengoc.store import facts
from opengoc.store.database import Database

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"
FACILITY = "topology/Example University Grid"
SLURM = f"{FACILITY}/ITB-SLURM"
DOWNTIMES = f"{SLURM}/ITB-SLURM_downtime.yaml"
BEFORE = datetime(2026, 11, 12, tzinfo=UTC)
DURING = datetime(2026, 11, 14, 12, tzinfo=UTC)
AFTER = datetime(2026, 11, 15, tzinfo=UTC)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the example to change."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "tree"))


def edit(tree: Path, name: str, old: str, new: str) -> None:
    path = tree / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))


def take(database: Database, tree: Path, *, now: datetime = BEFORE, strict: bool = False) -> ImportResult:
    with database.begin() as conn:
        return import_tree(conn, tree, "test", now=now, strict=strict)


def load(database: Database, known_at: datetime | None = None) -> Registry:
    with database.read() as conn:
        return load_registry(conn, known_at=known_at)


def people(database: Database) -> dict[str, Contact]:
    with database.begin() as conn:
        return read_contacts(conn, who="test", why="test")


def names(database: Database) -> Persons:
    with database.begin() as conn:
        return named_persons(conn, who="test", why="test")


def written(result: ImportResult) -> int:
    counts = (result.added, result.changed, result.retracted)
    return result.cancelled + sum(sum(count.values()) for count in counts)


def head(database: Database) -> int:
    with database.read() as conn:
        return facts.head(conn)


def known_now(database: Database) -> datetime:
    with database.begin() as conn:
        return facts.known_now(conn)


def test_it_loads_what_the_tree_says(database: Database) -> None:
    take(database, EXAMPLE)
    registry = load(database)
    resource = registry.resource("ITB-SLURM-CE")
    assert resource.fqdn == "ce.itb-slurm.example.org"
    assert resource.endpoint("CE") == "127.0.0.1:9620"
    assert registry.site_of("ITB-SLURM-CE").country == "United States"
    assert registry.facility_of("ITB-SLURM-CE").name == "Example University Grid"
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
    assert after.facility_of("Renamed-CE").id == before.facility_of("ITB-SLURM-CE").id
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


@pytest.mark.parametrize(
    ("now", "state", "cancelled"),
    [
        (BEFORE, DowntimeState.CANCELLED, 1),
        (DURING, DowntimeState.CANCELLED, 1),
        (AFTER, DowntimeState.ENDED, 0),
    ],
)
def test_a_downtime_that_vanishes_is_cancelled_before_its_end_and_archived_after(
    database: Database, tree: Path, now: datetime, state: DowntimeState, cancelled: int
) -> None:
    take(database, tree)
    (tree / DOWNTIMES).unlink()
    result = take(database, tree, now=now)
    assert result.cancelled == cancelled
    assert load(database).downtimes["9001"].state(now) is state
    assert written(take(database, tree, now=now)) == 0


def test_a_past_downtime_outlives_its_resource(database: Database, tree: Path) -> None:
    take(database, tree)
    shutil.rmtree(tree / SLURM)
    take(database, tree, now=AFTER)
    assert [each.id for each in load(database).downtimes_of("ITB-SLURM-CE")] == ["9001"]


def test_a_downtime_that_returns_to_the_tree_stands_again(database: Database, tree: Path) -> None:
    take(database, tree)
    content = (tree / DOWNTIMES).read_text()
    (tree / DOWNTIMES).unlink()
    take(database, tree)
    (tree / DOWNTIMES).write_text(content)
    assert take(database, tree).changed["downtime"] == 1
    assert not load(database).downtimes["9001"].cancelled


def announce(database: Database, *, now: datetime = BEFORE, **changes: Any) -> Downtime:
    given_fields: dict[str, Any] = {
        "resource": "ITB-CONDOR-CE",
        "interval": Interval(DURING, AFTER),
        "severity": Severity.OUTAGE,
        "description": "Cooling",
        "who": "operator",
    }
    with database.begin() as conn:
        return add_downtime(conn, now=now, **(given_fields | changes))


def test_an_announced_downtime_is_in_the_registry_and_no_import_touches_it(database: Database) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    assert downtime.services == ("CE",)
    assert load(database).downtimes[downtime.id] == downtime
    assert load(database).in_outage("ITB-CONDOR-CE", DURING)
    assert written(take(database, EXAMPLE)) == 0
    assert load(database).in_outage("ITB-CONDOR-CE", DURING)


def test_a_downtime_announced_after_it_began_is_taken_and_unscheduled(database: Database) -> None:
    take(database, EXAMPLE)
    late = announce(database, now=AFTER + timedelta(days=30))
    assert late.derived_class() is DowntimeClass.UNSCHEDULED
    assert load(database).in_outage("ITB-CONDOR-CE", DURING)


@pytest.mark.parametrize("changes", [{"resource": "nowhere"}, {"services": ["Squid"]}])
def test_a_downtime_of_nothing_is_refused(database: Database, changes: dict[str, Any]) -> None:
    take(database, EXAMPLE)
    before = head(database)
    with pytest.raises(InvalidInput):
        announce(database, **changes)
    assert head(database) == before


def test_a_change_is_a_new_version_however_late(database: Database) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    before = known_now(database)
    shorter = Interval(DURING, DURING + timedelta(hours=1))
    with database.begin() as conn:
        change_downtime(conn, downtime.id, who="operator", why="done early", interval=shorter)
    assert load(database).downtimes[downtime.id].interval == shorter
    assert load(database, before).downtimes[downtime.id].interval == downtime.interval
    with database.read() as conn:
        versions = facts.history(conn, "downtime", downtime.id)
    assert [(version.version, version.why) for version in versions] == [(1, "Cooling"), (2, "done early")]
    assert versions[1].valid == shorter


def test_cancelling_twice_is_cancelling_once_and_can_be_taken_back(database: Database) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    before = known_now(database)
    for _ in range(2):
        with database.begin() as conn:
            cancelled = cancel_downtime(conn, downtime.id, who="operator", why="not needed", now=DURING)
    assert cancelled.cancelled_at == DURING
    assert not load(database).in_outage("ITB-CONDOR-CE", DURING)
    assert load(database, before).in_outage("ITB-CONDOR-CE", DURING)
    with database.begin() as conn:
        reinstate_downtime(conn, downtime.id, who="operator", why="needed after all")
        assert len(facts.history(conn, "downtime", downtime.id)) == 3
    assert load(database).in_outage("ITB-CONDOR-CE", DURING)


def test_a_cancellation_here_stands_until_the_tree_says_something_new(database: Database, tree: Path) -> None:
    take(database, tree)
    with database.begin() as conn:
        cancel_downtime(conn, "9001", who="operator", why="not needed")
    assert written(take(database, tree)) == 0
    assert load(database).downtimes["9001"].cancelled
    edit(tree, DOWNTIMES, "18:00 +0000", "20:00 +0000")
    assert take(database, tree).changed["downtime"] == 1
    assert not load(database).downtimes["9001"].cancelled


def test_a_tree_that_returns_to_an_older_wording_says_something_new(database: Database, tree: Path) -> None:
    take(database, tree)
    edit(tree, DOWNTIMES, "18:00 +0000", "20:00 +0000")
    take(database, tree)
    with database.begin() as conn:
        cancel_downtime(conn, "9001", who="operator", why="not needed")
    edit(tree, DOWNTIMES, "20:00 +0000", "18:00 +0000")
    assert take(database, tree).changed["downtime"] == 1
    assert not load(database).downtimes["9001"].cancelled


def test_a_downtime_announced_here_and_exported_is_not_revived_by_the_export(
    database: Database, tmp_path: Path
) -> None:
    take(database, EXAMPLE)
    downtime = announce(database)
    write_tree(load(database), tmp_path / "out", persons=names(database))
    with database.begin() as conn:
        cancel_downtime(conn, downtime.id, who="operator", why="not needed")
    assert written(take(database, tmp_path / "out")) == 0
    assert load(database).downtimes[downtime.id].cancelled


def test_unknown_downtimes_are_refused(database: Database) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput, match="is no downtime"):
        cancel_downtime(conn, "dt-none", who="operator", why="x")


def test_a_change_decided_on_an_old_version_is_a_conflict(database: Database) -> None:
    take(database, EXAMPLE)
    with database.begin() as conn:
        fact = facts.get(conn, "downtime", "9001")
        assert fact is not None
        cancel_downtime(conn, "9001", who="operator", why="not needed")
        with pytest.raises(Conflict):
            facts.retract(conn, kind="downtime", key="9001", who="other", expect=fact.version)


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


def test_an_export_never_writes_into_a_folder_that_holds_something(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InvalidInput, match="empty or new folder"):
        write_tree(load(database), tmp_path)


_letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/")
_names = (
    st.text(_letters, min_size=1, max_size=12)
    .map(lambda text: normalize("NFC", text).strip())
    .filter(lambda name: bool(name) and not name.startswith(".") and name not in ("SITE", "FACILITY"))
    .filter(lambda name: len(name.encode()) < 60)
)
_moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_numbers = st.none() | st.integers(1, 30)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Any]:
    """Files of a sound tree: path → content. Few names and numbers, so that two trees have much in common."""
    files: dict[str, Any] = {}
    resources: list[str] = []
    for facility in draw(st.lists(st.sampled_from("ABC") | _names, max_size=2, unique=True)):
        files[f"topology/{facility}/FACILITY.yaml"] = {"ID": draw(_numbers)}
        for number in range(draw(st.integers(0, 2))):
            site = f"{facility} {number}"
            files[f"topology/{facility}/{site}/SITE.yaml"] = {"ID": draw(_numbers), "City": draw(_names)}
            group: dict[str, Any] = {}
            for each in range(draw(st.integers(1, 2))):
                name = f"{site} CE{each}"
                resources.append(name)
                group[name] = {
                    "ID": draw(_numbers),
                    "FQDN": f"ce{len(resources)}.example.org",
                    "Active": draw(st.booleans()),
                    "Services": {"CE": {"Description": draw(_names)}},
                    "AllowedVOs": ["ANY"],
                    "WLCGInformation": {"KSI2KMax": draw(st.integers(0, 9))},
                }
            files[f"topology/{facility}/{site}/{site}.yaml"] = {"Production": True, "Resources": group}
    if not files:
        files["topology/A/FACILITY.yaml"] = {}
    for number in draw(st.lists(st.integers(1, 6), unique=True, max_size=4) if resources else st.just([])):
        resource = draw(st.sampled_from(resources))
        start = draw(_moments)
        downtime = {
            "ID": number,
            "ResourceName": resource,
            "Services": ["CE"],
            "Severity": draw(st.sampled_from([each.value for each in Severity])),
            "StartTime": start.isoformat(),
            "EndTime": (start + timedelta(seconds=draw(st.integers(1, 10**6)))).isoformat(),
            "Description": draw(_names),
        }
        site, _, _ = resource.rpartition(" ")
        facility, _, _ = site.rpartition(" ")
        files.setdefault(f"topology/{facility}/{site}/{site}_downtime.yaml", []).append(downtime)
    return files


def spread(files: Mapping[str, Any], root: Path) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return root


def as_said(registry: Registry) -> dict[str, Any]:
    """What a tree can say of a registry: no ids, no ended downtimes that it dropped."""
    return tree_files(registry)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=trees())
def test_import_export_import_is_no_change_whatever_stood_before(
    database: Database, files: dict[str, Any]
) -> None:
    """Examples share one database: each import also has to take back what the one before said."""
    with tempfile.TemporaryDirectory() as folder:
        given_tree = spread(files, Path(folder) / "given")
        # Lenient: numbers drawn from few are often used twice, which is a doubt.
        take(database, given_tree)
        loaded = load(database)
        assert set(loaded.facilities) == {name.split("/")[1] for name in files}
        before = head(database)
        write_tree(loaded, Path(folder) / "out", persons=names(database))
        exported = take(database, Path(folder) / "out")
        again = take(database, given_tree)
        assert (written(exported), written(again)) == (0, 0)
        assert head(database) == before


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=trees(), second=trees())
def test_what_was_known_before_an_import_stays_what_was_known(
    database: Database, first: dict[str, Any], second: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        take(database, spread(first, Path(folder) / "first"))
        moment = known_now(database)
        said = as_said(load(database))
        take(database, spread(second, Path(folder) / "second"))
        assert as_said(load(database, moment)) == said
