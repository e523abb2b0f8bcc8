"""Figures: unknown is never zero."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure, FigureState

AS_OF = datetime(2026, 11, 23, 8, tzinfo=UTC)


def test_a_measured_number_is_a_value_and_a_measured_nought_a_zero() -> None:
    assert Figure.known("payload_jobs", 7, "jobs", as_of=AS_OF).state is FigureState.VALUE
    assert Figure.known("payload_jobs", 0, "jobs", as_of=AS_OF).state is FigureState.ZERO
    assert Figure.known("wall_hours", 0.0, "hours", as_of=AS_OF).state is FigureState.ZERO


def test_a_number_that_lacks_a_part_says_what_it_lacks_even_at_nought() -> None:
    for value in (0, 7):
        figure = Figure.known(
            "payload_jobs", value, "jobs", as_of=AS_OF, lacking="site ITB-Slurm sent nothing"
        )
        assert (figure.state, figure.reason) == (FigureState.PARTIAL, "site ITB-Slurm sent nothing")


def test_a_number_that_could_not_be_had_has_a_reason_and_no_value() -> None:
    figure = Figure.missing("payload_jobs", "jobs", "the schedd did not answer", as_of=AS_OF)
    assert (figure.state, figure.value) == (FigureState.MISSING, None)


@given(
    state=st.sampled_from(FigureState),
    value=st.none() | st.integers(-2, 2) | st.sampled_from([0.0, -0.0, 0.5]),
    reason=st.sampled_from(["", "the source is late"]),
)
def test_no_figure_says_more_than_it_knows(state: FigureState, value: float | None, reason: str) -> None:
    right = {
        FigureState.VALUE: value not in (None, 0) and reason == "",
        FigureState.ZERO: value == 0 and value is not None and reason == "",
        FigureState.PARTIAL: value is not None and reason != "",
        FigureState.MISSING: value is None and reason != "",
    }[state]

    def make() -> Figure:
        return Figure(name="n", value=value, unit="jobs", state=state, reason=reason, as_of=AS_OF)

    if right:
        assert make().state is state
    else:
        with pytest.raises(InvalidInput, match="figure n"):
            make()


def test_a_missing_number_without_a_reason_is_refused() -> None:
    with pytest.raises(InvalidInput, match="need a reason"):
        Figure.missing("payload_jobs", "jobs", "", as_of=AS_OF)


def test_a_figure_is_published_whole() -> None:
    figure = Figure.known(
        "payload_jobs", 7, "jobs", as_of=AS_OF, dimensions={"vo": "cms"}, evidence={"lake": {"usage": 12}}
    )
    assert json.loads(json.dumps(figure.to_json())) == {
        "name": "payload_jobs",
        "value": 7,
        "unit": "jobs",
        "state": "value",
        "reason": "",
        "dimensions": {"vo": "cms"},
        "as_of": "2026-11-23T08:00:00Z",
        "evidence": {"lake": {"usage": 12}},
    }
