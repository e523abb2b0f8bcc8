"""Values over arrays: whatever HTCondor's own evaluator says, to the type."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from tests.unit.factory.requirements import ENTRY, JOB, Ad, ads, as_htcondor_reads, texts, tree

from opengoc.condor.classads import UNDEFINED, Truth, Value, evaluate, parse, truth
from opengoc.factory.evaluate import key_of, values_of
from opengoc.factory.tree import as_written, references, render
from opengoc.factory.values import Column, column


def across(text: str, jobs: list[Ad], entries: list[Ad]) -> Column:
    """Every job with every entry, in one evaluation."""
    known = {}
    for each in references(tree(text)):
        ads_of_side = jobs if each.side == "job" else entries
        values = column([ad.get(each.name) for ad in ads_of_side])
        known[each] = values.take((slice(None), None) if each.side == "job" else (None, slice(None)))
    return values_of(tree(text), known).spread((len(jobs), len(entries)))


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=texts(),
    jobs=st.lists(ads(JOB), min_size=1, max_size=3),
    entries=st.lists(ads(ENTRY), min_size=1, max_size=2),
)
def test_a_value_is_what_htcondor_says(text: str, jobs: list[Ad], entries: list[Ad]) -> None:
    found = across(text, jobs, entries)
    for down, job in enumerate(jobs):
        for right, entry in enumerate(entries):
            expected = as_htcondor_reads(text, job, entry)
            value = found.value(down, right)
            assert key_of(value) == key_of(expected), f"{value!r}, where HTCondor says {expected!r}"


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts(4))
def test_a_tree_written_down_and_read_again_is_the_same_tree(text: str) -> None:
    assert tree(render(tree(text), as_written)) == tree(text)


@pytest.mark.parametrize("wanted", list(Truth))
def test_random_requirements_come_to_everything(wanted: Truth) -> None:
    """Or else the tests above would compare nothing."""
    cases = st.tuples(texts(), ads(JOB), ads(ENTRY))
    at_first_sight = settings(max_examples=500, phases=[Phase.generate], deadline=None, database=None)
    assert find(
        cases,
        lambda case: "job." in case[0] and truth(as_htcondor_reads(*case)) is wanted,
        settings=at_first_sight,
    )


@pytest.mark.parametrize(
    "expression",
    [
        *("9223372036854775807 + 1", "-7 / 2", "-7 % 2", "7 % -2", "1.0 / 0", "-1.0 / 0", "0.0 / 0"),
        *("(-9223372036854775807 - 1) / -1", "(-9223372036854775807 - 1) % -1", "1e308 + 1e308"),
        *("9007199254740993 == 9007199254740992.0", "true + true", "-true", "1 =?= 1.0", '"é" == "É"'),
        *(
            '"_" < "a"',
            '"B" < "a"',
            "undefined && false",
            "false && error",
            "error && false",
            "error || true",
        ),
        *("undefined || error", '"x" || true', "!undefined", "int(1e300)", "round(2.5)", "round(-0.5)"),
        *(
            'size("é")',
            'toUpper("é")',
            'stringListMember("", "a,,b")',
            "stringListMember(undefined, undefined)",
        ),
        *("stringListMember(undefined, 1)", 'stringListMember("b", "a\\tb")', "2 * undefined ?: 3"),
        *("1 ?: 2 + 3", "undefined ?: -3", "1 == 1 is true", "-0.0 =?= 0.0", 'int("12abc")', "bool(0.0)"),
        *('floor(real("nan"))', 'real("nan") != real("nan")', 'real("nan") && true', "5 % 1.5"),
    ],
)
def test_a_corner_is_as_in_htcondor(expression: str) -> None:
    expected = evaluate(parse(expression))
    assert key_of(values_of(tree(expression), {}).value(0)) == key_of(expected)


@pytest.mark.parametrize(
    ("value", "held"), [(2**63, "error"), ("a\0b", "a"), ("\ud800", "error"), (None, UNDEFINED)]
)
def test_a_value_that_no_ad_can_hold_does_no_harm(value: Value, held: Value) -> None:
    found = column([value, "beside"]).value(0)
    assert found == held or str(getattr(found, "value", "")) == held
