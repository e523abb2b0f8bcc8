"""Records that real schedds wrote, from the shared data folder beside the project (``GOC_SHARED_DATA``)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests import command

DATA = Path(os.environ.get("GOC_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not DATA.is_dir() and os.environ.get("CI") != "true",
        reason=f"no shared data in {DATA}: set GOC_SHARED_DATA",
    ),
]


def goc(home: Path, *arguments: str) -> Any:
    done = command.goc(home, "accounting", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation that reads the per-job history files of a CREAM site, as its site's jobs."""
    folder = DATA / "accounting" / "condor-history"
    (tmp_path / "goc.toml").write_text(
        f'[[accounting]]\nname = "cream"\nkind = "condor-history"\npath = "{folder}"\n'
        'records = "pilot"\nsite = "GLOW"\n'
    )
    return tmp_path


def test_fourteen_real_jobs_are_accounted_with_the_wall_time_of_the_removed_ones(home: Path) -> None:
    (collected,) = goc(home, "collect")
    assert (collected["read"], collected["stored"], collected["quarantined"]) == (14, 14, 0)
    window = ["--from", "2010-11-01", "--to", "2010-12-01"]
    answer = goc(home, "usage", *window, "--kind", "pilot", "--by", "vo,site,status")
    rows = {row["status"]: row for row in answer["rows"]}
    # Four were removed after about 377 s and have CompletionDate = 0: they end when they were removed.
    assert {name: row["jobs"] for name, row in rows.items()} == {"completed": 10, "removed": 4}
    assert round(sum(row["wall_hours"] for row in rows.values()) * 3600) == 10_606
    assert round(rows["removed"]["wall_hours"] * 3600) == 377 + 376 + 377 + 377
    assert {(row["vo"], row["site"]) for row in rows.values()} == {("vdt", "GLOW")}


def test_the_same_real_jobs_again_change_nothing(home: Path) -> None:
    goc(home, "collect")
    again = (home / "goc.toml").read_text().replace('"cream"', '"copy"')
    (home / "goc.toml").write_text(again)
    (collected,) = goc(home, "collect")
    assert (collected["read"], collected["duplicate"]) == (14, 14)
