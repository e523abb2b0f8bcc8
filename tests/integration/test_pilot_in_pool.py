"""The built pilot against a real HTCondor: joins, runs what START allows, ends, and leaves nothing behind."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.pilot_pool import PilotPool, Worker, new_worker, running_pool, wait_for

from opengoc.condor.classads import parse, render

pytestmark = pytest.mark.integration

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PilotPool]:
    with running_pool(tmp_path_factory.mktemp("pool")) as running:
        yield running


@pytest.fixture
def worker(pool: PilotPool, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(**changes: Any) -> Worker:
        made.append(new_worker(pool, tmp_path / f"worker{next(_NUMBERS)}", **changes))
        return made[-1]

    yield make
    for one in made:
        one.end()


def joined(pool: PilotPool, pilot: Worker) -> dict[str, str]:
    """The pilot's slot in the collector; fails with the pilot's own log."""
    pilot_id = pilot.config["pilot_id"]
    slots = wait_for("the slot", lambda: pool.slots(pilot_id) or pilot.ended(), 30)
    assert isinstance(slots, list), pilot.stderr()
    return slots[0]


def expression(shown: str) -> str:
    """An expression as condor_status shows it in JSON, in one spelling."""
    return render(parse(shown.removeprefix("/Expr(").removesuffix(")/")))


def test_it_joins_runs_the_job_that_start_allows_and_ends_when_idle(
    pool: PilotPool, worker: Callable[..., Worker]
) -> None:
    # The job leaves a process behind that has no parent, no terminal and no HTCondor in its environment.
    allowed = pool.submit("env -i setsid sleep 3600 & echo done", "cms")
    refused = pool.submit("echo must not run", "ligo")
    # Macros of the configuration language and backslashes must arrive as they were written.
    start = r"""TARGET.VO =?= "cms" && !regexp("^\\d+\\.$|$(HOME)|\"", TARGET.VO)"""
    pilot = worker(idle_seconds=8, start=start, attributes={"HasSquid": True, "Motto": 'a "b" \\ $(c)'})
    began = time.monotonic()
    pilot.start()
    slot = joined(pool, pilot)
    seconds = time.monotonic() - began

    # Start to slot in the collector, with the time of asking for it; alone on the machine it takes 2 to 3 s.
    assert seconds < 90
    assert expression(slot["GOC_Start"]) == render(parse(pilot.config["start"]))
    assert expression(slot["Start"]) == "GOC_Start && GOC_Accepting"
    assert (slot["GLIDEIN_Site"], slot["GLIDEIN_Resource"]) == ("ITB-TEST", "ITB-TEST-CE")
    assert (slot["GLIDEIN_Entry_Name"], slot["GLIDEIN_Factory"]) == ("ITB-TEST-1core", "itb-factory")
    assert (slot["GOC_Digest"], slot["GOC_VO"]) == ("d1" * 32, "cms")
    assert (slot["HasSquid"], slot["Motto"]) == (True, 'a "b" \\ $(c)')

    wait_for("the allowed job", lambda: pool.job_status(allowed) == 4, 60)
    assert pilot.exit_code(60) == 0, pilot.stderr()
    assert pilot.left() == []
    assert pool.job_status(refused) == 1
    pool.remove(refused)
    report = pilot.report()
    assert report["end"]["reason"] == "idle"
    assert report["state"] == "ended"
    assert {row["name"]: row["result"] for row in report["validations"]}["pool-authorization"] == "ok"
    assert (report["jobs"]["seen"], report["jobs"]["finished"], report["jobs"]["running"]) == (1, 1, 0)
    assert report["usage"]["children_cpu_seconds"] > 0
    assert pool.slots(pilot.config["pilot_id"]) == []


def test_a_signal_gives_the_job_its_soft_kill_and_the_queue_its_job_back(
    pool: PilotPool, worker: Callable[..., Worker]
) -> None:
    pilot = worker(signal_grace_seconds=15)
    witness = pilot.folder / "witness"
    job = pool.submit(f"trap 'echo soft > {witness}; exit 3' TERM; sleep 3600 & wait", "cms")
    pilot.start()
    joined(pool, pilot)
    wait_for("the job", lambda: pool.job_status(job) == 2, 60)
    # The shell has its trap by the time that it has a child.
    pilot.do("until pgrep -x sleep; do sleep 0.1; done")
    signalled = time.monotonic()
    pilot.do("kill -TERM $pilot")

    assert pilot.exit_code(30) == 13, pilot.stderr()
    assert time.monotonic() - signalled < 90
    assert witness.read_text() == "soft\n"
    assert pilot.left() == []
    assert pilot.report()["end"] == {"reason": "signal", "message": "got SIGTERM", "exit_code": 13}
    wait_for("the job's return to the queue", lambda: pool.job_status(job) == 1, 30)
    pool.remove(job)


def test_it_ends_before_the_batch_system_does_and_refuses_jobs_that_cannot_finish(
    pool: PilotPool, worker: Callable[..., Worker]
) -> None:
    endless = pool.submit("sleep 3600", "cms")
    too_long = pool.submit("sleep 1", "cms", "allowed_execute_duration = 600")
    pilot = worker(cores=2, walltime_seconds=70, drain_seconds=10, end_margin_seconds=40)
    began = time.monotonic()
    pilot.config["validations"] = [{"name": "token"}, {"name": "condor"}]
    pilot.start()
    wait_for("the endless job", lambda: pool.job_status(endless) == 2, 28)

    assert pilot.exit_code(70) == 0, pilot.stderr()
    assert 29 < time.monotonic() - began < 240
    assert pilot.left() == []
    report = pilot.report()
    assert report["end"]["reason"] == "walltime"
    assert report["jobs"]["seen"] == 1
    assert pool.job_status(too_long) == 1
    results = {row["name"]: row["message"] for row in report["validations"] if row["result"] == "skipped"}
    assert results["cores"] == "not asked for"
    for job in (endless, too_long):
        pool.remove(job)


def test_the_pools_administrator_drains_it_and_the_running_job_is_let_finish(
    pool: PilotPool, worker: Callable[..., Worker]
) -> None:
    running = pool.submit("sleep 12", "cms")
    pilot = worker()
    pilot.start()
    slot = joined(pool, pilot)
    wait_for("the job", lambda: pool.job_status(running) == 2, 60)
    waiting = pool.submit("sleep 1", "cms")
    pool.tool(f"condor_drain -graceful -exit-on-completion {slot['Name']}")

    assert pilot.exit_code(60) == 0, pilot.stderr()
    assert pilot.left() == []
    assert pilot.report()["end"]["reason"] == "drained"
    assert pool.job_status(running) == 4
    assert pool.job_status(waiting) == 1
    pool.remove(waiting)


# What the pilot does as it gives up waiting, done at a moment when the schedd has just sent it a job.
_DRAIN = """
cat > drain.py << end
import os, sys
sys.path.insert(0, "goc-pilot")
from goc_pilot.condor import Condor
from goc_pilot.condor_config import Layout

class Master:
    pid = int(sys.argv[1])
    def send_signal(self, number):
        os.kill(self.pid, number)

Condor(Layout(os.path.abspath(sys.argv[2])), Master()).drain()
end
python3 drain.py $(pgrep -P $pilot -x condor_master) goc-pilot-*
"""


def test_a_job_that_comes_as_the_pilot_gives_up_is_let_finish_and_no_other_starts(
    pool: PilotPool, worker: Callable[..., Worker]
) -> None:
    running = pool.submit("sleep 12; echo done", "cms")
    pilot = worker(cores=2)
    pilot.start()
    joined(pool, pilot)
    wait_for("the job", lambda: pool.job_status(running) == 2, 60)
    pilot.do(_DRAIN)
    waiting = pool.submit("sleep 1", "cms")

    assert pilot.exit_code(60) == 0, pilot.stderr()
    assert pilot.left() == []
    assert pilot.report()["end"]["reason"] == "drained"
    assert pool.job_status(running) == 4
    assert pool.tool(f"condor_history {running} -limit 1 -af NumJobStarts") == "1"
    assert pool.job_status(waiting) == 1
    pool.remove(waiting)


def test_a_pilot_killed_outright_takes_its_daemons_along_and_leaves_its_last_report(
    pool: PilotPool, worker: Callable[..., Worker]
) -> None:
    pilot = worker()
    pilot.start()
    joined(pool, pilot)
    wait_for("the note of joining", lambda: pilot.report()["startd"]["joined_at"], 20)
    pilot.do("kill -KILL $pilot; sleep 4")

    assert pilot.exit_code(20) == 137
    assert [name for name in pilot.left() if name.startswith("condor")] == []
    report = pilot.report()
    assert (report["state"], report["end"]) == ("running", None)


def test_a_startd_that_dies_is_reported_with_its_logs(pool: PilotPool, worker: Callable[..., Worker]) -> None:
    pilot = worker()
    pilot.start()
    joined(pool, pilot)
    pilot.do("pkill -KILL -x condor_startd")

    assert pilot.exit_code(40) == 12, pilot.stderr()
    assert pilot.left() == []
    report = pilot.report()
    assert report["end"]["reason"] == "startd-died"
    assert any("condor_startd" in line for line in report["log_tails"]["MasterLog"])


def test_a_master_that_dies_is_noticed_at_once(pool: PilotPool, worker: Callable[..., Worker]) -> None:
    pilot = worker()
    pilot.start()
    joined(pool, pilot)
    pilot.do("pkill -KILL -x condor_master")

    assert pilot.exit_code(10) == 12, pilot.stderr()
    assert pilot.left() == []
    assert pilot.report()["end"]["message"] == "the master ended with status -9"


def test_a_token_that_the_pool_refuses_starts_no_startd(
    pool: PilotPool, worker: Callable[..., Worker]
) -> None:
    pilot = worker()
    (pilot.folder / "pilot.token").write_text(pool.token(identity="stranger") + "\n", encoding="utf-8")
    pilot.start()

    assert pilot.exit_code(30) == 11, pilot.stderr()
    report = pilot.report()
    assert report["end"]["message"] == "failed: pool-authorization"
    assert report["startd"]["started_at"] is None
    assert report["jobs"]["seen"] is None
    assert pilot.left() == []
