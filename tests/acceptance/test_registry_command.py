"""The registry of the Open Science Grid, in and out again, from outside."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.acceptance.shared_data import SHARED_DATA, needs_shared_data
from tests.command import answer, goc

pytestmark = [pytest.mark.acceptance, needs_shared_data]

TREE = SHARED_DATA / "topology"
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: What a file says by saying nothing.
DEFAULTS = {"Active": True, "Disable": False, "Production": True}
#: File → what of it is written otherwise; each means the same, or was a doubt of the import.
WRITTEN_OTHERWISE = (
    {
        f"projects/Project{number}.yaml": "the sponsor's ID stands in the sponsor's own file"
        for number in ("0100", "0492", "0758")
    }
    | {
        f"virtual-organizations/{name}.yaml": "Name repeats the name of the file"
        for name in ("ACCRE", "ET", "MOLLER", "NSG", "PATh", "VDC", "dteam")
    }
    | {
        "virtual-organizations/ARA.yaml": "OASIS managers as a list, as everywhere else",
        **dict.fromkeys(
            (
                "topology/Georgia Institute of Technology/Georgia Tech/Georgia Tech PACE OSG 2.yaml",
                "topology/Universidade do Estado do Rio de Janeiro/T2_BR_UERJ/UERJ.yaml",
            ),
            "Details is a text where a table is meant: a doubt, left out",
        ),
        **dict.fromkeys(
            (
                "topology/The University of Texas at Arlington/SWT2 ATLAS UTA/SWT2_CPB.yaml",
                "topology/University of Connecticut/UConn-HPC/UConn-HPC.yaml",
                "topology/University of Oklahoma/OU ATLAS/OU_OSCER_ATLAS.yaml",
            ),
            "details that stood beside Details stand in it",
        ),
    }
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with the whole registry in it."""
    home = tmp_path_factory.mktemp("registry") / "home"
    done = goc(home, "registry", "import", str(TREE), "--json")
    assert done.returncode == 0, done.stderr
    yield home


def test_the_whole_registry_is_imported_and_it_is_said_what_was_set_apart(tmp_path: Path) -> None:
    done = goc(tmp_path / "home", "registry", "import", str(TREE), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    added = {
        kind: result["added"][kind] for kind in ("facility", "site", "group", "resource", "vo", "project")
    }
    assert added == {
        "facility": 230,
        "site": 405,
        "group": 429,
        "resource": 1100,
        "vo": 122,
        "project": 1567,
    }
    # 17 of the 3,812 end before they start.
    assert (result["added"]["downtime"], result["quarantined"]) == (3795, 17)
    assert done.stderr.count("must be after StartTime") == 17


def test_importing_again_writes_nothing(home: Path) -> None:
    result = answer(home, "registry", "import", str(TREE))
    assert not any(result["added"].values())
    assert not any(result["changed"].values())
    assert not result["retracted"]


def test_a_strict_import_names_every_reason_and_changes_nothing(tmp_path: Path) -> None:
    done = goc(tmp_path, "registry", "import", str(TREE), "--strict")
    assert done.returncode == 3
    assert "must be after StartTime" in done.stderr
    assert answer(tmp_path, "registry", "show")["site"] == 0


def test_the_export_says_what_the_tree_says(home: Path, tmp_path: Path) -> None:
    answer(home, "registry", "export", str(tmp_path / "out"), "--persons", "--why", "comparison")
    given, written = _files(TREE), _files(tmp_path / "out")
    assert given.keys() == written.keys()
    different = {name for name in given if _meaning(given[name]) != _meaning(written[name])}
    assert different == set(WRITTEN_OTHERWISE)


def test_an_export_without_names_holds_none_and_imports_back_unchanged(home: Path, tmp_path: Path) -> None:
    answer(home, "registry", "export", str(tmp_path / "out"))
    text = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.yaml"))
    assert "Contact 0" not in text
    result = answer(home, "registry", "import", str(tmp_path / "out"))
    assert not any(result["changed"].values()) and not any(result["added"].values())


def _files(root: Path) -> dict[str, Any]:
    paths = list(root.rglob("*.yaml"))
    return {
        path.relative_to(root).as_posix(): yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
        for path in paths
    }


def _meaning(value: Any) -> Any:
    """The value without what says nothing, texts without blanks at their ends, times as times."""
    if isinstance(value, dict):
        cleaned = {str(key): _meaning(item) for key, item in value.items()}
        return {
            key: item
            for key, item in cleaned.items()
            if item not in (None, "", [], {}) and str(DEFAULTS.get(key)) != item
        } or None
    if isinstance(value, list):
        found = [_meaning(item) for item in value]
        return sorted(found, key=lambda item: json.dumps(item, sort_keys=True))
    return None if value is None else _moment(str(value).strip())


def _moment(text: str) -> str:
    try:
        return datetime.strptime(text, "%b %d, %Y %H:%M %z").astimezone(UTC).isoformat()
    except ValueError:
        return text
