"""Reading requirements: what is wrong, and where."""

from __future__ import annotations

import pytest
from tests.unit.factory.requirements import ENTRY, JOB, tree

from opengoc.base.errors import InvalidInput
from opengoc.factory.reader import read
from opengoc.factory.tree import Binary, Constant, Reference, as_written, names, render


@pytest.mark.parametrize(
    "text",
    [
        " || ".join(["job.Count == 1"] * 5000),
        "(" * 5000 + "true" + ")" * 5000,
        "!" * 5000 + "true",
        "job.Count == 1 ? true : " * 5000 + "false",
        "isError(" * 5000 + "1" + ")" * 5000,
    ],
)
def test_what_is_too_deep_to_walk_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is too deep"):
        read(text, job=JOB, entry=ENTRY)


def test_a_long_row_of_alternatives_is_read_and_written() -> None:
    text = " || ".join(f"job.Count == {number}" for number in range(250))
    assert render(tree(text), as_written) == text


@pytest.mark.parametrize(
    ("text", "place", "rule"),
    [
        ("job.Count == 1 &&\n  job.Nope", "line 2, column 3", "is not declared: add [job.Nope]"),
        ("job.Count = 1", "line 1, column 11", "cannot stand in requirements"),
        ("job.Count == 1 || foo(2)", "line 1, column 19", "is no function"),
        ("// one\njob.Count ==", "line 2, column 13", "it ends too early"),
        ("regexp(job.Word)", "line 1, column 1", "takes 2 to 3 arguments, not 1"),
        ("(job.Count == 1", "line 1, column 16", "it ends too early"),
        ("job.Count 3", "line 1, column 11", "'3' cannot stand there"),
        ("job.Count == 1)", "line 1, column 15", "')' cannot stand there"),
        ("Count == 1", "line 1, column 1", "write job.NAME or entry.NAME"),
        ("job.Count == 1K", "line 1, column 14", "cannot stand in requirements"),
        ("job.Count == 9223372036854775808", "line 1, column 14", "is no number"),
        ("job.Count == 010", "line 1, column 14", "is no number"),
        ('job.Word == "\\377"', "line 1, column 13", "is no text in UTF-8"),
        ('job.Word == "a\\0"', "line 1, column 13", "holds a NUL"),
        ("job.Count & 1", "line 1, column 11", "cannot stand in requirements"),
        ("member(job.Count, {1, job.Count})", "line 1, column 19", "every item must be a literal"),
        ('job.Word == "a" "b"', "line 1, column 17", "cannot stand there"),
        ("job.Count ?: - job.Count", "line 1, column 16", "cannot stand there"),
    ],
)
def test_a_mistake_is_named_with_line_and_column(text: str, place: str, rule: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text, job=JOB, entry=ENTRY, where="vos.cms")
    assert refused.value.where == f"vos.cms, {place}"
    assert rule in refused.value.rule


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("job.Count + 1 * 2 == 3", "(job.Count + (1 * 2)) == 3"),
        ("job.Flag || entry.Open && job.Count < 2", "job.Flag || (entry.Open && (job.Count < 2))"),
        ("2 * job.Count ?: 3", "2 * (job.Count ?: 3)"),
        ("!job.Flag ?: true", "!(job.Flag ?: true)"),
        ("10 - job.Count - 3", "(10 - job.Count) - 3"),
        ("job.Flag ? 1 : entry.Open ? 2 : 3", "job.Flag ? 1 : (entry.Open ? 2 : 3)"),
        ("JOB.count IS undefined", "job.Count =?= UNDEFINED"),
    ],
)
def test_operators_bind_as_in_htcondor(text: str, same: str) -> None:
    assert tree(text) == tree(same)


def test_a_text_may_hold_whatever_its_escapes_say() -> None:
    assert tree(r'"a\"\\\t\n\101\303\251"') == Constant(value='a"\\\t\nAé')


def test_constants_of_different_types_are_different_trees() -> None:
    assert len({tree(text) for text in ("1", "1.0", "true", '"1"')}) == 4


def test_a_tree_knows_its_attributes_by_their_declared_names() -> None:
    found = tree("JOB.count > 1 && entry.limit > Job.COUNT && job.Word == entry.Name")
    assert names(found, "job") == ("Count", "Word")
    assert names(found, "entry") == ("Limit", "Name")


def test_it_is_written_with_no_more_brackets_than_needed() -> None:
    assert render(tree("((job.Count) > 1) && (job.Flag || (entry.Open))"), as_written) == (
        "job.Count > 1 && (job.Flag || entry.Open)"
    )


def test_a_number_below_zero_may_follow_the_fallback_operator() -> None:
    fallback = Binary(
        operator="?:",
        left=Reference(side="job", name="Count", type="int"),
        right=Constant(value=-3),
    )
    assert tree("job.Count ?: -3") == fallback
