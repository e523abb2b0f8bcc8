"""Usage from outside: the summary gives the same, and no published figure is made with other corrections."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.command import answer, goc

pytestmark = pytest.mark.acceptance

WEEK = ("--week", "2026-W46")
RECORDS = [
    {"global_job_id": "1", "vo": "uscms", "site": "SITE-A", "wall_seconds": 3600, "cpu_user_seconds": 1800},
    {"global_job_id": "2", "vo": "ligo", "site": "SITE-B", "wall_seconds": 60},
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two payload jobs, and a rule about the VO of one of them."""
    home, records = tmp_path / "home", tmp_path / "records.jsonl"
    same = {"ended_at": "2026-11-12T10:00:00Z", "processors": 4, "instance": "ce1"}
    records.write_text("".join(json.dumps(record | same) + "\n" for record in RECORDS))
    answer(home, "accounting", "import", str(records), "--source", "site-a", "--kind", "payload")
    answer(home, "accounting", "corrections", "add", "vo", "cms", "--on", "vo=uscms", "--why", "its name")
    return home


def test_usage_is_the_same_before_and_after_it_is_summed_up(home: Path) -> None:
    ask = ("accounting", "usage", *WEEK, "--by", "vo,site,day")
    before = answer(home, *ask)
    assert [(row["vo"], row["jobs"]) for row in before["rows"]] == [("cms", 1), ("ligo", 1)]
    assert before["summary_version"] is None
    assert answer(home, "accounting", "summarise")["partitions"] == 1
    assert answer(home, "accounting", "compact") == {"files_joined": 0}
    assert answer(home, "accounting", "vacuum", "--dry-run")["dry_run"]
    after = answer(home, *ask)
    assert (after["rows"], after["summary_version"]) == (before["rows"], 1)


def test_a_minute_is_not_written_as_no_time(home: Path) -> None:
    shown = goc(home, "accounting", "usage", *WEEK, "--by", "vo").stdout
    (row,) = [line.split("│") for line in shown.splitlines() if "ligo" in line]
    # Jobs, wall hours, core hours.
    assert [cell.strip() for cell in row[3:6]] == ["1", "0.02", "0.1"], shown


def test_a_published_week_is_not_summed_with_other_corrections_than_it_was_made_with(home: Path) -> None:
    report = answer(home, "report", "publish", *WEEK)
    as_of = ("--as-of", report["as_of"])
    again = answer(home, "accounting", "usage", *WEEK, *as_of, "--by", "vo")
    assert [row["vo"] for row in again["rows"]] == ["cms", "ligo"]
    named = answer(home, "accounting", "usage", *WEEK, "--by", "vo", "--corrections", again["corrections"])
    assert named["corrections"] == again["corrections"]
    with sqlite3.connect(home / "goc.db") as lost:
        lost.execute("DELETE FROM facts WHERE kind = 'accounting-correction'")
    for words in (("usage", *WEEK, *as_of), ("corrections", "effect", *WEEK)):
        refused = goc(home, "accounting", *words)
        assert refused.returncode != 0
        assert f"corrections {again['corrections']} of figures" in refused.stderr, refused.stderr
    # What no published figure stands for is answered with the rules there are.
    assert [row["vo"] for row in answer(home, "accounting", "usage", *WEEK, "--by", "vo")["rows"]] == [
        "ligo",
        "uscms",
    ]
