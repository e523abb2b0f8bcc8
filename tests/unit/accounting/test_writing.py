"""What is written in another's format reads back as the same record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.accounting.formats import FORMATS
from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source
from opengoc.accounting.writing import WRITERS

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = {"none", "null", "unknown", "n/a", "(null)", "none assigned"}

words = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12
).filter(lambda word: word.strip() == word and word.lower() not in NOTHING)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9.-]{0,10}", fullmatch=True).filter(
    lambda w: w.lower() not in NOTHING
)
maybe_names = st.none() | names
whole = st.integers(0, 10**9)
seconds = whole.map(float)
times = st.integers(0, 10**7).map(lambda n: BEGIN + timedelta(seconds=n))


@st.composite
def records(draw: st.DrawFn, **fixed: Any) -> UsageRecord:
    """Any record of whole seconds, with ``fixed`` for fields that a format has no place for."""
    started = draw(st.none() | times) if "started_at" not in fixed else draw(fixed.pop("started_at"))
    ended = (started or BEGIN) + timedelta(seconds=draw(st.integers(0, 10**6)))
    benchmark = draw(st.sampled_from([None, "HS06", "HEPscore23"]))
    values: dict[str, Any] = {
        "instance": draw(words),
        "global_job_id": draw(words),
        "attempt": draw(whole),
        "kind": draw(st.sampled_from([Kind.BATCH, Kind.PAYLOAD, Kind.PILOT])),
        "site": draw(maybe_names),
        "resource": draw(st.none() | words),
        "vo": draw(maybe_names),
        "user": draw(st.none() | words),
        "project": draw(st.none() | words),
        "queue": draw(st.none() | words),
        "submitted_at": draw(st.none() | times),
        "started_at": started,
        "ended_at": ended,
        "wall_seconds": draw(seconds),
        "cpu_user_seconds": draw(st.none() | seconds),
        "cpu_system_seconds": draw(st.none() | seconds),
        "processors": draw(st.integers(1, 10_000)),
        "memory_mib": draw(st.none() | whole),
        "status": draw(names.map(str.lower)),
        "exit_code": draw(st.none() | st.integers(0, 255)),
        "exit_signal": draw(st.none() | st.integers(0, 64)),
        "policy_digest": draw(st.none() | words),
        "pilot_id": draw(st.none() | words),
        "entry": draw(st.none() | words),
        "sequence": draw(st.integers(1, 10**9)),
        "jobs": draw(st.integers(1, 1000)),
        "fqan": draw(st.none() | names.map(lambda name: f"/{name}/Role=production")),
        "node_count": draw(st.none() | whole),
        "submit_host": draw(st.none() | words),
        "benchmark": benchmark,
        "benchmark_value": draw(st.integers(1, 1000)) / 8 if benchmark else None,
        "bytes": draw(st.none() | whole),
        "files": draw(st.none() | whole),
        "protocol": draw(maybe_names),
        "source_host": draw(st.none() | words),
        "destination_host": draw(st.none() | words),
        "estimated": draw(st.booleans()),
    }
    return UsageRecord(**(values | fixed))


def read_back(
    form: str, *written: UsageRecord, reader: str | None = None, site: str | None = None
) -> list[UsageRecord]:
    data = "".join(WRITERS[form](written)).encode()
    source = Source(name="test", format=reader or form, path=Path("file"), kind=Kind.BATCH, site=site)
    pieces = list(FORMATS[reader or form](data, source=source, offset=0, tail=Tail.ENDED))
    assert [piece.fault for piece in pieces if piece.fault] == []
    assert sum(piece.end - piece.start for piece in pieces) == len(data)
    return [piece.record for piece in pieces if piece.record is not None]


@given(st.lists(records(), max_size=3))
def test_our_json_lines_say_everything(written: list[UsageRecord]) -> None:
    assert read_back("json", *written) == written


#: What a Gratia record has no place for.
NOT_IN_GRATIA: dict[str, Any] = {
    "attempt": 0,
    "exit_signal": None,
    "policy_digest": None,
    "pilot_id": None,
    "entry": None,
    "bytes": None,
    "files": None,
    "estimated": False,
}


@pytest.mark.parametrize(("form", "reader"), [("gracc", "json"), ("ur-xml", "ur-xml")])
@given(written=st.lists(records(**NOT_IN_GRATIA, kind=Kind.BATCH), max_size=3))
def test_what_gratia_can_say_reads_back(form: str, reader: str, written: list[UsageRecord]) -> None:
    # Without an attribute the VO stands in its place, and without either there is none.
    told = [
        replace(r, cpu_system_seconds=r.cpu_system_seconds if r.cpu_user_seconds is not None else None)
        for r in written
    ]
    told = [replace(r, fqan=None) if r.vo is None else r for r in told]
    assert read_back(form, *told, reader=reader) == told


#: What an APEL job record has no place for.
NOT_IN_APEL: dict[str, Any] = {
    **NOT_IN_GRATIA,
    "project": None,
    "submitted_at": None,
    "cpu_system_seconds": None,
    "status": "completed",
    "exit_code": None,
    "jobs": 1,
    "protocol": None,
    "source_host": None,
    "destination_host": None,
    "kind": Kind.BATCH,
    "site": "SITE-A",
}


@given(st.lists(records(**NOT_IN_APEL, started_at=times), max_size=3))
def test_what_apel_can_say_of_a_job_reads_back(written: list[UsageRecord]) -> None:
    told = [
        replace(
            r,
            submit_host=r.submit_host or r.instance,
            instance=r.submit_host or r.instance,
            attempt=int(r.started_at.timestamp()) if r.started_at else 0,
            sequence=int(r.ended_at.timestamp()),
            vo=r.vo or (r.fqan.split("/")[1] if r.fqan else None),
        )
        for r in written
    ]
    assert read_back("apel", *told) == told


@given(st.lists(records(site="SITE-A", kind=Kind.BATCH), min_size=1, max_size=6))
def test_sums_and_counts_of_apel_hold_every_job_once(written: list[UsageRecord]) -> None:
    sums = read_back("apel-summary", *written, reader="apel")
    assert {each.kind for each in sums} == {Kind.SUMMARY}
    assert sum(each.jobs for each in sums) == sum(each.jobs for each in written)
    assert sum(each.wall_seconds for each in sums) == sum(each.wall_seconds for each in written)
    counts = read_back("apel-sync", *written, reader="apel")
    assert {each.kind for each in counts} == {Kind.SYNC}
    assert sum(each.jobs for each in counts) == sum(each.jobs for each in written)
