"""Messages between a session and its worker."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.errors import InvalidInput
from opengoc.condor.classads import ERROR, UNDEFINED
from opengoc.condor.observation import Observation
from opengoc.condor.wire import read_message, write_message

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


def through_a_pipe(message: Any) -> Any:
    reader, writer = os.pipe()
    try:
        write_message(writer, message)
        return read_message(reader, deadline=time.monotonic() + 5)
    finally:
        os.close(reader)
        os.close(writer)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.sampled_from([ERROR, UNDEFINED])
)
messages = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text("ab", min_size=1), inner)),
    max_leaves=6,
)


@given(messages)
def test_a_message_arrives_as_it_was_sent(message: Any) -> None:
    assert through_a_pipe({"value": message}) == {"value": message}


def test_times_arrive_as_utc() -> None:
    assert through_a_pipe([NOW]) == [NOW]


def test_a_closed_pipe_is_the_end_even_in_the_middle_of_a_message() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"\0\0\0\0\0\0\0\x09[1,")
    os.close(writer)
    try:
        assert read_message(reader) is None
    finally:
        os.close(reader)


def test_a_message_that_does_not_come_is_not_waited_for_beyond_the_deadline() -> None:
    reader, writer = os.pipe()
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            read_message(reader, deadline=began + 0.05)
    finally:
        os.close(reader)
        os.close(writer)
    assert time.monotonic() - began < 30


def test_an_observation_is_complete_or_says_why_not() -> None:
    Observation(source="jobs", items=(1,), taken_at=NOW, complete=True)
    partial = Observation(source="jobs", items=(1,), taken_at=NOW, complete=False, error="cut off")
    assert partial.age_seconds(NOW) == 0
    for complete, error in ((True, "cut off"), (False, "")):
        with pytest.raises(InvalidInput):
            Observation(source="jobs", items=(), taken_at=NOW, complete=complete, error=error)
    with pytest.raises(InvalidInput, match="time zone"):
        Observation(source="jobs", items=(), taken_at=datetime(2026, 11, 16), complete=True)  # noqa: DTZ001
