"""What HTCondor's own files say, on lines that HTCondor wrote."""

from __future__ import annotations

from pathlib import Path

from goc_pilot.condor_logs import Jobs, StartLog, follow_start_log, log_tails, read_history, read_jobs

START_LOG = """\
11/22/26 17:25:22 ** condor_startd (CONDOR_STARTD) STARTING UP
11/22/26 17:25:22 ** $CondorVersion: 23.9.6 2026-07-12 PackageID: 23.9.6+dfsg-2.1+b10 $
11/22/26 17:25:23 slot1: New pSlot of type 1 allocated
11/22/26 17:25:23 slot1: Changing state: Owner -> Unclaimed
11/22/26 17:25:24 Initial update sent to collector(s)
11/22/26 17:27:29 slot1_1: New dSlot of type 1 allocated
11/22/26 17:27:29 slot1_1: Changing state: Owner -> Claimed
11/22/26 17:27:29 slot1_2: New dSlot of type 1 allocated
11/22/26 17:27:36 slot1_1: Changing state and activity: Claimed/Idle -> Preempting/Vacating
11/22/26 17:27:36 slot1_1: Changing state: Unclaimed -> Delete
"""
END = """\
11/22/26 17:27:36 slot1_2: Changing state: Unclaimed -> Delete
11/22/26 17:28:52 No resources have been claimed for 25 seconds
11/22/26 17:28:52 Shutting down Condor on this machine.
11/22/26 17:28:52 **** condor_startd (condor_STARTD) pid 4 EXITING WITH STATUS 0
"""
STARTER_LOG = """\
11/22/26 17:14:20 (pid:16) Job 1.0 set to execute immediately
11/22/26 17:14:21 (pid:16) Starting a VANILLA universe job with ID: 1.0
11/22/26 17:15:21 (pid:19) Starting a VANILLA universe job with ID: 1.1
"""
HISTORY = """\
ClusterId = 1
JobStatus = 4
RemoteWallClockTime = 6
Args = "a = b"
*** Offset = 0 ClusterId = 1 ProcId = 1 Owner = "pilot" CompletionDate = 1795367666
ClusterId = 1
RemoteWallClockTime = 7.5
*** Offset = 3868 ClusterId = 1 ProcId = 0 Owner = "pilot" CompletionDate = 1795367666
"""


def test_a_startd_that_joined_and_holds_one_claim() -> None:
    assert follow_start_log(StartLog(), START_LOG) == StartLog(starts=1, joined=True, claims=1)


def test_what_is_read_in_pieces_is_what_is_read_at_once() -> None:
    known = StartLog()
    for line in (START_LOG + END).splitlines():
        known = follow_start_log(known, line)

    assert known == follow_start_log(StartLog(), START_LOG + END)
    assert known == StartLog(starts=1, joined=True, idle=True, exit_status=0, claims=0)


def test_jobs_are_counted_from_logs_history_and_scratch_folders(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "execute" / "dir_19").mkdir(parents=True)
    (tmp_path / "log" / "StarterLog.slot1_1").write_text(STARTER_LOG)
    (tmp_path / "log" / "startd_history").write_text(HISTORY)

    jobs = read_jobs(str(tmp_path / "log"), str(tmp_path / "execute"))

    assert jobs == Jobs(running=1, seen=2, finished=2, wall_seconds=13.5)


def test_a_startd_without_jobs_has_seen_none(tmp_path: Path) -> None:
    assert read_jobs(str(tmp_path), str(tmp_path)) == Jobs(running=0, seen=0, finished=0, wall_seconds=0.0)


def test_an_ad_that_is_still_being_written_is_not_counted() -> None:
    assert len(read_history(HISTORY + "ClusterId = 2\n")) == 2


def test_the_tail_of_each_log_is_kept(tmp_path: Path) -> None:
    (tmp_path / "StartLog").write_text(START_LOG)

    assert log_tails(str(tmp_path), 1) == {
        "StartLog": ["11/22/26 17:27:36 slot1_1: Changing state: Unclaimed -> Delete"]
    }
