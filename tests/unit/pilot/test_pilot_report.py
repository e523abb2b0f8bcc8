"""The report holds what is known, says what is not, and is never half written."""

from __future__ import annotations

import json
from pathlib import Path

from goc_pilot.condor_logs import Jobs
from goc_pilot.ends import Ending
from goc_pilot.processes import Usage
from goc_pilot.report import BEGIN_MARKER, END_MARKER, SCHEMA, Record, framed, report, write_report
from goc_pilot.validations import Row
from opengoc.factory.pilot_report import read_report

RECORD = Record(pilot_file="f" * 64, started_at=1_795_367_600.0, log_tails={}, pilot_id="plt-1")
USAGE = Usage(own_cpu_seconds=0.5, children_cpu_seconds=12.25)


def test_a_pilot_that_knows_nothing_yet_says_null_and_not_nought() -> None:
    document = report(RECORD, RECORD.started_at + 1, USAGE)

    assert document["schema"] == SCHEMA
    assert document["pilot_id"] == "plt-1"
    assert document["state"] == "configuring"
    assert (document["end"], document["ended_at"], document["entry"]) == (None, None, None)
    assert document["startd"] == {"started_at": None, "joined_at": None}
    assert document["jobs"] == {
        "running": None,
        "seen": None,
        "finished": None,
        "wall_seconds": None,
        "reason": "no startd was started",
    }


def test_a_pilot_at_its_end_tells_all() -> None:
    record = RECORD._replace(
        state="ended",
        ending=Ending("startd-died", "the master ended with status -9"),
        ended_at=RECORD.started_at + 60,
        jobs=Jobs(running=0, seen=2, finished=1, wall_seconds=30.5),
        validations=(Row("disk", True, "ok", 0.001, "5 MiB free"),),
        log_tails={"StartLog": ["last words"]},
    )
    document = report(record, RECORD.started_at + 60, USAGE)

    assert document["end"] == {
        "reason": "startd-died",
        "message": "the master ended with status -9",
        "exit_code": 12,
    }
    assert document["ended_at"] == "2026-11-22T17:14:20Z"
    assert document["validations"] == [
        {"name": "disk", "required": True, "result": "ok", "seconds": 0.001, "message": "5 MiB free"}
    ]
    assert document["usage"] == {"own_cpu_seconds": 0.5, "children_cpu_seconds": 12.25, "wall_seconds": 60.0}
    assert document["log_tails"] == {"StartLog": ["last words"]}


def test_the_factory_reads_the_last_printed_report() -> None:
    early = report(RECORD, RECORD.started_at, USAGE)
    late = report(RECORD._replace(state="ended"), RECORD.started_at, USAGE)
    stdout = f"banner of the batch system\n{framed(early)}\nnoise\n{framed(late)}\nbye\n"

    assert read_report(stdout) == late
    assert stdout.count(BEGIN_MARKER) == stdout.count(END_MARKER) == 2


def test_writing_replaces_the_report_whole_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "pilot-report.json"
    write_report(str(path), {"state": "running"})
    write_report(str(path), {"state": "ended"})

    assert json.loads(path.read_text()) == {"state": "ended"}
    assert list(tmp_path.iterdir()) == [path]
