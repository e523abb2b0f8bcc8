"""HTCondor history: what a schedd of 23.9 wrote, and what can happen to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.accounting.formats import condor_history
from opengoc.accounting.formats.piece import Piece, Tail
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source

SAMPLE = (Path(__file__).parents[2] / "data/accounting/condor-23.9-history.txt").read_bytes()
SOURCE = Source(name="pool", format="condor-history", path=Path("history"), kind=Kind.PAYLOAD)
#: One whole record of the sample: job 1.2, first in the file.
FIRST = SAMPLE[: SAMPLE.index(b"\n*** ") + 1]


def read(data: bytes, *, offset: int = 0, tail: Tail = Tail.OPEN, source: Source = SOURCE) -> list[Piece]:
    return list(condor_history.read(data, source=source, offset=offset, tail=tail))


def records(pieces: list[Piece]) -> list[UsageRecord]:
    return [piece.record for piece in pieces if piece.record]


def faults(pieces: list[Piece]) -> list[str]:
    return [piece.fault for piece in pieces if piece.fault]


def one(ad: bytes, *, source: Source = SOURCE) -> UsageRecord:
    (piece,) = read(ad, tail=Tail.WHOLE, source=source)
    assert piece.record is not None, piece.fault
    return piece.record


def job(cluster: int, ad: bytes = FIRST) -> bytes:
    """The first ad as another job's."""
    number = str(cluster).encode()
    return ad.replace(b"#1.2#", b"#" + number + b".2#").replace(
        b"ClusterId = 1\n", b"ClusterId = " + number + b"\n"
    )


def history(*ads: tuple[int, bytes]) -> bytes:
    """Ads of jobs as a schedd appends them, each banner telling where the last line began before."""
    written = b""
    for cluster, ad in ads:
        last_line = written[:-1].rfind(b"\n") + 1 if written else 0
        banner = '*** Offset = {} ClusterId = {} ProcId = 2 Owner = "vdt" CompletionDate = 1795367906\n'
        written += ad + banner.format(last_line, cluster).encode()
    return written


def test_a_file_of_a_schedd_is_read_whole() -> None:
    pieces = read(SAMPLE)
    assert faults(pieces) == []
    assert pieces[-1].end == len(SAMPLE)
    assert {(r.vo, r.status, r.wall_seconds) for r in records(pieces)} == {
        ("cms", "completed", 4.0),
        ("cms", "completed", 3.0),
        ("atlas", "removed", 14.0),
        ("atlas", "removed", 19.0),
        ("ligo", "removed", 0.0),
    }
    assert sum(r.wall_seconds for r in records(pieces)) == 64.0


def test_a_payload_carries_the_site_and_pilot_it_ran_in() -> None:
    ran = records(read(SAMPLE))[0]
    assert (ran.site, ran.resource, ran.pilot_id) == ("ITB-CONDOR", "itb-ce", "pilot-1")
    assert ran.instance == "vdt@127-0-0-1.itb.example"
    assert ran.started_at == datetime(2026, 11, 22, 17, 18, 22, tzinfo=UTC)
    assert ran.ended_at == datetime(2026, 11, 22, 17, 18, 26, tzinfo=UTC)


def test_a_job_that_never_started_is_kept_with_wall_time_0_and_no_start() -> None:
    (never,) = [r for r in records(read(SAMPLE)) if r.vo == "ligo"]
    assert (never.wall_seconds, never.started_at, never.site) == (0.0, None, None)
    assert never.ended_at == datetime(2026, 11, 22, 17, 18, 49, tzinfo=UTC)


def test_a_vacated_job_counts_the_wall_time_of_all_its_starts_and_ends_when_it_was_removed() -> None:
    (vacated,) = [r for r in records(read(SAMPLE)) if "#2.0#" in r.global_job_id]
    assert (vacated.wall_seconds, vacated.processors, vacated.exit_signal) == (14.0, 2, 15)
    assert vacated.ended_at == datetime(2026, 11, 22, 17, 18, 49, tzinfo=UTC)


def test_cpu_of_a_process_that_was_never_sampled_is_not_known() -> None:
    unsampled, sampled = records(read(SAMPLE))[0], records(read(SAMPLE))[7]
    assert unsampled.cpu_seconds is None
    assert sampled.cpu_seconds == 1.0


def test_cumulative_cpu_goes_before_that_of_the_last_start() -> None:
    ad = FIRST.replace(b"CumulativeRemoteUserCpu = 0.0", b"CumulativeRemoteUserCpu = 30.0")
    assert one(ad).cpu_user_seconds == 30.0


def test_a_grid_job_without_cpu_has_cpu_that_is_not_known() -> None:
    ad = FIRST.replace(b"JobUniverse = 5", b"JobUniverse = 9").replace(b"ResidentSetSize", b"NotMeasured")
    assert one(ad).cpu_seconds is None
    assert one(ad.replace(b"JobUniverse = 9", b"JobUniverse = 5")).cpu_seconds == 0.0


def test_pilots_take_site_from_the_source_and_entry_and_vo_from_their_ad() -> None:
    site = Source(
        name="site",
        format="condor-history",
        path=Path("h"),
        kind=Kind.PILOT,
        site="ITB-CONDOR",
        instance="ce",
    )
    extra = b'GOC_VO = "atlas"\nGOC_PilotId = "p-1"\nGOC_Entry = "ITB-CONDOR-ce"\nGOC_Digest = "d1"\n'
    pilot = one(FIRST.replace(b"MachineAttr", b"Other") + extra, source=site)
    assert (pilot.kind, pilot.site, pilot.vo) == (Kind.PILOT, "ITB-CONDOR", "atlas")
    assert (pilot.pilot_id, pilot.entry, pilot.policy_digest) == ("p-1", "ITB-CONDOR-ce", "d1")


def test_a_test_job_of_a_probe_is_no_pilot() -> None:
    site = Source(name="s", format="condor-history", path=Path("h"), kind=Kind.PILOT, site="ITB-CONDOR")
    assert one(FIRST + b'GOC_Probe = "ITB-CONDOR-ce"\n', source=site).kind is Kind.BATCH


@pytest.mark.parametrize(
    ("attribute", "fault"),
    [
        (b"RemoteWallClockTime", "RemoteWallClockTime is missing"),
        (b"EnteredCurrentStatus", "its end is not known"),
    ],
)
def test_a_record_without_what_it_needs_is_a_fault_that_says_so(attribute: bytes, fault: str) -> None:
    ad = FIRST.replace(b"CompletionDate", b"Other") if attribute == b"EnteredCurrentStatus" else FIRST
    (piece,) = read(ad.replace(b"\n" + attribute + b" =", b"\nOther ="), tail=Tail.WHOLE)
    assert fault in piece.fault


def test_processors_are_those_provisioned_then_requested() -> None:
    assert one(FIRST.replace(b"CpusProvisioned = 1", b"CpusProvisioned = 4")).processors == 4
    requested = FIRST.replace(b"CpusProvisioned = 1\n", b"").replace(b"RequestCpus = 1", b"RequestCpus = 8")
    assert one(requested).processors == 8
    expression = requested.replace(b"RequestCpus = 8", b"RequestCpus = ifThenElse(a, 1, 8)")
    assert "RequestCpus is an expression" in faults(read(expression, tail=Tail.WHOLE))[0]


def test_an_unfinished_last_record_waits_until_it_is_finished() -> None:
    whole = history((10, job(10)), (11, job(11)))
    first_end = whole.index(b"\n*** ") + 1
    first_end = whole.index(b"\n", first_end) + 1
    for cut in range(first_end, len(whole)):
        assert [r.global_job_id.split("#")[1] for r in records(read(whole[:cut]))] == ["10.2"]
        assert read(whole[:cut])[-1].end == first_end
    assert len(records(read(whole))) == 2
    assert faults(read(whole[:-200], tail=Tail.ENDED)) == ["is not finished where the file ends"]


@pytest.mark.parametrize("at_line_end", [True, False])
def test_a_record_cut_off_by_a_dying_schedd_is_told_from_the_next(at_line_end: bool) -> None:
    for cut in range(40, len(FIRST) - 40, 7):
        kept = job(11)[:cut]
        kept = kept[: kept.rfind(b"\n") + 1] if at_line_end else kept
        if not kept:
            continue
        data = _die(history((10, job(10))), kept)
        pieces = read(data)
        assert pieces[-1].end == len(data)
        assert [r.global_job_id.split("#")[1] for r in records(pieces)] == ["10.2", "12.2", "13.2"], kept[
            -60:
        ]
        assert records(pieces)[1].wall_seconds == 4.0
        assert records(pieces)[1].vo == "cms"
        assert len(faults(pieces)) == 1


def _die(before: bytes, kept: bytes) -> bytes:
    """What stands in a file when a schedd died within a record, and goes on with two more jobs."""
    written = before + kept
    for cluster in (12, 13):
        last_line = written[:-1].rfind(b"\n") + 1
        banner = (
            f'*** Offset = {last_line} ClusterId = {cluster} ProcId = 2 Owner = "vdt" CompletionDate = 1\n'
        )
        written += job(cluster) + banner.encode()
    return written


def test_a_piece_cut_out_of_the_middle_of_a_file_costs_that_record_only() -> None:
    whole = history(*((n, job(n)) for n in range(10, 16)))
    start = whole.index(b"#12.2#")
    data = whole[:start] + whole[start + 5000 :]
    pieces = read(data)
    assert [r.global_job_id.split("#")[1] for r in records(pieces)] == ["10.2", "11.2", "14.2", "15.2"]
    assert len(faults(pieces)) >= 1


def test_two_files_put_together_by_hand_are_read() -> None:
    data = history((10, job(10))) + history((20, job(20)), (21, job(21)))
    assert len(records(read(data))) == 3
    assert faults(read(data)) == []


def test_a_banner_that_names_another_job_is_a_fault() -> None:
    assert "names another job" in faults(read(history((99, job(10)))))[0]


def test_a_file_of_single_starts_is_refused_as_such() -> None:
    data = job(10) + b'*** EPOCH ClusterId=10 ProcId=2 RunInstanceId=0 Owner="vdt" CurrentTime=1795367906\n'
    assert "JOB_EPOCH_HISTORY" in faults(read(data))[0]


def test_bytes_that_are_not_utf_8_do_not_stop_a_record() -> None:
    record = one(FIRST.replace(b'VO = "cms"', b'VO = "c\xe9ms"').replace(b'Cmd = "', b'Cmd = "\xff\xfe'))
    assert record.vo == r"c\xe9ms"


def test_times_of_zero_are_missing_and_never_1970() -> None:
    ad = FIRST.replace(b"JobStartDate = ", b"JobStartDate = 0\nOld = ").replace(
        b"QDate = ", b"QDate = 0\nOlder = "
    )
    ad = ad.replace(b"JobCurrentStartDate = ", b"JobCurrentStartDate = 0\nOldest = ")
    assert (one(ad).started_at, one(ad).submitted_at) == (None, None)


def _covers(pieces: list[Piece], data: bytes) -> None:
    at = 0
    for piece in pieces:
        assert piece.start == at
        assert piece.end > piece.start
        at = piece.end
    assert at <= len(data)


@given(st.binary(max_size=400), st.sampled_from(Tail), st.integers(0, 10**6))
def test_any_bytes_are_cut_into_pieces_without_a_gap(data: bytes, tail: Tail, offset: int) -> None:
    pieces = read(data, tail=tail, offset=offset)
    _covers(pieces, data)
    if tail is not Tail.OPEN:
        assert sum(piece.end - piece.start for piece in pieces) == len(data)


_LINE_OF_SAMPLE = st.sampled_from(SAMPLE.splitlines(keepends=True))


@given(st.lists(st.one_of(_LINE_OF_SAMPLE, st.binary(max_size=20)), max_size=60), st.integers(0, 50000))
def test_any_mixture_of_real_lines_is_cut_into_pieces_without_a_gap(lines: list[bytes], offset: int) -> None:
    data = b"".join(lines)
    pieces = read(data, offset=offset, tail=Tail.ENDED)
    _covers(pieces, data)
    assert (pieces[-1].end if pieces else 0) == len(data)


@given(st.integers(0, len(SAMPLE)), st.integers(1, 4000))
def test_cutting_the_sample_anywhere_never_changes_another_record(at: int, length: int) -> None:
    data = SAMPLE[:at] + SAMPLE[at + length :]
    seen = {r.global_job_id: r for r in records(read(data, tail=Tail.ENDED))}
    behind_cut = False
    for piece in read(SAMPLE):
        assert piece.record is not None
        touched = piece.start < at + length and at < piece.end
        found = seen.get(piece.record.global_job_id)
        if not touched:
            # The record right behind the cut may be given up as one that cannot be told from what was cut.
            assert found == piece.record or (found is None and behind_cut)
        behind_cut = touched


@given(st.integers(1, len(SAMPLE) - 1))
def test_reading_in_two_parts_gives_the_same_records(cut: int) -> None:
    first = read(SAMPLE[:cut])
    consumed = first[-1].end if first else 0
    rest = read(SAMPLE[consumed:], offset=consumed)
    assert list(records(first) + records(rest)) == list(records(read(SAMPLE)))
