"""Whatever bytes a reader is given: it never fails, and each byte is of one record, of one fault, or of none.

``GOC_FUZZ`` says how many broken inputs each reader gets; ``make test-faults`` gives each 500.
"""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from bench.records import TEXTS, jobs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opengoc.accounting import tables
from opengoc.accounting.formats import FORMATS
from opengoc.accounting.formats.detect import HEAD_BYTES, preamble, recognise
from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.model import Kind
from opengoc.accounting.reading import Reading, read
from opengoc.accounting.source import Source
from opengoc.accounting.table import records_of
from opengoc.base.errors import InvalidInput

DATA = Path(__file__).parents[2] / "data/accounting"
NOW = datetime(2027, 1, 1, tzinfo=UTC)
EXAMPLES = int(os.environ.get("GOC_FUZZ", "25"))
MANY = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow], deadline=None)
SWF = b"; UnixStartTime: 1132444805\n1 0 -1 3600 2 -1 -1 -1 -1 -1 -1 7 2 -1 -1 1 -1 -1\n" * 3
#: What breaks parsers: separators, quotes, numbers out of range, bytes that are not UTF-8, entities.
JUNK = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            *(b"\n", b"\r\n", b"\x00", b"\x1f", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa9"),
            *(
                b"|",
                b"||",
                b"\t",
                b";",
                b"=",
                b'"',
                b"'",
                b"\\",
                b"{",
                b"}",
                b"[",
                b"]",
                b"<",
                b">",
                b"&",
                b"%%",
            ),
            *(
                b"-1",
                b"0",
                b"1e999",
                b"NaN",
                b"Infinity",
                b"9" * 40,
                b"0x10",
                b"1_000",
                "٣".encode(),
                b"null",
            ),
            *(b"1969-12-31T23:59:59", b"9999-99-99T99:99:99", b"10000-01-01T00:00:00Z", b"P1DT", b"-PT1H"),
            *(
                b"&lol;",
                b"<![CDATA[",
                b"<!--",
                b"]]>",
                b"*** ",
                b"\n***\n",
                b"Unknown",
                b"INVALID",
                b"\xc2\xa0",
            ),
        ]
    ),
)


@cache
def samples() -> dict[str, list[bytes]]:
    """Files of each format, as other projects and batch systems write them."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for path in sorted(DATA.rglob("*")):
        if path.is_file() and path.name != "README.md":
            content = path.read_bytes()[:20_000]
            found[recognise(content)].append(content)
    for form, (before, text, after) in TEXTS.items():
        found[form].append((before + "".join(text(job) for job in jobs(8)) + after).encode())
    found["swf"].append(SWF)
    return found


@st.composite
def broken(draw: st.DrawFn, form: str) -> bytes:
    """A sample of a format, or two, cut and changed in a few places."""
    data = draw(st.sampled_from(samples()[form]))
    if draw(st.booleans()):
        data += draw(st.sampled_from(samples()[form]))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from([0, 0, 1, 3, 20, 400]))
        again = data[at : at + gone] if draw(st.booleans()) else b""
        data = data[:at] + again + draw(JUNK) + data[at + gone :] + again
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def source(form: str, head: bytes) -> Source:
    return Source(
        name="test",
        format=form,
        path=Path("file"),
        kind=Kind.BATCH,
        site="SITE-X",
        preamble=preamble(form, head),
    )


def assert_each_byte_is_counted_once(found: Reading, data: bytes) -> None:
    """No byte is of two records, or of a record and a fault; what was read lies within the data."""
    starts, lengths = (found.records[name].to_pylist() for name in ("raw_offset", "raw_length"))
    spans = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
    spans += [(fault.start, fault.end) for fault in found.faults]
    at = 0
    for start, end in sorted(spans):
        assert at <= start < end <= found.end, (at, start, end)
        at = end
    assert found.end <= len(data)
    assert all(fault.reason for fault in found.faults)
    # Each is a record that holds: valid by construction.
    assert len(records_of(found.records)) == len(starts)


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_a_reader_never_fails_and_counts_each_byte_once(form: str) -> None:
    @MANY
    @given(broken(form), st.sampled_from(Tail))
    def check(data: bytes, tail: Tail) -> None:
        found = read(data, source=source(form, data[:HEAD_BYTES]), offset=0, tail=tail, known_from=NOW)
        assert_each_byte_is_counted_once(found, data)
        if tail is not Tail.OPEN:
            assert found.end == len(data)

    check()


@pytest.mark.parametrize("form", ["apel", "condor-history", "json", "pbs", "sacct", "slurm-jobcomp", "swf"])
def test_a_file_read_in_two_blocks_gives_what_it_gives_in_one(form: str) -> None:
    @MANY
    @given(broken(form), st.floats(0, 1))
    def check(data: bytes, where: float) -> None:
        of = source(form, data[:HEAD_BYTES])
        whole = read(data, source=of, offset=0, tail=Tail.ENDED, known_from=NOW)
        cut = data[: int(where * len(data))]
        first = read(cut, source=of, offset=0, tail=Tail.OPEN, known_from=NOW)
        rest = read(data[first.end :], source=of, offset=first.end, tail=Tail.ENDED, known_from=NOW)
        told = [*records_of(first.records), *records_of(rest.records)]
        assert told == records_of(whole.records)
        if form != "condor-history":
            # Where a history file was damaged, its later blocks know less of what stood before them.
            assert len(first.faults) + len(rest.faults) == len(whole.faults)

    check()


@MANY
@given(st.data())
def test_what_a_file_is_of_is_told_of_any_bytes(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(sorted(FORMATS)))
    content = data.draw(broken(form))
    assert recognise(content) in FORMATS
    preamble(recognise(content), content)


@MANY
@given(st.data())
def test_a_broken_file_of_columns_is_refused_in_words_or_read(data: st.DataObject) -> None:
    rows = {"global_job_id": ["1"], "ended_at": [NOW], "wall_seconds": [1.0], "processors": [1]}
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(rows), sink)
    content = sink.getvalue().to_pybytes()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(content)))
        content = content[:at] + data.draw(JUNK) + content[at + data.draw(st.integers(0, 8)) :]
    try:
        for found in tables.readings(content, source=source("parquet", b""), known_from=NOW):
            assert len(records_of(found.records)) == len(found.records)
    except InvalidInput as error:
        assert "cannot be read" in str(error) or "has no column" in str(error)


def test_entities_are_not_expanded() -> None:
    """A billion laughs: ten levels of ten, three gigabytes were they written out."""
    levels = "".join(
        f'<!ENTITY lol{n} "{"".join(f"&lol{n - 1};" for _ in range(10))}">' for n in range(1, 11)
    )
    declared = f'<!DOCTYPE lolz [<!ENTITY lol0 "lol">{levels}<!ENTITY file SYSTEM "file:///etc/hostname">]>'
    before, text, after = TEXTS["ur-xml"]
    record = text(next(jobs(1)))
    for entity in ("&lol10;", "&file;"):
        bomb = record.replace("<VOName>", f"<VOName>{entity}").replace(
            "<LocalUserId>", f"<LocalUserId>{entity}"
        )
        assert entity in bomb
        data = (before.replace("?>\n", f"?>\n{declared}\n", 1) + bomb + record + after).encode()
        found = read(data, source=source("ur-xml", data), offset=0, tail=Tail.ENDED, known_from=NOW)
        assert_each_byte_is_counted_once(found, data)
        assert not any("lollol" in str(row) for row in found.records.to_pylist())
        assert Path("/etc/hostname").read_text().strip() not in str(found.records["vo"].to_pylist())
        assert len(found.faults) + len(found.records) >= 1


def test_a_line_of_millions_of_one_sign_costs_no_more_than_reading_it() -> None:
    """What makes patterns go back and forth: measured in what they find, not in time."""
    for form in sorted(FORMATS):
        for sign in (b"a", b"=", b"|", b" ", b"(", b'"', b"<", b"\\"):
            data = sign * 100_000
            found = read(
                data, source=source(form, data[:HEAD_BYTES]), offset=0, tail=Tail.ENDED, known_from=NOW
            )
            assert not len(found.records)
            assert found.end == len(data)
