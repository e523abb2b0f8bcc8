"""The main job from outside: what the demo leaves says all of what it did, once, and says how good it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.demo_run import JOBS, DemoRun, processes_of
from tests.command import answer, goc

from opengoc.base.instant import utc_now
from opengoc.base.interval import week_name
from opengoc.store.hold import hold

pytestmark = [pytest.mark.acceptance, pytest.mark.integration]

SITES = {"ITB-CONDOR", "ITB-SLURM"}
VOS = {"cms", "ligo"}
EXPECTED = {
    "payload_jobs",
    "pilot_jobs",
    "wall_hours",
    "core_hours",
    "cpu_efficiency",
    "availability",
    "reliability",
}


@pytest.fixture(scope="module")
def figures(demo: DemoRun) -> list[dict[str, Any]]:
    """The figures of the week's report."""
    found: list[dict[str, Any]] = answer(demo.home, "report", "weekly")["figures"]
    return found


def of(figures: list[dict[str, Any]], name: str) -> dict[tuple[str, ...], Any]:
    """Figures of one name by the values of their dimensions."""
    return {tuple(f["dimensions"].values()): f for f in figures if f["name"] == name}


def test_every_payload_job_is_accounted_once_under_its_vo(figures: list[dict[str, Any]]) -> None:
    jobs = of(figures, "payload_jobs")
    assert {vo for (vo,) in jobs} == VOS
    assert sum(figure["value"] for figure in jobs.values()) == JOBS
    assert {figure["value"] for figure in jobs.values()} == {JOBS // 2}


def test_the_report_has_every_figure_with_state_and_evidence(figures: list[dict[str, Any]]) -> None:
    names = {figure["name"] for figure in figures}
    assert names >= EXPECTED
    for figure in figures:
        assert figure.keys() >= {
            "name", "value", "unit", "state", "reason", "dimensions", "as_of", "evidence",
        }  # fmt: skip
        assert figure["state"] in {"value", "zero", "partial", "missing"}
        assert (figure["value"] is None) == (figure["state"] == "missing")
        assert bool(figure["reason"]) == (figure["state"] in {"partial", "missing"})


def test_pilots_used_wall_time_at_both_sites(demo: DemoRun) -> None:
    week = week_name(utc_now())
    rows = answer(demo.home, "accounting", "usage", "--week", week, "--by", "site", "--kind", "pilot")["rows"]
    hours = {row["site"]: row["wall_hours"] for row in rows}
    assert hours.keys() == SITES
    assert all(value > 0 for value in hours.values())


def test_the_processor_time_of_payloads_was_measured(demo: DemoRun) -> None:
    week = week_name(utc_now())
    answered = answer(
        demo.home, "accounting", "usage", "--week", week, "--by", "vo,site", "--kind", "payload"
    )
    rows = answered["rows"]
    assert {row["site"] for row in rows} == SITES
    assert sum(row["jobs"] for row in rows) == JOBS
    # Each job of the demo burns 1.75 s; what was measured may not be less than half of it, nor hours.
    assert JOBS * 0.8 < sum(row["cpu_hours"] for row in rows) * 3600 < JOBS * 10


def test_availability_is_partial_because_the_grid_was_up_for_minutes(figures: list[dict[str, Any]]) -> None:
    for (site,), figure in of(figures, "availability").items():
        assert figure["state"] == "partial", site
        assert "known for" in figure["reason"]


def test_the_report_was_written_in_every_format(demo: DemoRun) -> None:
    reports = demo.home / "reports"
    written = {path.suffix: path.read_text() for path in reports.glob("weekly-*")}
    assert written.keys() == {".html", ".md", ".twiki", ".txt", ".json"}
    assert all(f"{JOBS // 2}" in text for text in written.values())
    assert str(next(reports.glob("*.html"))) in demo.output.replace("\n", "")


def test_the_cancelled_downtime_is_in_the_report(demo: DemoRun) -> None:
    text = next((demo.home / "reports").glob("*.txt")).read_text()
    assert "cancelled" in text
    assert "ITB-SLURM-CE" in text


def test_collecting_again_counts_nothing_twice(demo: DemoRun) -> None:
    before = answer(demo.home, "accounting", "usage", "--week", week_name(utc_now()), "--kind", "payload")[
        "rows"
    ]
    assert goc(demo.home, "accounting", "collect").returncode == 0
    after = answer(demo.home, "accounting", "usage", "--week", week_name(utc_now()), "--kind", "payload")[
        "rows"
    ]
    assert after == before


def test_no_pilot_is_left_when_every_job_is_done(demo: DemoRun) -> None:
    status = answer(demo.home, "factory", "status")
    assert (status["idle_jobs"], status["running_jobs"], status["pilots"]) == (0, 0, 0)


def test_tokens_and_keys_are_readable_by_their_owner_alone(demo: DemoRun) -> None:
    secrets = [p for p in (demo.home / "testbed" / "tokens").rglob("*") if p.is_file()]
    assert secrets
    assert {oct(path.stat().st_mode & 0o777) for path in secrets} == {"0o600"}


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "goc.toml").write_text('name = "production"\n')
    refused = goc(tmp_path, "demo")
    assert refused.returncode == 3
    assert "no demo made" in refused.stderr
    assert (tmp_path / "goc.toml").read_text() == 'name = "production"\n'


def test_the_commands_it_shows_can_be_pasted(demo: DemoRun) -> None:
    assert "$ goc factory apply --why 'first grid'\n" in demo.output
    assert f"End it: goc --home {demo.home} demo --stop\n" in demo.output


def test_a_port_in_use_is_said_before_anything_is_done(tmp_path: Path) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused = goc(tmp_path / "home", "demo", "--keep", "--port", str(other.getsockname()[1]))
    assert refused.returncode == 3
    assert "--port" in refused.stderr
    assert "in use by another program" in refused.stderr
    assert refused.stdout == ""


def test_stopping_where_no_demo_was_run_says_how_to_name_its_home(tmp_path: Path) -> None:
    refused = goc(tmp_path, "demo", "--stop")
    assert refused.returncode == 3
    assert "no demo was run here: name its home with --home" in refused.stderr


def test_a_demo_that_is_running_is_not_stopped_behind_its_back(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{}")
    with hold(tmp_path, "demo"):
        refused = goc(tmp_path, "demo", "--stop")
    assert refused.returncode == 4
    assert f"home {tmp_path} is held by process {os.getpid()}" in refused.stderr
    assert goc(tmp_path, "demo", "--stop").returncode == 0


def test_on_a_terminal_a_failed_step_points_at_what_was_said(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "file").touch()
    environment = {**os.environ, "GOC_CACHE": str(tmp_path / "file" / "cache")}
    terminal, its_end = os.openpty()
    argv = [sys.executable, "-m", "opengoc", "--home", str(tmp_path / "home"), "demo"]
    failed = subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, stderr=its_end, check=False)
    os.close(its_end)
    said = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert failed.returncode == 1
    assert said.index("Not a directory") < said.index("`goc testbed up` ended with exit code 4; what it said")


def test_an_interrupted_demo_leaves_no_process_and_the_next_one_runs(tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys
    import time

    home = tmp_path / "home"
    # Whoever runs the tests in the background ignores the signal, and what it starts does, too.
    words = ["env", "--default-signal=INT", sys.executable, "-m", "opengoc"]
    words += ["--home", str(home), "demo", "--jobs", "2"]
    interrupted = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (home / "entries.toml").exists():
        assert time.monotonic() < until, "the testbed did not begin"
        time.sleep(0.1)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(timeout=120) != 0
    assert processes_of(home) == []

    again = goc(home, "demo", "--jobs", "2", timeout=600)
    assert again.returncode == 0, again.stdout + again.stderr
    assert processes_of(home) == []
    assert (tmp_path / "home.previous" / "demo.json").exists()
