"""What probes make of what they see; the commands are real ones."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opengoc.base.errors import GocError
from opengoc.condor.classads import Ad
from opengoc.condor.observation import Observation
from opengoc.monitoring.model import RunOutcome, Status
from opengoc.monitoring.probes import answers, ce, command, pool, schedd
from opengoc.monitoring.probes.command import CommandProbe

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)


def seen(*ads: Ad, error: str = "") -> Observation[Ad]:
    return Observation(source="a query", items=ads, taken_at=NOON, complete=not error, error=error)


NEGOTIATOR: Ad = {"Name": "negotiator", "LastNegotiationCycleEnd0": int(NOON.timestamp()) - 60}


def test_a_pool_with_collector_and_negotiator_is_ok_even_without_slots() -> None:
    finding = pool.judge(seen(NEGOTIATOR), seen())
    assert (finding.status, finding.summary) == (
        Status.OK,
        "collector and negotiator answer; 0 slots, 0 claimed",
    )
    counted = pool.judge(seen(NEGOTIATOR), seen({"State": "Claimed"}, {"State": "Unclaimed"}))
    assert counted.summary.endswith("2 slots, 1 claimed")


def test_a_pool_without_negotiator_is_critical_and_one_that_stopped_matching_a_warning() -> None:
    assert pool.judge(seen(), seen()).status is Status.CRITICAL
    old: Ad = {"LastNegotiationCycleEnd0": int(NOON.timestamp()) - 3600}
    finding = pool.judge(seen(old), seen())
    assert (finding.status, finding.summary) == (
        Status.WARNING,
        "the negotiator ended no cycle for 60 min; 0 slots, 0 claimed",
    )


def test_a_negotiator_query_that_failed_is_not_a_missing_negotiator() -> None:
    assert pool.judge(seen(error="lost"), seen()).status is Status.UNKNOWN
    assert pool.judge(seen(NEGOTIATOR), seen(error="lost")).status is Status.UNKNOWN


def test_no_answer_is_critical_and_a_refused_token_is_not() -> None:
    silent = answers.failure(seen(error="vo-pool: no answer to ads within 20 s"))
    assert (silent.status, silent.outcome) == (Status.CRITICAL, RunOutcome.DONE)
    refused = answers.failure(seen(error="ads failed: denied; check the token and what it is granted"))
    assert (refused.status, refused.outcome) == (Status.UNKNOWN, RunOutcome.FAILED)


def test_a_collector_that_takes_connections_and_refuses_ours_may_be_well() -> None:
    query = seen(error="ads failed: Failed communication with collector.")
    assert pool.judge_failure(query, timed_out=False, accepts=False).status is Status.CRITICAL
    assert pool.judge_failure(query, timed_out=True, accepts=False).status is Status.CRITICAL
    refused = pool.judge_failure(query, timed_out=False, accepts=True)
    assert (refused.status, refused.outcome) == (Status.UNKNOWN, RunOutcome.FAILED)


def test_a_schedd_that_answers_tells_its_counts() -> None:
    finding = schedd.judge({"TotalRunningJobs": 3, "TotalIdleJobs": 4}, seen())
    assert (finding.status, finding.summary) == (Status.OK, "answers: 3 running, 4 idle")
    assert schedd.judge({}, seen(error="no answer to jobs within 20 s")).status is Status.CRITICAL


@pytest.mark.parametrize(
    ("ad", "status", "outcome"),
    [
        ({"JobStatus": 4, "ExitCode": 3}, Status.CRITICAL, RunOutcome.DONE),
        ({"JobStatus": 5, "HoldReason": "no such queue"}, Status.CRITICAL, RunOutcome.DONE),
        ({"JobStatus": 3}, Status.UNKNOWN, RunOutcome.FAILED),
        ({"JobStatus": 1, "GridResourceUnavailableTime": 1}, Status.CRITICAL, RunOutcome.DONE),
        ({"JobStatus": 1, "GridJobId": "condor …"}, Status.WARNING, RunOutcome.DONE),
        ({"JobStatus": 2, "GridJobId": "condor …"}, Status.WARNING, RunOutcome.DONE),
        ({"JobStatus": 1}, Status.UNKNOWN, RunOutcome.TIMEOUT),
        ({"JobStatus": 5, "HoldReasonCode": 16}, Status.UNKNOWN, RunOutcome.TIMEOUT),
    ],
)
def test_a_test_job_that_did_not_come_back_says_whose_fault_it_is(
    ad: Ad, status: Status, outcome: RunOutcome
) -> None:
    finding = ce.judge(seen(ad), 80)
    assert finding is not None
    assert (finding.status, finding.outcome) == (status, outcome)


def test_a_failed_query_and_a_vanished_job_say_nothing_of_the_ce() -> None:
    for observation in (seen(error="lost"), seen()):
        finding = ce.judge(observation, 80)
        assert finding is not None and finding.status is Status.UNKNOWN


def test_a_test_job_counts_only_with_the_output_it_was_told_to_print(tmp_path: Path) -> None:
    assert ce.judge(seen({"JobStatus": 4, "ExitCode": 0}), 80) is None
    out = tmp_path / "out"
    assert ce.judge_output(out, "probe-1", 5).status is Status.CRITICAL
    out.write_text("goc-probe probe-0\n")
    assert ce.judge_output(out, "probe-1", 5).status is Status.CRITICAL
    out.write_text("goc-probe probe-1\n")
    assert ce.judge_output(out, "probe-1", 5).status is Status.OK


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, Status.OK), (1, Status.WARNING), (2, Status.CRITICAL), (3, Status.UNKNOWN)],
)
def test_exit_codes_0_to_3_are_the_plugin_s_own_answer(code: int, status: Status) -> None:
    script = f"echo 'LOAD - 3 | load=3;5;10'; echo more; echo oops >&2; exit {code}"
    finding = CommandProbe(argv=("sh", "-c", script)).run(10)
    assert (finding.status, finding.outcome) == (status, RunOutcome.DONE)
    assert (finding.summary, finding.detail) == ("LOAD - 3", "load=3;5;10\nmore\noops")


@pytest.mark.parametrize("script", ["exit 4", "exit 127", "kill -9 $$", "echo fine; exit 255"])
def test_any_other_end_is_unknown(script: str) -> None:
    finding = CommandProbe(argv=("sh", "-c", script)).run(10)
    assert (finding.status, finding.outcome) == (Status.UNKNOWN, RunOutcome.FAILED)


def test_a_plugin_that_says_nothing_still_has_a_line() -> None:
    assert CommandProbe(argv=("true",)).run(10).summary == "(no output)"


def test_a_plugin_that_cannot_be_started_could_not_probe() -> None:
    with pytest.raises(GocError, match="cannot be started"):
        CommandProbe(argv=("/nonexistent/check_tcp",)).run(10)


def test_a_plugin_s_endless_output_is_cut_off() -> None:
    finding = CommandProbe(argv=("sh", "-c", "yes | head -c 10000000")).run(30)
    assert len(finding.detail) <= command.OUTPUT_BYTES


def test_at_the_deadline_the_whole_process_group_is_killed(tmp_path: Path) -> None:
    """The plugin's child holds on to the output and would run on for a minute."""
    script = f"echo half; sleep 60 & echo $! > {tmp_path}/child; wait"
    began = time.monotonic()
    finding = CommandProbe(argv=("sh", "-c", script)).run(0.5)
    assert time.monotonic() - began < 60
    assert (finding.status, finding.outcome) == (Status.UNKNOWN, RunOutcome.TIMEOUT)
    assert finding.detail == "half\n"
    child = int((tmp_path / "child").read_text())
    _wait_until_gone(child)


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    """Whether it is there and not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_that_outlives_its_plugin_neither_holds_the_probe_up_nor_stays() -> None:
    began = time.monotonic()
    finding = CommandProbe(argv=("sh", "-c", "sleep 60 & echo $!; exit 0")).run(30)
    assert time.monotonic() - began < 30
    assert finding.status is Status.OK
    _wait_until_gone(int(finding.summary))


def test_a_plugin_that_prints_without_end_is_ended_before_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "ENDLESS_BYTES", 1024 * 1024)
    began = time.monotonic()
    finding = CommandProbe(argv=("yes",)).run(60)
    assert time.monotonic() - began < 60
    assert (finding.status, finding.outcome) == (Status.UNKNOWN, RunOutcome.FAILED)
    assert finding.summary == "printed more than 1 MiB and was ended"
    assert len(finding.detail) <= command.OUTPUT_BYTES
