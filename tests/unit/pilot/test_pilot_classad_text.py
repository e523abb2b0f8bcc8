"""Expressions keep their meaning on the way through HTCondor's configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goc_pilot.classad_text import literal, plain, setting
from opengoc.condor import classads

_PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126))


def read_as_setting(text: str) -> object:
    """What HTCondor makes of the right side of a setting: macros expanded, then the older ClassAd syntax."""
    (ad,) = classads.parse_ads(f"X = {text.replace('$(DOLLAR)', '$')}\n")
    return ad["X"]


@given(_PRINTABLE.filter(lambda text: not text.endswith("\\")))
def test_a_string_arrives_as_it_was(text: str) -> None:
    assert read_as_setting(literal(text)) == text
    assert read_as_setting(setting(classads.literal(text))) == text


@given(_PRINTABLE)
def test_no_macro_is_left_to_be_expanded(text: str) -> None:
    assert "$" not in plain(text).replace("$(DOLLAR)", "")


@pytest.mark.parametrize(
    ("value", "expected"), [(True, "True"), (False, "False"), (3, "3"), (2.5, "2.5"), ("x", '"x"')]
)
def test_a_value_becomes_the_literal_of_its_type(value: str | int | float | bool, expected: str) -> None:
    assert literal(value) == expected


def test_a_regular_expression_loses_the_doubling_of_its_backslashes() -> None:
    assert setting(r'regexp("^\\d+\"\\.x", VO)') == r'regexp("^\d+\"\.x", VO)'


@pytest.mark.parametrize("expression", [r'VO == "a\n"', r'VO == "a\\"', "VO == \\", r"'odd\'name' == 1"])
def test_what_the_older_syntax_cannot_say_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        setting(expression)


def test_a_value_that_ends_with_a_backslash_is_refused() -> None:
    with pytest.raises(ValueError, match="backslash"):
        literal("C:\\")
