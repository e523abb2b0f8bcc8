"""Reading many records at once gives what reading them one by one gives, whatever the bytes are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bench.records import TEXTS, Job, jobs
from hypothesis import given, settings
from hypothesis import strategies as st

from opengoc.accounting.formats import BULK
from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.model import Kind
from opengoc.accounting.reading import Reading, read
from opengoc.accounting.source import Source
from opengoc.accounting.table import records_of

NOW = datetime(2027, 1, 1, tzinfo=UTC)
JOBS = list(jobs(40))
HISTORY = Path(__file__).parents[2] / "data" / "accounting" / "condor-23.9-history.txt"

#: Bytes that records are damaged with.
damage = st.one_of(
    st.sampled_from(
        [
            *(b"", b"\n", b"\r\n", b"\x00", b"\x1f", b" ", b"\xff", b"\xc3\xa9", b"\\u00e9"),
            *(b"-", b"0", b"x", b"1e5", b"1e999", b"99999999999999999999", b"NaN", b"null", b"NULL", b"none"),
            *(b"<", b"&amp;", b"&", b'"', b"{", b"}", b"%%\n"),
            *(b"=", b"\n  ", b"\t", b'\\"', b"[", b"*** ", b"vo = ", b"VO=", b"RequestCpus = a + 1\n"),
            *(b"ExitBySignal = TRUE\nExitSignal = 9\n", b"GOC_Probe = 1\n", b"CompletionDate = 0\n"),
            *(b"2026-13-01T00:00:00Z", b"PT1H", b"P1DT2H", b"/cms", b"HEPSPEC"),
        ]
    ),
    st.binary(max_size=4),
)


def source(form: str) -> Source:
    return Source(name="test", format=form, path=Path("file"), kind=Kind.BATCH, site="SITE-X")


def written(form: str, which: list[Job]) -> bytes:
    before, text, after = TEXTS[form]
    return (before + "".join(text(job) for job in which) + after).encode()


def told(reading: Reading) -> list[object]:
    places = zip(
        reading.records["raw_offset"].to_pylist(), reading.records["raw_length"].to_pylist(), strict=True
    )
    return list(zip(places, records_of(reading.records), strict=True))


@pytest.mark.parametrize("form", sorted(BULK))
def test_what_publishers_write_is_read_at_once(form: str) -> None:
    data = written(form, JOBS)
    found = BULK[form](data, source=source(form), offset=0, tail=Tail.ENDED)
    assert found is not None
    assert len(found.records) >= len(JOBS) - 1


@pytest.mark.parametrize("form", sorted(BULK))
@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), damage), max_size=6),
    tail=st.sampled_from([Tail.OPEN, Tail.ENDED]),
    cut=st.one_of(st.none(), st.floats(0, 1)),
)
def test_damaged_bytes_give_the_same_records_both_ways(
    form: str, changes: list[tuple[float, int, bytes]], tail: Tail, cut: float | None
) -> None:
    compare(form, damaged(written(form, JOBS[:8]), changes, cut), tail)


@settings(max_examples=100, deadline=None)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), damage), max_size=4),
    kind=st.sampled_from([Kind.PAYLOAD, Kind.PILOT]),
    offset=st.sampled_from([0, 3347]),
)
def test_what_a_schedd_wrote_gives_the_same_records_both_ways(
    changes: list[tuple[float, int, bytes]], kind: Kind, offset: int
) -> None:
    data = damaged(HISTORY.read_bytes(), changes, None)
    compare("condor-history", data, Tail.OPEN, kind=kind, site=None, offset=offset)


def damaged(data: bytes, changes: list[tuple[float, int, bytes]], cut: float | None) -> bytes:
    for where, length, put in changes:
        at = int(where * len(data))
        data = data[:at] + put + data[at + length :]
    return data if cut is None else data[: int(cut * len(data))]


def compare(form: str, data: bytes, tail: Tail, *, offset: int = 0, **said: Any) -> None:
    reader = replace(source(form), **said)
    at_once = read(data, source=reader, offset=offset, tail=tail, known_from=NOW)
    bulk = BULK.pop(form)
    try:
        one_by_one = read(data, source=reader, offset=offset, tail=tail, known_from=NOW)
    finally:
        BULK[form] = bulk
    assert told(at_once) == told(one_by_one)
    assert [(f.start, f.end) for f in at_once.faults] == [(f.start, f.end) for f in one_by_one.faults]
    assert at_once.end == one_by_one.end
