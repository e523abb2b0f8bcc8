"""The registry as facts, on every database: exports, and random trees that come in and go out the same."""

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
from tests.contract.registry_trees import head, known_now, load, names, take, written

from opengoc.base.errors import InvalidInput
from opengoc.registry.downtime import Severity
from opengoc.registry.formats.topology_write import tree_files, write_tree
from opengoc.registry.snapshot import Registry
from opengoc.store.database import Database


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
