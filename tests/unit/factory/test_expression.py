"""Requirements: what may stand in them, and that demand and START cannot disagree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.factory.world import entries, entry_table, policy

from opengoc.base.errors import InvalidInput
from opengoc.condor.classads import Truth, evaluate, parse, truth
from opengoc.factory.expression import Attribute, Requirements, Vocabulary, parse_requirements

VOCABULARY = Vocabulary(
    job={
        "n": Attribute(name="N", type="int"),
        "d": Attribute(name="D", type="int", default=-3),
        "s": Attribute(name="S", type="string"),
        "sites": Attribute(name="Sites", type="string", default=""),
    },
    entry={
        "site": Attribute(name="Site", type="string"),
        "cores": Attribute(name="Cores", type="int"),
        "load": Attribute(name="Load", type="float"),
        "squid": Attribute(name="Squid", type="bool"),
    },
)


def requirements(text: str) -> Requirements:
    return parse_requirements(text, VOCABULARY, "vos.cms")


def by_match(text: str, entry: dict[str, Any], job: dict[str, Any]) -> Truth:
    return truth(evaluate(requirements(text).match, my=entry, target=job))


def by_start(text: str, entry: dict[str, Any], job: dict[str, Any]) -> Truth:
    # A startd's own ad never helps: whatever it says of the same names, START does not read it.
    startd = dict.fromkeys(("Site", "Cores", "Load", "Squid", "N", "D", "S", "Sites"), "of the startd")
    return truth(evaluate(parse(requirements(text).start(entry)), my=startd, target=job))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("job.Nope == 1", "is not declared: add [job.Nope]"),
        ("entry.Nope == 1", "is not declared: add [entry.Nope]"),
        ("Cores >= 1", "write job.NAME or entry.NAME"),
        ("TARGET.N == 1", "write job.NAME or entry.NAME"),
        ("MY.Cores == 1", "write job.NAME or entry.NAME"),
        ("job", "write job.NAME or entry.NAME"),
        ("job.N.x == 1", "dot that belongs to no"),
        ("time() > 3", "is no function"),
        ('eval("MY.x") == 1', "is no function"),
        ("random(3) == 1", "is no function"),
        ("job.N == 1 &&", "is no ClassAd expression"),
        ("true]; x=[true", "cannot stand in requirements"),
        ("job.N = 1", "cannot stand in requirements"),
        ("true; false", "cannot stand in requirements"),
        ("job['N'] == 1", "cannot stand in requirements"),
        ("true) || (true", "is no ClassAd expression"),
        ('job.S == "open', "cannot stand in requirements"),
        ("", "is no ClassAd expression"),
    ],
)
def test_it_refuses_what_is_not_declared_or_not_pure(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        requirements(text)
    assert problem in str(refused.value)


def test_names_are_those_of_the_declaration_whatever_their_case() -> None:
    found = requirements("JOB.n >= 1 && Entry.CORES >= job.N && job.d < 3")
    assert found.job_attributes == ("D", "N")
    assert "TARGET.N" in found.start({"Cores": 2})


def test_start_holds_the_entrys_values_and_refers_to_the_job_alone() -> None:
    start = requirements('entry.Site == "A" && entry.Cores - job.D > 0').start({"Site": 'a"\\b', "Cores": -1})
    assert "MY." not in start
    assert parse(start).references() == {"TARGET.D"}
    assert truth(evaluate(parse(start), target={"D": -2})) is Truth.FALSE


def test_comments_and_line_breaks_may_stand_in_the_file_and_never_in_start() -> None:
    start = requirements("job.N == 1 // one\n || /* or\n more */ job.N == 2").start({})
    assert start == "TARGET.N == 1 || TARGET.N == 2"


def test_a_text_that_looks_like_an_attribute_is_left_alone() -> None:
    assert by_match('job.S == "entry.Site"', {"Site": "x"}, {"S": "entry.Site"}) is Truth.TRUE
    assert by_start('job.S == "entry.Site"', {"Site": "x"}, {"S": "entry.Site"}) is Truth.TRUE


@pytest.mark.parametrize("sites", ["A,B", "A, B", "A , B", " B", "B ", "A,\tB", "B,"])
def test_a_list_of_sites_with_blanks_says_the_same_on_both_sides(sites: str) -> None:
    text = 'job.Sites == "" || stringListMember(entry.Site, job.Sites)'
    assert by_match(text, {"Site": "B"}, {"Sites": sites}) is Truth.TRUE
    assert by_start(text, {"Site": "B"}, {"Sites": sites}) is Truth.TRUE
    assert by_match(text, {"Site": "C"}, {"Sites": sites}) is Truth.FALSE
    assert by_start(text, {"Site": "C"}, {"Sites": sites}) is Truth.FALSE


def test_a_job_without_an_attribute_says_the_same_on_both_sides() -> None:
    for text, expected in (
        ("job.N >= 0", Truth.UNDEFINED),
        ("job.D == -3", Truth.TRUE),
        ('job.N >= 0 || entry.Site == "B"', Truth.TRUE),
        ("job.N >= 0 && entry.Cores > 9", Truth.FALSE),
        ('job.S + 1 == 2 && entry.Site == "B"', Truth.ERROR),
    ):
        job = {"S": "x"} if "job.S" in text else {}
        assert by_match(text, {"Site": "B", "Cores": 2}, job) is expected, text
        assert by_start(text, {"Site": "B", "Cores": 2}, job) is expected, text


atoms = st.sampled_from(
    [
        "job.N",
        "job.D",
        "job.S",
        "job.Sites",
        "entry.Site",
        "entry.Cores",
        "entry.Load",
        "entry.Squid",
        "true",
        "false",
        "undefined",
        "error",
        "1",
        "0",
        "2.5",
        '"A"',
        '""',
    ]
)
OPERATORS = ["&&", "||", "==", "!=", "=?=", "=!=", "<", "<=", ">", ">=", "+", "-", "*", "/"]
#: Ways to make a larger text of up to three.
FORMS = (
    *(f"({{0}} {operator} {{1}})" for operator in OPERATORS),
    "!({0})",
    "({0} ? {1} : {2})",
    # ClassAds take no sign after ?: without brackets.
    "({0} ?: ({1}))",
    "stringListMember({0}, {1})",
    "ifThenElse({0}, {1}, {2})",
    "isUndefined({0})",
)


@st.composite
def texts(draw: st.DrawFn, depth: int = 3) -> str:
    """A requirement over the vocabulary, well formed and mostly nonsense."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(atoms)
    form = draw(st.sampled_from(FORMS))
    return form.format(*(draw(texts(depth - 1)) for _ in range(3)))


words = st.one_of(
    st.sampled_from(
        ["A", "B", "A, B", "", 'q"\\'],
    ),
    st.text(max_size=5).filter(lambda t: "\0" not in t),
)
numbers = st.integers(-(2**31), 2**31)
reals = st.floats(allow_nan=False, allow_infinity=False, width=32)
entry_ads = st.fixed_dictionaries(
    {}, optional={"Site": words, "Cores": numbers, "Load": reals, "Squid": st.booleans()}
)
job_ads = st.fixed_dictionaries(
    {},
    optional={"N": st.one_of(numbers, words, st.booleans(), reals), "D": numbers, "S": words, "Sites": words},
)


@given(text=texts(), entry=entry_ads, job=job_ads)
def test_demand_and_start_agree_on_every_job_and_entry(
    text: str, entry: dict[str, Any], job: dict[str, Any]
) -> None:
    assert by_match(text, entry, job) is by_start(text, entry, job)


@given(
    sites=st.text(st.sampled_from("AB, \t"), max_size=8),
    cpus=st.one_of(st.none(), st.integers(0, 4), st.just("2")),
    memory=st.one_of(st.none(), st.integers(0, 4096)),
    squid=st.one_of(st.none(), st.booleans(), st.just("yes")),
    vo=st.sampled_from(["cms", "CMS", "ligo", None]),
)
def test_the_policy_of_a_vo_agrees_with_its_pilots(
    sites: str, cpus: Any, memory: Any, squid: Any, vo: str | None
) -> None:
    rules = policy().requirements["cms"]
    (entry,) = entries(entry_table("A"))
    asked = {
        "DESIRED_Sites": sites,
        "RequestCpus": cpus,
        "RequestMemory": memory,
        "WantSquid": squid,
        "VO": vo,
    }
    job = {name: value for name, value in asked.items() if value is not None}
    demand = truth(evaluate(rules.match, my=entry.values(), target=job))
    assert demand is truth(evaluate(parse(rules.start(entry.values())), target=job))
    if vo != "cms":
        assert demand is not Truth.TRUE
