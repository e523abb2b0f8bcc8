"""ClassAds as HTCondor evaluates them, with both ways of not knowing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.errors import InvalidInput
from opengoc.condor.classads import (
    ERROR,
    UNDEFINED,
    Truth,
    evaluate,
    literal,
    parse,
    parse_ads,
    render,
    truth,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", Truth.TRUE),
        ("1 > 2", Truth.FALSE),
        ("2", Truth.TRUE),
        ("0.0", Truth.FALSE),
        ("undefined", Truth.UNDEFINED),
        ("MY.nothing == 1", Truth.UNDEFINED),
        ("undefined || true", Truth.TRUE),
        ("undefined && false", Truth.FALSE),
        ("error", Truth.ERROR),
        ("1 / 0", Truth.ERROR),
        ("error && false", Truth.ERROR),
        ('"text"', Truth.ERROR),
        ('stringListMember("B", "A, B")', Truth.TRUE),
    ],
)
def test_three_valued_logic_is_kept(text: str, expected: Truth) -> None:
    assert truth(evaluate(parse(text))) is expected


def test_my_and_target_look_into_their_own_ads() -> None:
    expression = parse("MY.Cores >= TARGET.RequestCpus && TARGET.Cores =?= undefined")
    assert evaluate(expression, my={"Cores": 2}, target={"RequestCpus": 2}) is True


@pytest.mark.parametrize("text", ["", "1 +", "a b", "true]; x=[true", "1; x = 2", "true) || (true", '"open'])
def test_only_a_whole_expression_is_one(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no ClassAd expression"):
        parse(text, "vos.cms")


def test_the_same_tree_is_equal_whatever_its_blanks() -> None:
    assert parse("a  &&\n b") == parse("a&&b")
    assert hash(parse("a && b")) == hash(parse("a&&b"))
    assert parse("a && b") != parse("b && a")


def test_references_are_named_with_their_side() -> None:
    assert parse("MY.a + TARGET.b + c").references() == {"a", "TARGET.b", "c"}


values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(values)
def test_a_literal_evaluates_to_the_value_it_was_made_from(value: Any) -> None:
    found = evaluate(parse(literal(value)))
    assert found == value
    assert type(found) is type(value)


@given(values)
def test_an_ad_gives_back_what_was_put_into_it(value: Any) -> None:
    assert evaluate(parse("MY.x"), my={"x": value}) == value


def test_what_is_no_value_is_written_as_such() -> None:
    assert (literal(None), literal(UNDEFINED), literal(ERROR)) == ("undefined", "undefined", "error")
    assert evaluate(parse("MY.x"), my={"x": ERROR}) is ERROR
    assert evaluate(parse("MY.x"), my={"x": None}) is UNDEFINED


def test_rendered_text_parses_to_an_equal_expression_on_one_line() -> None:
    expression = parse('member(TARGET.x, {"a", "b"}) ? [ y = 1 ].y : 2')
    assert "\n" not in render(expression)
    assert parse(render(expression)) == expression


def test_ads_of_a_history_file_are_read_one_by_one() -> None:
    text = 'ClusterId = 1\nOwner = "x"\nRequestMemory = ImageSize / 1024\nImageSize = 2048\n\nClusterId = 2\n'
    assert list(parse_ads(text)) == [
        {"ClusterId": 1, "Owner": "x", "RequestMemory": 2, "ImageSize": 2048},
        {"ClusterId": 2},
    ]
