"""Entries that protect themselves: what holds and ends mean, and when an entry is paused and opened."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.factory.world import NOW, failed, snapshot

from goc_pilot.validations import BUILT_IN
from opengoc.base.instant import format_instant
from opengoc.factory.finding import Action, FindingKind
from opengoc.factory.guard import seen_whole
from opengoc.factory.pilot_findings import pilot_findings
from opengoc.factory.protection import Alive, Care, Health, Phase, in_words, protect
from opengoc.factory.protection_ends import VERDICTS, PilotEnd, Verdict, judge
from opengoc.factory.protection_holds import HOLD_RULES, Hold, HoldCare, Treated, Treatment, treat
from opengoc.factory.protection_reports import BUILT_IN_VALIDATIONS, END_FILE, Ends, keep_end, read_ends

DOCUMENTED = Path(__file__).parents[3] / "docs" / "reference" / "protection.md"
CARE = Care()


def _hold(
    reason: str = "", *, code: int | None = None, grid: str = "condor", age: float = 0.0, times: int = 1
) -> Hold:
    since = NOW - timedelta(seconds=age)
    return Hold(grid_type=grid, reason=reason, code=code, since=since, times=times)


@pytest.mark.parametrize(
    ("hold", "treatment", "rule"),
    [
        (_hold("Spooling input data files", code=16), Treatment.WAIT, "spooling"),
        (_hold("via condor_hold (by user operator)", code=1), Treatment.WAIT, "held by a person"),
        (_hold("", code=4), Treatment.PAUSE, "credential"),
        (_hold("Failed to authenticate with any method"), Treatment.PAUSE, "credential refused"),
        (_hold("ARC job has no credentials", grid="arc"), Treatment.PAUSE, "credential refused"),
        (
            _hold(
                "Attempts to submit failed: submission command failed (exit code = 1) (stdout:) "
                "(stderr:sbatch: error: Batch job submission failed: Invalid partition name specified-)",
                grid="batch",
            ),
            Treatment.PAUSE,
            "request refused by the batch system",
        ),
        (
            _hold("stderr:qsub: Unauthorized Request MSG=group ACL is not satisfied", grid="batch"),
            Treatment.PAUSE,
            "request refused by the batch system",
        ),
        (_hold("cannot write: No space left on device", grid="batch"), Treatment.PAUSE, "no space"),
        (_hold("Failed to start GAHP"), Treatment.RETRY, "site away"),
        (
            _hold("sbatch: error: Unable to contact slurm controller (connect failure)", grid="batch"),
            Treatment.RETRY,
            "site away",
        ),
        (_hold("Transfer input files failure", code=13), Treatment.RETRY, "files between factory and site"),
        (_hold("File stage-in failed: x", grid="arc"), Treatment.RETRY, "staging"),
        (
            _hold("Error from slot1: memory usage exceeded request_memory", code=34),
            Treatment.KILL,
            "more than it asked for",
        ),
        (
            _hold("LRMS error: job killed: wall limit", grid="arc"),
            Treatment.KILL,
            "killed by the batch system",
        ),
        (_hold("SYSTEM_PERIODIC_HOLD", code=26), Treatment.KILL, "policy of the site"),
        (_hold("ARC job failed for unknown reason", grid="arc"), Treatment.KILL, "anything else"),
        (_hold("held remotely with no hold reason"), Treatment.KILL, "anything else"),
        (_hold(""), Treatment.KILL, "anything else"),
    ],
)
def test_a_hold_is_treated_by_what_it_says(hold: Hold, treatment: Treatment, rule: str) -> None:
    said = treat(hold, now=NOW)
    assert (said.treatment, said.rule) == (treatment, rule)
    assert said.reason.startswith(rule)


def test_words_of_one_grid_type_do_not_count_in_another() -> None:
    assert treat(_hold("invalid partition", grid="batch"), now=NOW).treatment is Treatment.PAUSE
    assert treat(_hold("invalid partition", grid="condor"), now=NOW).treatment is Treatment.KILL


@given(
    st.text(max_size=80),
    st.none() | st.integers(-1, 1100),
    st.sampled_from(["condor", "batch", "arc", ""]),
    st.integers(1, 10),
)
def test_every_hold_has_a_treatment(reason: str, code: int | None, grid: str, times: int) -> None:
    assert isinstance(treat(_hold(reason, code=code, grid=grid, times=times), now=NOW), Treated)


def test_a_retry_comes_later_each_time_and_ends_in_a_removal() -> None:
    care = HoldCare(retries=2, retry_seconds=60)
    away = "connection refused"
    cases = [(59, 1, False), (60, 1, True), (119, 2, False), (120, 2, True)]
    for age, times, is_due in cases:
        said = treat(_hold(away, age=age, times=times), now=NOW, care=care)
        assert (said.treatment, said.is_due) == (Treatment.RETRY, is_due)
    assert treat(_hold(away, times=3), now=NOW, care=care).treatment is Treatment.KILL


def test_a_hold_that_waits_for_a_person_does_not_wait_for_ever() -> None:
    assert treat(_hold(code=1, age=3599), now=NOW).treatment is Treatment.WAIT
    assert treat(_hold(code=1, age=3600), now=NOW).treatment is Treatment.KILL


def test_a_pilot_that_ran_out_of_its_time_is_not_held_against_the_entry() -> None:
    assert not treat(_hold(code=46), now=NOW).is_of_entry
    assert not treat(_hold("job killed: wall limit", grid="arc"), now=NOW).is_of_entry
    assert not treat(_hold(code=16, age=3600), now=NOW).is_of_entry
    assert treat(_hold(code=34), now=NOW).is_of_entry


def test_what_a_factory_remembers_is_judged_once_and_forgotten_after_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, lost = _end(1, at=-80_000), _end(2, None, at=0)
    folder = _folder(tmp_path, old, "2026-11-15")
    keep_end(folder, ended_at=old.ended_at)
    ends = Ends(tmp_path, now=NOW)
    for _ in range(2):
        ends.see(lost, now=NOW)
    ends.see(None, now=NOW)
    assert {each.end.pilot_id for each in ends.judged} == {"plt-001", "plt-002"}
    assert [record.message.split()[:3] for record in caplog.records] == [
        ["action=find", "kind=report-missing", "pilot=plt-002"]
    ]
    ends.see(_end(3, at=10_000), now=NOW + timedelta(seconds=10_000))
    assert {each.end.pilot_id for each in ends.judged} == {"plt-002", "plt-003"}


def test_every_row_of_the_table_is_documented_with_its_treatment() -> None:
    rows = [line.split("|") for line in DOCUMENTED.read_text().splitlines() if line.startswith("| ")]
    documented = {(row[1].strip(), row[2].strip()) for row in rows if len(row) > 3}
    assert {(rule.name, rule.treatment.value) for rule in HOLD_RULES} <= documented


def _report(
    reason: str = "idle",
    *,
    started: datetime,
    lived: float = 300.0,
    joined: bool = True,
    host: str = "wn1",
    lacking: tuple[str, ...] = (),
    failed: tuple[str, ...] = (),
    jobs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "schema": "goc-pilot-report/1",
        "host": host,
        "started_at": format_instant(started),
        "ended_at": format_instant(started + timedelta(seconds=lived)),
        "end": {"reason": reason, "message": "as told", "exit_code": 0},
        "startd": {"joined_at": format_instant(started) if joined else None},
        "jobs": jobs or {"finished": 1, "wall_seconds": 100.0},
        "validations": [
            {"name": name, "required": True, "result": "failed" if name in failed else "ok", "message": ""}
            for name in BUILT_IN_VALIDATIONS
            if name not in lacking
        ],
    }


def _end(
    number: int,
    reason: str | None = "idle",
    *,
    at: float,
    entry: str = "A",
    waited: float = 30.0,
    lived: float = 300.0,
    **report: Any,
) -> PilotEnd:
    """A pilot that ended ``at`` seconds after NOW; no reason: it left no report."""
    ended = NOW + timedelta(seconds=at)
    started = ended - timedelta(seconds=lived)
    return PilotEnd(
        pilot_id=f"plt-{number:03d}",
        entry=entry,
        vo="cms",
        submitted_at=started - timedelta(seconds=waited),
        ended_at=ended,
        report=None if reason is None else _report(reason, started=started, lived=lived, **report),
        expected=BUILT_IN_VALIDATIONS,
    )


def _bad(number: int, at: float, **more: Any) -> PilotEnd:
    return _end(number, "validation-failed", at=at, joined=False, failed=("disk",), lived=10.0, **more)


def test_the_names_of_validations_are_the_pilots_own() -> None:
    assert tuple(BUILT_IN) == BUILT_IN_VALIDATIONS


@pytest.mark.parametrize(
    ("end", "verdict", "kinds"),
    [
        (_end(1, "idle", at=0), Verdict.GOOD, []),
        (_end(1, "walltime", at=0), Verdict.GOOD, []),
        (_end(1, "signal", at=0, lived=5), Verdict.NEUTRAL, []),
        (_end(1, None, at=0), Verdict.BAD, [FindingKind.REPORT_MISSING]),
        (_bad(1, 0), Verdict.BAD, [FindingKind.VALIDATION_FAILED]),
        (_end(1, "startd-died", at=0, lived=30), Verdict.BAD, [FindingKind.SHORT_LIVED]),
        (_end(1, "startd-died", at=0, lived=3600), Verdict.NEUTRAL, []),
        (_end(1, "startd-died", at=0, lived=3600, joined=False), Verdict.BAD, [FindingKind.SHORT_LIVED]),
        (
            _end(1, "config-error", at=0, lived=1, joined=False, lacking=BUILT_IN_VALIDATIONS),
            Verdict.BAD,
            [FindingKind.SHORT_LIVED],
        ),
        (_end(1, "idle", at=0, lacking=("memory",)), Verdict.GOOD, [FindingKind.VALIDATION_MISSING]),
        (
            _end(1, "idle", at=0, jobs={"finished": 40, "wall_seconds": 40.0}),
            Verdict.GOOD,
            [FindingKind.EATS_JOBS],
        ),
        (_end(1, "something new", at=0, lived=5), Verdict.BAD, [FindingKind.SHORT_LIVED]),
    ],
)
def test_an_end_is_judged_by_its_report(end: PilotEnd, verdict: Verdict, kinds: list[FindingKind]) -> None:
    judged = judge(end)
    assert judged.verdict is verdict
    assert [finding.kind for finding in judged.findings] == kinds


def test_every_end_that_the_pilot_documents_has_a_verdict() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "pilot.md").read_text()
    table = text.split("## Ends and exit codes")[1].split("## ")[0]
    reasons = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert reasons == VERDICTS.keys()


def test_a_validation_that_was_skipped_without_being_asked_is_missing() -> None:
    end = _end(1, at=0)
    assert end.report is not None
    end.report["validations"][0] |= {"result": "skipped", "message": "not asked for"}
    (finding,) = judge(end).findings
    assert (finding.kind, finding.detail) == (FindingKind.VALIDATION_MISSING, "python was not run")


def test_what_pilots_of_the_last_hour_show_is_one_finding_a_kind_and_entry() -> None:
    eaten = {"finished": 40, "wall_seconds": 40.0}
    ends = [
        _bad(1, at=-4000),
        *(_bad(number, at=-3000, host=f"wn{number}") for number in (2, 3, 4, 5)),
        _bad(6, at=-20, host="wn2"),
        _end(7, "idle", at=-10, lacking=("memory",), entry="B"),
        _end(8, "idle", at=-5, jobs=eaten, entry="B"),
        replace(_end(9, None, at=-1, entry="B"), hold_reason="partition unknown", pauses=True),
    ]
    found = pilot_findings(map(judge, ends), now=NOW)
    assert [(each.kind, each.subject, each.entry, each.action, each.evidence) for each in found] == [
        (
            FindingKind.EATS_JOBS,
            "pilots of B",
            "B",
            Action.ALARM,
            "1 within an hour on wn1 (1); the last: plt-008, 40 jobs of 1.0 s on average",
        ),
        (
            FindingKind.HELD,
            "pilots of B",
            "B",
            Action.CLOSED,
            "1 within an hour; the last: plt-009, partition unknown",
        ),
        (
            FindingKind.VALIDATION_FAILED,
            "pilots of A",
            "A",
            Action.COUNTED,
            "5 within an hour on wn2 (2), wn3 (1), wn4 (1) and 1 more; the last: plt-006, disk: ",
        ),
        (
            FindingKind.VALIDATION_MISSING,
            "pilots of B",
            "B",
            Action.ALARM,
            "1 within an hour on wn1 (1); the last: plt-007, memory is not in the report",
        ),
    ]
    assert pilot_findings(map(judge, ends), now=NOW + timedelta(hours=1)) == ()
    # What is kept of ends is always whole: it is over when it is not there.
    blind = replace(snapshot(), pilots=failed("queue"), slots=failed("slots"))
    assert {each.kind for each in found} <= seen_whole(blind)


def _health(*ends: PilotEnd, at: float, alive: tuple[Alive, ...] = ()) -> Health:
    return protect(map(judge, ends), now=NOW + timedelta(seconds=at), alive=alive).of("A")


def _alive(since: float) -> Alive:
    return Alive(pilot_id="plt-live", entry="A", since=NOW + timedelta(seconds=since))


THREE_BAD = tuple(_bad(number, number * 10.0, host="wn7") for number in range(3))
#: They end at 20 s; the first pause is 600 s.
OVER = 20.0 + CARE.pause_seconds


def test_an_entry_that_nobody_heard_of_is_open() -> None:
    assert _health(at=0) == Health(entry="A")


def test_pilots_that_fail_one_after_the_other_pause_the_entry() -> None:
    assert _health(*THREE_BAD[:2], at=100).phase is Phase.OPEN
    health = _health(*THREE_BAD, at=100)
    assert (health.phase, health.until) == (Phase.PAUSED, NOW + timedelta(seconds=OVER))
    assert "3 of the last 3 pilots ended badly" in health.reason
    assert "3 of them on wn7" in health.reason
    assert in_words(health).startswith(f"until {format_instant(NOW + timedelta(seconds=OVER))}: 3 of")


def test_a_few_failures_among_many_that_do_well_do_not_pause_it() -> None:
    well = [_end(number, at=-100.0 + number) for number in range(10, 14)]
    assert _health(*well, *THREE_BAD, at=100).phase is Phase.OPEN


def test_failures_of_long_ago_do_not_count() -> None:
    early = [_bad(number, number * 2000.0) for number in range(4)]
    assert _health(*early, at=6100).phase is Phase.OPEN


def test_after_the_pause_one_pilot_at_a_time_is_let_go() -> None:
    assert _health(*THREE_BAD, at=OVER - 1).phase is Phase.PAUSED
    health = _health(*THREE_BAD, at=OVER)
    assert health.phase is Phase.CANARY
    assert "one pilot at a time" in in_words(health)


def test_a_canary_that_does_well_opens_the_entry() -> None:
    canary = _end(9, at=OVER + 100, lived=60)
    health = _health(*THREE_BAD, canary, at=OVER + 100)
    assert (health.phase, health.pauses, in_words(health)) == (Phase.OPEN, 0, "")


def test_a_canary_that_is_in_the_pool_for_long_enough_opens_it_before_it_ends() -> None:
    enough = OVER + 5 + CARE.proof_seconds
    assert _health(*THREE_BAD, at=enough - 1, alive=(_alive(OVER + 5),)).phase is Phase.CANARY
    assert _health(*THREE_BAD, at=enough, alive=(_alive(OVER + 5),)).phase is Phase.OPEN
    # One that was there before the pause ended proves nothing.
    assert _health(*THREE_BAD, at=enough, alive=(_alive(OVER - 5),)).phase is Phase.CANARY


def test_what_a_living_canary_proved_stays_proved_when_it_has_ended() -> None:
    ended = _end(9, "startd-died", at=OVER + 7000, lived=6990)
    later = _bad(10, OVER + 8000)
    assert _health(*THREE_BAD, ended, later, at=OVER + 8001).phase is Phase.OPEN


def test_a_canary_that_fails_pauses_it_for_twice_as_long() -> None:
    failed = _bad(9, OVER + 20)
    health = _health(*THREE_BAD, failed, at=OVER + 20)
    assert (health.phase, health.pauses) == (Phase.PAUSED, 2)
    assert health.until == NOW + timedelta(seconds=OVER + 20 + 2 * CARE.pause_seconds)
    assert "canary plt-009" in health.reason


def test_pauses_grow_to_the_longest_and_no_further() -> None:
    ends, at = list(THREE_BAD), OVER
    for number in range(10, 20):
        ends.append(_bad(number, at + 20))
        health = _health(*ends, at=at + 20)
        assert health.until is not None
        at = (health.until - NOW).total_seconds()
    assert at - (health.since - NOW).total_seconds() == CARE.longest_pause_seconds  # type: ignore[operator]


def test_pilots_that_were_on_their_way_before_the_pause_change_nothing() -> None:
    before = _bad(9, 50.0)
    assert _health(*THREE_BAD, before, at=100) == _health(*THREE_BAD, at=100)
    well = _end(9, at=200.0, lived=190)
    assert _health(*THREE_BAD, well, at=300).phase is Phase.PAUSED


def test_one_hold_that_every_pilot_would_meet_pauses_at_once() -> None:
    held = PilotEnd(
        pilot_id="plt-1",
        entry="A",
        vo="cms",
        submitted_at=NOW,
        ended_at=NOW + timedelta(seconds=30),
        hold_reason="request refused by the batch system: Invalid partition",
        pauses=True,
    )
    health = _health(held, at=31)
    assert (health.phase, health.reason) == (Phase.PAUSED, held.hold_reason)


def test_entries_are_judged_apart() -> None:
    protection = protect(map(judge, [*THREE_BAD, _end(9, at=0, entry="B")]), now=NOW + timedelta(seconds=100))
    assert protection.of("A").phase is Phase.PAUSED
    assert protection.of("B").phase is Phase.OPEN
    assert {finding.entry for finding in protection.findings} == {"A"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["idle", "signal", "validation-failed", "startd-died", None]),
            st.integers(0, 4000),
            st.integers(1, 400),
        ),
        max_size=25,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_ends_are_heard_of_does_not_matter(cases: list[Any], random: Any) -> None:
    ends = [_end(number, reason, at=at, lived=lived) for number, (reason, at, lived) in enumerate(cases)]
    now = NOW + timedelta(seconds=4000)
    told = protect(map(judge, ends), now=now)
    random.shuffle(ends)
    assert protect(map(judge, ends), now=now) == told
    for health in told.health.values():
        assert (health.phase is Phase.OPEN) == (health.until is None)


def _folder(home: Path, end: PilotEnd, day: str) -> Path:
    folder = home / "pilots" / day / end.pilot_id
    folder.mkdir(parents=True)
    told = {
        "pilot_id": end.pilot_id,
        "entry": end.entry,
        "vos": [end.vo],
        "issued_at": format_instant(end.submitted_at),
    }
    (folder / "pilot.json").write_text(json.dumps(told))
    if end.report is not None:
        (folder / "pilot-report.json").write_text(json.dumps(end.report))
    return folder


def test_ends_are_kept_on_disk_and_read_again(tmp_path: Path) -> None:
    ends = [_end(1, at=0), _end(2, None, at=10), _end(3, at=-7200)]
    for end in ends:
        folder = _folder(tmp_path, end, "2026-11-16")
        assert keep_end(folder, ended_at=end.ended_at) == end
    assert read_ends(tmp_path / "pilots", since=NOW - timedelta(hours=1)) == (ends[0], ends[1])
    assert read_ends(tmp_path / "pilots", since=NOW - timedelta(days=1)) == (ends[2], ends[0], ends[1])


def test_keeping_an_end_again_changes_nothing(tmp_path: Path) -> None:
    end = _end(1, at=0)
    folder = _folder(tmp_path, end, "2026-11-16")
    keep_end(folder, ended_at=end.ended_at, exit_code=0)
    before = (folder / END_FILE).read_text()
    again = keep_end(folder, ended_at=end.ended_at + timedelta(hours=1), exit_code=1)
    assert (folder / END_FILE).read_text() == before
    assert again is not None
    assert again.exit_code == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pilot_id": "x"}', '{"issued_at": 3}'])
def test_a_folder_that_cannot_be_read_is_left_out(tmp_path: Path, content: str) -> None:
    end = _end(1, at=0)
    folder = _folder(tmp_path, end, "2026-11-16")
    keep_end(folder, ended_at=end.ended_at)
    (folder / "pilot.json").write_text(content)
    assert read_ends(tmp_path / "pilots", since=NOW - timedelta(days=1)) == ()
    assert read_ends(tmp_path / "nowhere", since=NOW) == ()


def test_a_pilot_that_is_still_on_its_way_has_no_end(tmp_path: Path) -> None:
    _folder(tmp_path, _end(1, at=0), "2026-11-16")
    assert read_ends(tmp_path / "pilots", since=NOW - timedelta(days=1)) == ()
