"""The testbed when things die: nodes, daemons, the supervisor; and what it leaves behind."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.testbed_grid import Grid, StartGrid, wait_for

from opengoc.base.errors import GocError, InvalidInput, Permanent, Temporary
from opengoc.testbed import faults, lifecycle, root, tools
from opengoc.testbed.layout import Layout
from opengoc.testbed.processes import marked_processes
from opengoc.testbed.sandbox import HOME_VARIABLE

pytestmark = pytest.mark.integration


def processes_of(home: Path) -> list[str]:
    return [one.name for one in marked_processes(HOME_VARIABLE, str(home))]


def mounts_of(home: Path) -> list[str]:
    return [line for line in Path("/proc/mounts").read_text().splitlines() if str(home) in line]


def test_down_leaves_no_process_and_no_mount(private_grid: StartGrid, tmp_path: Path) -> None:
    grid = private_grid(tmp_path / "home")
    assert "condor_schedd" in processes_of(grid.home)
    done = grid.goc("testbed", "down")
    assert done.returncode == 0, done.stderr
    assert processes_of(grid.home) == []
    assert mounts_of(grid.home) == []
    assert grid.goc("testbed", "status").returncode == 1


def test_what_was_queued_is_there_after_down_and_up(private_grid: StartGrid, tmp_path: Path) -> None:
    grid = private_grid(tmp_path / "home")
    text = "executable = /bin/true\ntransfer_executable = False\nhold = True\nqueue\n"
    cluster = grid.submit(text, pool="pool", tokens="cms")
    lifecycle.end_processes(grid.layout)
    again = private_grid(grid.home)
    assert again.ports == grid.ports
    queued = again.tool("condor_q", "-all", "-af", "ClusterId", "Owner", tokens="cms")
    assert queued.split() == [str(cluster), "cmsprod"]


def test_a_killed_supervisor_takes_everything_with_it(private_grid: StartGrid, tmp_path: Path) -> None:
    grid = private_grid(tmp_path / "home")
    status = lifecycle.supervisor_status(grid.layout)
    assert status is not None
    os.kill(status["pid"], signal.SIGKILL)
    wait_for(lambda: not processes_of(grid.home), "every process ends with the supervisor", seconds=10)
    assert mounts_of(grid.home) == []
    assert grid.goc("testbed", "down").returncode == 0
    assert private_grid(grid.home).up.started


def test_two_run_side_by_side_in_homes_with_long_names(
    grid: Grid, private_grid: StartGrid, tmp_path: Path
) -> None:
    # Longer than a UNIX socket's path may be.
    other = private_grid(tmp_path / ("a-very-long-name-of-a-home-" * 5) / "home")
    assert set(other.ports.all()).isdisjoint(grid.ports.all())
    assert grid.status()["up"] is True
    assert other.status()["up"] is True
    with pytest.raises(GocError):
        other.tool("condor_q", "-pool", grid.address("pool"), "-name", grid.schedd("pool"), "-all")
    other.tool("sbatch", "-o", "/dev/null", "--wrap", "true")
    done = other.layout.completions_of_slurm
    wait_for(lambda: done.exists() and "JobState=COMPLETED" in done.read_text(), "Slurm runs a job there")


def test_a_killed_node_comes_back_and_its_job_runs_again(private_grid: StartGrid, tmp_path: Path) -> None:
    grid = private_grid(tmp_path / "home")
    script = grid.home / "sleep.sh"
    script.write_text("#!/bin/sh\nsleep 300\n")
    job = grid.tool("sbatch", "--parsable", "-w", "wn1", "-o", "/dev/null", str(script)).strip()

    def state() -> str:
        return grid.tool("squeue", "-h", "-j", job, "-o", "%T").strip()

    wait_for(lambda: state() == "RUNNING", "the job runs on wn1")
    faults.kill_machine(grid.layout, machine="wn1", down_seconds=45)
    wait_for(lambda: state() == "PENDING", "slurmctld queues the job again", seconds=45)
    assert "down" in grid.status()["nodes"]["wn1"]
    wait_for(lambda: grid.status()["nodes"]["wn1"] in ("idle", "alloc", "mix"), "wn1 is back", seconds=90)
    # Slurm lets a requeued job wait for two minutes; its user need not.
    grid.tool("scontrol", "update", f"JobId={job}", "StartTime=now")
    assert wait_for(lambda: state() == "RUNNING", "the job runs again")


@pytest.mark.parametrize(("machine", "daemon"), [("site-condor", "schedd"), ("site-slurm", "slurmctld")])
def test_a_killed_daemon_is_started_again(grid: Grid, machine: str, daemon: str) -> None:
    killed = faults.kill_daemon(grid.layout, machine=machine, daemon=daemon)
    assert len(killed.pids) == 1

    def running_anew() -> bool:
        try:
            again = faults.running_daemons(grid.layout, machine=machine, daemon=daemon)
        except Temporary:
            return False
        return bool(again) and {one.pid for one in again}.isdisjoint(killed.pids)

    wait_for(running_anew, f"{daemon} of {machine} is started again")
    wait_for(lambda: grid.status()["up"], "everything answers again")


def test_a_fault_says_what_it_does_not_know(grid: Grid) -> None:
    with pytest.raises(InvalidInput, match="must be one of"):
        faults.kill_daemon(grid.layout, machine="pool", daemon="httpd")
    with pytest.raises(InvalidInput, match="must be one of"):
        faults.kill_machine(grid.layout, machine="wn9", down_seconds=1)
    with pytest.raises(Temporary, match="no testbed runs"):
        faults.kill_daemon(Layout(grid.home / "elsewhere"), machine="pool", daemon="schedd")


def test_a_daemon_that_does_not_start_is_named_with_its_log(private_grid: StartGrid, tmp_path: Path) -> None:
    home = tmp_path / "home"
    # A queue that cannot be written: the schedd ends at once, again and again.
    (home / "testbed" / "pool" / "spool" / "job_queue.log").mkdir(parents=True)
    with pytest.raises(GocError) as failed:
        private_grid(home)
    assert "pool: Scheduler" in str(failed.value)
    assert str(home / "testbed" / "pool" / "log" / "SchedLog") in str(failed.value)
    assert "job_queue.log" in str(failed.value)
    assert processes_of(home) == []


def test_a_port_taken_by_another_program_is_named(
    grid: Grid, private_grid: StartGrid, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "home")
    layout.state.mkdir(parents=True)
    layout.ports.write_text(grid.layout.ports.read_text())
    with pytest.raises(Temporary, match=f"port {grid.ports.pool}, .* in use by another program"):
        private_grid(tmp_path / "home")


def test_a_root_without_htcondor_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        GocError, match=r"lacks condor_master, condor_schedd, slurmctld.*apt-get install condor"
    ):
        root.require_root(tmp_path)
    with pytest.raises(GocError, match="is not a folder"):
        root.require_root(tmp_path / "absent")


def test_a_cache_that_cannot_be_written_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GOC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(Temporary, match=r"file/cache.*Not a directory.*GOC_CACHE"):
        root.build_root(lambda what, done, total: None)


@pytest.mark.parametrize("closed", ["home", "cache"])
def test_a_folder_of_another_user_is_named_without_a_traceback(closed: str, tmp_path: Path) -> None:
    folder = tmp_path / closed
    folder.mkdir(mode=0)
    # A name space without privileges: the tests may be run by root, to whom no folder is closed.
    argv = ["bwrap", "--unshare-user", "--uid", "1000", "--gid", "1000", "--bind", "/", "/", "--dev", "/dev"]
    argv += ["--setenv", "GOC_CACHE", str(tmp_path / "cache"), sys.executable, "-m", "opengoc"]
    argv += ["--home", str(tmp_path / "home" / "inner"), "testbed", "status" if closed == "home" else "up"]
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode in (1, 4)
    assert refused.stderr.startswith("goc: ")
    assert f"{folder}" in refused.stderr
    assert "Permission denied" in refused.stderr


def test_a_user_without_id_ranges_is_told_what_an_administrator_runs(tmp_path: Path) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    (tmp_path / "subuid").write_text(f"production:100000:65536\n{user}:165536:65536\n")
    with pytest.raises(Permanent, match=rf"usermod --add-subgids 231072-296607 {user}`"):
        tools.require_id_ranges(tmp_path)
    (tmp_path / "subgid").write_text(f"{os.geteuid()}:165536:65536\n")
    tools.require_id_ranges(tmp_path)


def test_an_interrupted_builder_is_given_time_to_clean_up(tmp_path: Path) -> None:
    # It stands for mmdebstrap in one thing: it needs a second to remove what it made elsewhere.
    builder = tmp_path / "bin" / "mmdebstrap"
    builder.parent.mkdir()
    made = tmp_path / "made"
    builder.write_text(f"#!/bin/sh\ntrap 'sleep 1; rm {made}; exit 25' INT\ntouch {made}\nsleep 60 & wait\n")
    builder.chmod(0o755)
    path = f"{builder.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "GOC_CACHE": str(tmp_path / "cache"), "PATH": path}
    # Whoever runs the tests in the background ignores the signal, and what it starts does, too.
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "opengoc", "testbed", "install"]
    building = subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(made.exists, "the builder begins", seconds=30)
        building.send_signal(signal.SIGINT)
        assert building.wait(timeout=30) != 0
        assert not made.exists()
        assert [one.name for one in (tmp_path / "cache").iterdir()] == [f"{root.root_folder().name}.lock"]
    finally:
        os.killpg(building.pid, signal.SIGKILL)


def test_an_interrupted_build_leaves_no_root(
    testbed_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOC_CACHE", str(tmp_path))
    left_over = tmp_path / f".{root.root_folder().name}.x1"
    (left_over / "root" / "usr").mkdir(parents=True)
    assert not root.is_built()
    # No network is asked in a test: a builder that finds no archive tool stands for one that is stopped.
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(GocError):
        root.build_root(lambda what, done, total: None)
    assert not root.is_built()
    assert [path.name for path in tmp_path.iterdir()] == [f"{root.root_folder().name}.lock"]
    assert testbed_root.is_dir()
