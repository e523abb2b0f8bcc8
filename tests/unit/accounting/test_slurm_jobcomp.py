"""Slurm's completion log: what slurmctld 24.11 wrote, and what can happen to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.accounting.formats import slurm_jobcomp
from opengoc.accounting.formats.piece import Piece, Tail
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

SAMPLE = (Path(__file__).parents[2] / "data/accounting/slurm-24.11-jobcomp.txt").read_bytes()
SOURCE = Source(
    name="itb-slurm", format="slurm-jobcomp", path=Path("jobcomp"), kind=Kind.PILOT, site="ITB-SLURM"
)
LINE = next(line for line in SAMPLE.splitlines(keepends=True) if b"Name=pilot-0002 " in line)


def read(data: bytes, *, tail: Tail = Tail.OPEN, source: Source = SOURCE) -> list[Piece]:
    return list(slurm_jobcomp.read(data, source=source, offset=0, tail=tail))


def records(pieces: list[Piece]) -> list[UsageRecord]:
    return [piece.record for piece in pieces if piece.record]


def one(line: bytes, *, source: Source = SOURCE) -> UsageRecord:
    (piece,) = read(line, source=source)
    assert piece.record is not None, piece.fault
    return piece.record


def fault(line: bytes) -> str:
    (piece,) = read(line)
    return piece.fault


def test_a_log_of_slurmctld_is_read_whole() -> None:
    pieces = read(SAMPLE)
    assert [piece.fault for piece in pieces if piece.fault] == []
    assert len(records(pieces)) == SAMPLE.count(b"\n")


def test_an_attempt_has_wall_time_processors_and_its_pilot_and_no_cpu() -> None:
    pilot = one(LINE)
    assert (pilot.wall_seconds, pilot.processors, pilot.pilot_id) == (3.0, 2, "pilot-0002")
    assert (pilot.site, pilot.queue, pilot.status, pilot.exit_code) == ("ITB-SLURM", "grid", "completed", 0)
    assert (pilot.cpu_seconds, pilot.memory_mib, pilot.vo) == (None, None, None)
    assert pilot.instance == "itb-slurm"


def test_attempts_of_a_requeued_job_are_told_apart() -> None:
    first, second = [r for r in records(read(SAMPLE)) if r.pilot_id == "pilot-0003"]
    assert first.global_job_id == second.global_job_id
    assert first.identity != second.identity
    assert (first.status, second.status) == ("requeued", "completed")
    assert first.ended_at <= second.started_at


def test_a_job_cancelled_while_it_waited_never_started() -> None:
    (never,) = [r for r in records(read(SAMPLE)) if r.pilot_id == "never"]
    assert (never.started_at, never.wall_seconds, never.processors) == (None, 0.0, 1)
    assert never.status == "cancelled"


def test_a_start_that_is_not_known_is_none() -> None:
    unknown = one(LINE.replace(b"StartTime=2026-11-22T17:32:58", b"StartTime=Unknown"))
    assert (unknown.started_at, unknown.wall_seconds) == (None, 0.0)
    assert unknown.attempt == int(datetime(2026, 11, 22, 17, 32, 57, tzinfo=UTC).timestamp())


def test_a_name_with_blanks_or_fields_in_it_is_read() -> None:
    names = {r.pilot_id for r in records(read(SAMPLE))}
    assert {"two words", "a name JobState=FAILED"} <= names


def test_a_name_that_imitates_the_whole_log_is_a_fault() -> None:
    forged = b"x JobState=COMPLETED Partition=grid TimeLimit=1 StartTime=2026-01-01T00:00:00"
    assert "imitates" in fault(LINE.replace(b"pilot-0002", forged))


def test_a_folder_cannot_forge_the_fields_behind_it() -> None:
    forged = LINE.replace(b"WorkDir=/mnt", b"WorkDir=/x Account=cms SubmitTime=2020-01-01T00:00:00")
    assert one(forged).vo is None
    assert one(forged).submitted_at == one(LINE).submitted_at


def test_the_account_is_the_vo_and_the_cluster_the_instance_where_slurm_says_them() -> None:
    told = one(LINE.replace(b"Account=", b"Account=atlas").replace(b"Cluster=unknown", b"Cluster=hpc"))
    assert (told.vo, told.instance) == ("atlas", "hpc")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (LINE.replace(b"EndTime=2026-11-22T17:33:01", b"EndTime=Unknown"), "EndTime is not known"),
        (LINE.replace(b"EndTime=2026-11-22T17:33:01", b"EndTime=2026-11-22T17:00:00"), "before the start"),
        (LINE.replace(b"EndTime=2026-11-22", b"EndTime=2026-13-42"), "is no time"),
        (LINE.replace(b"ProcCnt=2", b"ProcCnt=0"), "at least 1"),
        (LINE[40:], "is no line"),
        (b"\xff\xfe\x00garbage\n", "is no line"),
    ],
)
def test_a_bad_line_is_a_fault_that_says_why(changed: bytes, reason: str) -> None:
    assert reason in fault(changed)
    # … and costs only itself.
    assert len(records(read(LINE + changed + LINE))) == 2


def test_local_times_are_read_in_the_zone_of_the_source() -> None:
    rome = Source(
        name="r", format="slurm-jobcomp", path=Path("j"), kind=Kind.PILOT, site="S", time_zone="Europe/Rome"
    )
    assert one(LINE, source=rome).ended_at == datetime(2026, 11, 22, 16, 33, 1, tzinfo=UTC)


def test_a_job_across_the_end_of_summer_time_does_not_end_before_it_starts() -> None:
    rome = Source(
        name="r", format="slurm-jobcomp", path=Path("j"), kind=Kind.PILOT, site="S", time_zone="Europe/Rome"
    )
    line = LINE.replace(b"StartTime=2026-11-22T17:32:58", b"StartTime=2026-10-25T02:50:00")
    line = line.replace(b"EndTime=2026-11-22T17:33:01", b"EndTime=2026-10-25T02:10:00")
    assert one(line, source=rome).wall_seconds == 20 * 60


def test_a_time_zone_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="IANA"):
        Source(name="r", format="slurm-jobcomp", path=Path("j"), kind=Kind.PILOT, time_zone="Mars/Olympus")


def test_an_unfinished_last_line_waits_unless_the_file_has_ended() -> None:
    assert [piece.end for piece in read(LINE + LINE[:-10])] == [len(LINE)]
    ended = read(LINE + LINE[:-10], tail=Tail.ENDED)
    assert ended[-1].fault == "is not finished where the file ends"


@given(
    st.lists(st.one_of(st.sampled_from(SAMPLE.splitlines(keepends=True)), st.binary(max_size=60))),
    st.sampled_from([Tail.OPEN, Tail.ENDED]),
)
def test_any_bytes_are_cut_into_pieces_without_a_gap(lines: list[bytes], tail: Tail) -> None:
    data = b"".join(lines)
    pieces = read(data, tail=tail)
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces)][: len(pieces)]
    end = pieces[-1].end if pieces else 0
    assert end == (len(data) if tail is Tail.ENDED else data.rfind(b"\n") + 1)


@given(st.binary(max_size=30), st.integers(0, 700), st.integers(0, 60))
def test_damage_within_a_line_never_raises(junk: bytes, at: int, length: int) -> None:
    for piece in read(LINE[:at] + junk + LINE[at + length :] + b"\n"):
        assert piece.record is None or not piece.fault
