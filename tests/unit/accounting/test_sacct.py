"""Slurm's sacct: what it told of a cluster's real jobs (Slurm 24.11.5, slurmdbd on MariaDB 11.8.6).

``sacct-24.11.txt`` was printed in UTC; ``sacct-24.11-jobcomp.txt`` are lines of the same cluster's completion
log, whose slurmctld ran in Berlin's time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from opengoc.accounting.formats import sacct, slurm_jobcomp
from opengoc.accounting.formats.piece import Piece, Tail
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source

DATA = Path(__file__).parents[2] / "data/accounting"
SAMPLE = (DATA / "sacct-24.11.txt").read_bytes()
HEADER = SAMPLE[: SAMPLE.index(b"\n") + 1]
SOURCE = Source(name="slurm", format="sacct", path=Path(), kind=Kind.BATCH, site="SITE-A")


def read(data: bytes) -> list[Piece]:
    return list(sacct.read(data, source=SOURCE, offset=0, tail=Tail.ENDED))


def records(data: bytes = SAMPLE) -> list[UsageRecord]:
    return [piece.record for piece in read(data) if piece.record]


def attempts(job_id: str) -> list[UsageRecord]:
    return [record for record in records() if record.global_job_id == job_id]


def one(job_id: str) -> UsageRecord:
    (record,) = attempts(job_id)
    return record


def lines_of(name: bytes) -> bytes:
    """The header, and the lines whose last column is ``name``."""
    return HEADER + b"".join(line for line in SAMPLE.splitlines(True) if line.endswith(b"|" + name + b"\n"))


def test_every_job_of_a_listing_is_a_record_and_no_step_is() -> None:
    pieces = read(SAMPLE)
    assert [piece.fault for piece in pieces if piece.fault] == []
    jobs = [line for line in SAMPLE.splitlines()[1:] if b"." not in line.split(b"|")[1]]
    found = records()
    assert len(found) == len(jobs) == len({(each.global_job_id, each.attempt) for each in found})


def test_a_job_has_the_cpu_of_its_steps_and_the_largest_memory_of_them() -> None:
    job = one("2")
    assert (job.cpu_user_seconds, job.cpu_system_seconds) == (0.897, 2.148)
    assert (job.wall_seconds, job.processors, job.memory_mib) == (9.0, 1, 39)
    assert (job.instance, job.vo, job.queue, job.status) == ("itb", "cms", "grid", "completed")
    assert job.ended_at == datetime(2026, 11, 23, 1, 27, 3, tzinfo=UTC)


def test_runs_of_a_requeued_job_are_told_apart() -> None:
    first, second = attempts("14")
    assert [first.status, second.status] == ["requeued", "completed"]
    assert (second.attempt - first.attempt, first.wall_seconds, second.wall_seconds) == (259, 30.0, 12.0)


def test_both_sizes_of_a_resized_job_are_counted() -> None:
    large, small = attempts("21")
    assert [(each.status, each.processors, each.wall_seconds) for each in (large, small)] == [
        ("resizing", 2, 10.0),
        ("completed", 1, 10.0),
    ]


def test_a_job_that_is_being_resized_and_has_no_end_has_not_ended() -> None:
    line = next(each for each in lines_of(b"resized").splitlines(True) if b"|RESIZING|" in each)
    (_, piece) = read(HEADER + line.replace(b"2026-11-23T01:32:38", b"Unknown"))
    assert piece.record is None
    assert "has not ended" in piece.fault


def test_cpu_that_nobody_measured_is_unknown_and_not_zero() -> None:
    without_a_step = one("17")
    assert (without_a_step.wall_seconds, without_a_step.cpu_seconds) == (3.0, None)
    assert [each.cpu_seconds for each in attempts("21")] == [None, None]
    assert one("10").cpu_seconds == 0.0, "it never ran"
    assert one("5").cpu_seconds == 0.002, "too short to be sampled, and told when it ended"


@pytest.mark.parametrize(
    ("job_id", "what"),
    [("11", "11_[1-5]"), ("18", "18_[1-63:2]"), ("24", "24_[1-2,4,8,15-16,")],
    ids=["a range", "a range with steps", "a list that is cut off"],
)
def test_an_array_that_never_ran_is_a_record_however_its_tasks_are_listed(job_id: str, what: str) -> None:
    assert f"\n{what}".encode() in SAMPLE
    array = one(job_id)
    assert (array.status, array.wall_seconds, array.started_at) == ("cancelled", 0.0, None)


def test_a_listing_without_raw_ids_names_tasks_as_slurm_shows_them() -> None:
    rows = [line.split(b"|") for line in lines_of(b"array").splitlines()]
    found = records(b"\n".join(b"|".join([row[0], *row[2:]]) for row in rows) + b"\n")
    assert [each.global_job_id for each in found] == ["3_1", "3_2", "3_3"]


def test_a_job_read_from_the_completion_log_as_well_is_the_same_one() -> None:
    log = (DATA / "sacct-24.11-jobcomp.txt").read_bytes()
    berlin = Source(
        name="log",
        format="slurm-jobcomp",
        path=Path("jobcomp"),
        kind=Kind.BATCH,
        site="SITE-A",
        time_zone="Europe/Berlin",
    )
    pieces = slurm_jobcomp.read(log, source=berlin, offset=0, tail=Tail.ENDED)
    logged = {
        (each.instance, each.global_job_id, each.attempt, each.ended_at, each.wall_seconds, each.status)
        for each in (piece.record for piece in pieces)
        if each
    }
    listed = {
        (each.instance, each.global_job_id, each.attempt, each.ended_at, each.wall_seconds, each.status)
        for each in records()
    }
    assert len(logged) == log.count(b"\n") == 8
    assert logged <= listed
