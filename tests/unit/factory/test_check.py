"""Mistakes that three-valued logic would hide are found where they stand; sound requirements have none."""

from __future__ import annotations

import pytest
from tests.unit.factory.requirements import tree

from opengoc.factory.check import dead_clauses, mistakes


@pytest.mark.parametrize(
    ("text", "place", "rule"),
    [
        ("job.Count == 1 || true", "line 1, column 19: true", "is the same for every job and entry"),
        ("job.Count == 1 && !false", "line 1, column 20: false", "is the same for every job and entry"),
        ("job.Count > 2 && 1 < 2", "line 1, column 20: 1 < 2", "is the same for every job and entry"),
        ("1 < 2", "line 1, column 3: 1 < 2", "names no attribute"),
        ("job.Count == job.Count", "line 1, column 11", "compares a value with itself"),
        ("job.Flag && entry.Open\n && job.Flag", "line 2, column 5: job.Flag", "stands twice"),
        ('job.Count == "1"', "line 1, column 11", "compares a number with a string"),
        ("job.Flag == 1", "line 1, column 10", "compares a truth value with a number"),
        ("job.Flag < entry.Open", "line 1, column 10", "orders a truth value"),
        ("job.Word + 1 > 2", "line 1, column 1: job.Word", "is a string, where + needs a number"),
        ("!job.Word", "line 1, column 2: job.Word", "is a string, where ! needs a truth value or number"),
        ("job.Word || job.Flag", "line 1, column 1: job.Word", "where || needs"),
        ("job.Word", "line 1, column 1: job.Word", "is no condition but a string"),
        ("job.Word ? true : false", "line 1, column 1: job.Word", "where ? needs"),
        ("job.Count == undefined", "line 1, column 11", "found with =?= and =!="),
        (
            "stringListMember(entry.Limit, job.Words)",
            "line 1, column 18",
            "stringListMember() needs a string",
        ),
        ('member("a", job.Words)', "line 1, column 13: job.Words", "needs a list"),
    ],
)
def test_a_mistake_is_found(text: str, place: str, rule: str) -> None:
    assert [each for each in map(str, mistakes(tree(text))) if place in each and rule in each]


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "job.Count <= entry.Limit * 1.5 && job.Part < entry.Limit",
        'job.Words == "" || stringListMember(entry.Name, job.Words)',
        "!job.Flag || entry.Open",
        "job.Count =?= undefined || job.Count > 3",
        "(job.Flag ?: false) ? entry.Open : true",
        'regexp("^a", job.Word, "i") && size(job.Word) > 3',
        "member(entry.Limit, {1, 2, 4})",
        "ifThenElse(job.Flag, job.Count, 0) < entry.Limit",
        "job.Flag == true && entry.Open =!= false",
    ],
)
def test_a_sound_requirement_has_none(text: str) -> None:
    assert mistakes(tree(text)) == ()


def test_an_attribute_that_nobody_supplies_is_a_dead_clause() -> None:
    requirement = tree("job.Count <= entry.Limit &&\n entry.Open")
    assert dead_clauses(requirement, "entry", {"Limit", "Open"}) == ()
    (dead,) = dead_clauses(requirement, "entry", {"Limit"})
    assert str(dead).startswith("line 2, column 2: entry.Open: no entry supplies it")
    assert [each.part for each in dead_clauses(requirement, "job", set())] == ["job.Count"]
