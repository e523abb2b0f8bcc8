"""What is not there is named, marks the figures it touches until it comes. From the command line only."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.command import answer, goc

pytestmark = pytest.mark.acceptance

REGISTRY = Path(__file__).parents[1] / "data/registry/example"
WEEK = "2026-W45"
MONDAY, NEXT = "2026-11-02", "2026-11-09"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation with the example registry and no source in its settings."""
    shutil.copytree(REGISTRY, tmp_path / "registry")
    assert goc(tmp_path, "registry", "import", str(tmp_path / "registry")).returncode == 0
    return tmp_path


def write(home: Path, name: str, *, days: range, per_day: int, **more: Any) -> Path:
    """Records of some days of the week, one core for an hour each."""
    records = [
        {
            "global_job_id": f"{name}-{day}-{n}",
            "instance": name,
            "ended_at": f"2026-11-{2 + day:02d}T{n:02d}:30:00Z",
            "wall_seconds": 3600.0,
            "processors": 1,
            "vo": "cms",
            **more,
        }
        for day in days
        for n in range(per_day)
    ]
    path = home / f"{name}.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def figure(report: dict[str, Any], name: str, **dimensions: str) -> dict[str, Any]:
    (found,) = [f for f in report["figures"] if f["name"] == name and f["dimensions"] == dimensions]
    return dict(found)


def publish(home: Path) -> dict[str, Any]:
    answer(home, "report", "publish", "--week", WEEK)
    return dict(answer(home, "report", "weekly", "--week", WEEK))


def test_a_silent_source_marks_the_figures_it_touches_until_its_records_come(home: Path) -> None:
    for site, source in (("ITB-CONDOR", "condor-site"), ("ITB-SLURM", "slurm-site")):
        words = ("--records", "pilot", "--site", site, "--from", MONDAY, "--why", "signed the agreement")
        answer(home, "accounting", "expect", "add", source, *words)
    path = write(home, "condor-site", days=range(7), per_day=3, site="ITB-CONDOR", kind="pilot")
    answer(home, "accounting", "import", str(path), "--source", "condor-site")
    answer(home, "accounting", "heartbeat", "condor-site")

    lacking = goc(home, "accounting", "gaps", "--week", WEEK, "--json")
    assert lacking.returncode == 1, lacking.stderr
    (gap,) = json.loads(lacking.stdout)["findings"]
    assert (gap["source"], gap["what"], gap["state"]) == ("slurm-site", "silent", "open")
    assert gap["reason"] == "nothing came since it is expected, 2026-11-02 00:00 UTC"
    asked = answer(home, "accounting", "usage", "--week", WEEK, "--kind", "pilot")["completeness"]
    assert [each["source"] for each in asked["sources"] if each["lacking"]] == ["slurm-site"]
    first = publish(home)
    jobs = figure(first, "pilot_jobs", vo="cms")
    assert (jobs["state"], jobs["value"]) == ("partial", 21)
    assert jobs["reason"].startswith("slurm-site: 0 of 7 days (nothing came of it yet")
    # The other site's figure lacks nothing.
    assert figure(first, "pilot_jobs_at_site", vo="cms", site="ITB-CONDOR")["state"] == "value"

    late = write(home, "slurm-site", days=range(1, 6), per_day=2, site="ITB-SLURM", kind="pilot")
    answer(home, "accounting", "import", str(late), "--source", "slurm-site")
    words = ("--from", MONDAY, "--to", NEXT, "--message", "sent by hand")
    answer(home, "accounting", "heartbeat", "slurm-site", *words)
    second = publish(home)
    jobs = figure(second, "pilot_jobs", vo="cms")
    assert (second["revision"], jobs["state"], jobs["value"]) == (2, "value", 31)
    (told,) = [
        c
        for c in second["corrections"]
        if c["new"]["name"] == "pilot_jobs" and c["new"]["dimensions"] == {"vo": "cms"}
    ]
    assert (told["old"]["value"], told["old"]["state"], told["new"]["value"]) == (21, "partial", 31)
    assert "10 pilot records at ITB-SLURM from slurm-site came in" in [c["what"] for c in told["causes"]]
    answered = answer(home, "accounting", "gaps", "--week", WEEK)
    assert [day["state"] for day in answered["days"]] == ["complete"] * 14
    assert answered["findings"] == []


def test_transfers_whose_probe_timed_out_are_missing_with_that_run_and_never_nought(home: Path) -> None:
    words = ("--records", "transfer", "--from", MONDAY)
    answer(home, "accounting", "expect", "add", "fts-probe", *words)
    span = ("--from", MONDAY, "--to", NEXT)
    words = ("--outcome", "timeout", "--backlog", "40", "--message", "the local probe was restarted")
    answer(home, "accounting", "heartbeat", "fts-probe", *span, *words)
    (run,) = answer(home, "accounting", "runs")
    assert (run["outcome"], run["backlog"], run["to"]) == ("timeout", 40, "2026-11-09T00:00:00Z")

    first = publish(home)
    for name in ("transferred_bytes", "transfer_rate"):
        lacking = figure(first, name, vo="cms")
        assert (lacking["state"], lacking["value"]) == ("missing", None)
        assert lacking["reason"] == (
            "fts-probe: the run of 2026-11-02 00:00 to 2026-11-09 00:00 UTC timed out, 40 wait"
            " (the local probe was restarted); to be recovered"
        )
    text = goc(home, "report", "weekly", "--week", WEEK).stdout
    assert "timed out, 40 wait (the local probe was restarted); to be recovered" in " ".join(text.split())

    path = write(home, "fts-probe", days=range(7), per_day=5, kind="transfer", bytes=10**12)
    answer(home, "accounting", "import", str(path), "--source", "fts-probe")
    # The records are there, and nobody has said yet that these are all of them.
    assert figure(publish(home), "transferred_bytes", vo="cms")["state"] == "partial"
    answer(home, "accounting", "heartbeat", "fts-probe", *span, "--message", "recovered from its log")
    third = publish(home)
    moved, rate = (figure(third, name, vo="cms") for name in ("transferred_bytes", "transfer_rate"))
    assert (third["revision"], moved["state"], moved["value"]) == (3, "value", 35 * 10**12)
    assert rate["value"] == pytest.approx(35e12 / (7 * 86_400))
    told = [c for c in third["corrections"] if c["new"]["name"] == "transfer_rate"]
    assert [
        (c["old"]["state"], c["new"]["state"]) for c in told if c["new"]["dimensions"] == {"vo": "cms"}
    ] == [
        ("missing", "partial"),
        ("partial", "value"),
    ]
    assert "source fts-probe: run from 2026-11-02T00:00:00Z, ok" in [c["what"] for c in told[-1]["causes"]]


def test_a_command_that_fails_is_an_unread_source_and_its_reason_is_told(home: Path) -> None:
    (home / "goc.toml").write_text(
        f"""[[accounting]]
name = "slurm"
kind = "sacct-live"
command = ["{sys.executable}", "-c", "import sys; sys.exit('sacct: error: Connection refused')"]
records = "pilot"
site = "ITB-SLURM"
"""
    )
    failed = goc(home, "accounting", "collect", "--json")
    assert failed.returncode == 1, failed.stderr
    (source,) = json.loads(failed.stdout)
    assert (source["state"], source["read"]) == ("missing", 0)
    assert source["reason"].endswith("ended with 1: sacct: error: Connection refused")
    lacking = goc(home, "accounting", "gaps", "--week", WEEK, "--json")
    (gap,) = json.loads(lacking.stdout)["findings"]
    assert (lacking.returncode, gap["what"], gap["reason"]) == (1, "silent", source["reason"])
    report = answer(home, "report", "weekly", "--week", WEEK)
    jobs = figure(report, "pilot_jobs", vo="cms")
    assert (jobs["state"], jobs["value"]) == ("missing", None)
    assert jobs["reason"].startswith("slurm: ")
    assert "Connection refused" in jobs["reason"]


@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["quarantine", "list"],
        ["export", "records.json", "--week", "2026-W40"],
    ],
)
def test_a_source_that_nobody_knows_is_no_source_without_records(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "records.json"
    file.write_text("[]")
    words = [str(file) if word == file.name else word for word in words]
    refused = goc(tmp_path, "accounting", *words, "--source", "site-a")
    assert (refused.returncode, "is no source" in refused.stderr) == (3, True)
    assert file.read_text() == "[]"
    assert goc(tmp_path, "accounting", "expect", "add", "site-a", "--records", "batch").returncode == 0
    assert goc(tmp_path, "accounting", *words, "--source", "site-a").returncode == 0


def test_a_source_that_is_expected_no_more_may_be_silent(home: Path) -> None:
    words = ("--records", "pilot", "--from", "2026-10-01", "--silent-hours", "48")
    answer(home, "accounting", "expect", "add", "old-site", *words)
    assert goc(home, "accounting", "gaps").returncode == 1
    twice = goc(home, "accounting", "expect", "add", "old-site", *words)
    assert "is expected over" in twice.stderr
    ended = answer(home, "accounting", "expect", "end", "old-site", "--at", "2026-10-01", "--why", "closed")
    assert ended["source"] == "old-site"
    assert answer(home, "accounting", "gaps")["findings"] == []
    assert answer(home, "accounting", "expect", "list") == []
    again = goc(home, "accounting", "expect", "end", "old-site")
    assert (again.returncode, "is not expected" in again.stderr) == (3, True)
