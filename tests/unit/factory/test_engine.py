"""The matching engine: equal to HTCondor's evaluator pair by pair, whatever changes between cycles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.factory.requirements import ENTRY, JOB, Ad, ads, texts, tree, truths

from opengoc.condor.classads import Truth
from opengoc.factory import clauses, engine, patterns
from opengoc.factory.bits import number_rows, pack, sums, unpack
from opengoc.factory.engine import Matcher, Matches


def expected(text: str, jobs: list[Ad], entries: dict[str, Ad]) -> Matches:
    """Every pair on its own."""
    table = truths(text, jobs, entries)
    return Matches(
        jobs=len(jobs),
        clusters=-1,
        entries={name: sum(row[n] is Truth.TRUE for row in table) for n, name in enumerate(entries)},
        unmatched_jobs=sum(Truth.TRUE not in row for row in table),
        errors=sum(row.count(Truth.ERROR) for row in table),
    )


def same(found: Matches, wanted: Matches) -> bool:
    counts = [
        (list(each.entries.items()), each.jobs, each.unmatched_jobs, each.errors) for each in (found, wanted)
    ]
    return counts[0] == counts[1]


@pytest.fixture(params=["usual sizes", "smallest parts"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit on how much is done at once, as it is and so small that few jobs reach it."""
    if request.param == "smallest parts":
        for module, name, value in (
            (engine, "_JOBS_AT_ONCE", 3),
            (engine, "_CLUSTERS_AT_ONCE", 4),
            (engine, "_WORDS_AT_ONCE", 1),
            (engine, "_BITS_AT_ONCE", 1),
            (patterns, "_FEW", 0),
            (patterns, "_WORTH_GROUPING", 0),
            (clauses, "_PAIRS_AT_ONCE", 5),
        ):
            monkeypatch.setattr(module, name, value)


entry_tables = st.one_of(
    st.dictionaries(st.sampled_from([f"e{n}" for n in range(6)]), ads(ENTRY), max_size=5),
    # More than one word of bits.
    st.lists(ads(ENTRY), min_size=1, max_size=3).map(
        lambda some: {f"e{n}": some[n % len(some)] for n in range(70)}
    ),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    text=st.one_of(
        texts(2),
        texts(4),
        st.tuples(texts(2), texts(2), texts(2)).map("({0[0]}) && ({0[1]}) || ({0[2]})".format),
    ),
    jobs=st.lists(ads(JOB), max_size=9),
    entries=entry_tables,
)
@pytest.mark.usefixtures("sizes")
def test_counts_are_those_of_htcondor(text: str, jobs: list[Ad], entries: dict[str, Ad]) -> None:
    matcher = Matcher(tree(text), entries)
    wanted = expected(text, jobs, entries)
    assert same(matcher.match(jobs), wanted)
    assert same(matcher.match(jobs), wanted), "matched again, the counts are others"
    sets = [
        tuple(name for name, held in zip(entries, row, strict=True) if held is Truth.TRUE)
        for row in truths(text, jobs, entries)
    ]
    assert Counter(dict(matcher.groups())) == Counter(sets)
    assert [matcher.entries_of(number) for number in matcher.cluster(jobs).tolist()] == sets


class Cycles(RuleBasedStateMachine):
    """Jobs come, change and go, entries change: the counts are those of a matcher that starts afresh."""

    @initialize(text=texts(4), entries=entry_tables)
    def begin(self, text: str, entries: dict[str, Ad]) -> None:
        self.text, self.entries = text, entries
        self.jobs: dict[int, Ad] = {}
        self.matcher = Matcher(tree(text), entries)

    @rule(
        added=st.dictionaries(st.integers(0, 20), ads(JOB), max_size=6),
        removed=st.sets(st.integers(0, 20), max_size=4),
    )
    def next_cycle(self, added: dict[int, Ad], removed: set[int]) -> None:
        self.jobs = {job: ad for job, ad in self.jobs.items() if job not in removed} | added
        self.matcher.update(added=added, removed=removed)

    @rule(data=st.data())
    def entries_change(self, data: st.DataObject) -> None:
        names = data.draw(st.permutations(sorted({*self.entries, "new"})))
        changed = data.draw(st.dictionaries(st.sampled_from(names), ads(ENTRY), max_size=3))
        gone = data.draw(st.sets(st.sampled_from(names), max_size=2))
        kept = {name: self.entries[name] for name in names if name in self.entries}
        self.entries = {name: ad for name, ad in (kept | changed).items() if name not in gone}
        self.matcher.change_entries(self.entries)

    @invariant()
    def counts_are_those_of_htcondor(self) -> None:
        assert same(self.matcher.matches(), expected(self.text, list(self.jobs.values()), self.entries))


class ForgetfulCycles(Cycles):
    """The same, with clusters forgotten as soon as half of them have no job."""

    @initialize()
    def forget_soon(self) -> None:
        engine._WORTH_FORGETTING = 0  # type: ignore[misc]

    def teardown(self) -> None:
        engine._WORTH_FORGETTING = _WORTH_FORGETTING  # type: ignore[misc]


class Listings(ForgetfulCycles):
    """The same, with a whole list of jobs each time, and new objects for those that are new or changed."""

    @rule(
        added=st.dictionaries(st.integers(0, 20), ads(JOB), max_size=6),
        removed=st.sets(st.integers(0, 20), max_size=12),
    )
    def next_cycle(self, added: dict[int, Ad], removed: set[int]) -> None:
        new = {job: dict(ad) for job, ad in added.items()}
        self.jobs = new | {job: ad for job, ad in self.jobs.items() if job not in {*removed, *added}}
        self.matcher.follow(self.jobs.values())


_WORTH_FORGETTING = engine._WORTH_FORGETTING
TestCycles = Cycles.TestCase
TestForgetfulCycles = ForgetfulCycles.TestCase
TestListings = Listings.TestCase
TestCycles.settings = TestForgetfulCycles.settings = TestListings.settings = settings(
    max_examples=30, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)

ROOM = 'job.Count <= entry.Limit && (job.Words == "" || stringListMember(entry.Name, job.Words))'


def many_jobs(count: int) -> Iterator[Ad]:
    for number in range(count):
        yield {"Count": number % 97, "Words": ["", "a, b", "b,c"][number % 3]}


def test_jobs_that_the_requirement_cannot_tell_apart_are_one_cluster() -> None:
    entries = {"x": {"Limit": 50, "Name": "a"}}
    found = Matcher(tree(ROOM), entries).match(ad | {"Other": n} for n, ad in enumerate(many_jobs(10_000)))
    assert (found.jobs, found.clusters) == (10_000, 97 * 3)
    assert found.pairs == sum(
        1 for ad in many_jobs(10_000) if ad["Count"] <= 50 and ad["Words"] in ("", "a, b")
    )


@pytest.mark.parametrize("values", [[1, True, 1.0, "1"], [0, False, 0.0, -0.0, ""], [None, "undefined"]])
def test_values_that_python_takes_for_equal_are_kept_apart(values: list[Any]) -> None:
    text = (
        "isBoolean(job.Flag) && job.Flag =?= entry.Open"
        " || isInteger(job.Flag) && string(job.Flag) == entry.Name"
    )
    jobs = [{"Flag": value} for value in values if value is not None] + [{}]
    entries = {"t": {"Open": True, "Name": "1"}, "f": {"Open": False, "Name": "0"}}
    for order in (jobs, jobs[::-1]):
        assert same(Matcher(tree(text), entries).match(order), expected(text, order, entries))


def test_only_new_clusters_are_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = []
    answers = engine.Requirement.answers

    def counting(self: engine.Requirement, jobs: Any, clusters: int) -> Any:
        evaluated.append((clusters, self.entries))
        return answers(self, jobs, clusters)

    monkeypatch.setattr(engine.Requirement, "answers", counting)
    entries = {"x": {"Limit": 50, "Name": "a"}, "y": {"Limit": 10, "Name": "b"}}
    matcher = Matcher(tree(ROOM), entries)
    matcher.match(many_jobs(1000))
    matcher.match(many_jobs(2000))
    matcher.update(added={"new": {"Count": 1000, "Words": "a"}, "old": {"Count": 1, "Words": ""}})
    matcher.change_entries(entries | {"y": {"Limit": 11, "Name": "b"}})
    matcher.change_entries(entries | {"y": {"Limit": 11, "Name": "b"}})
    assert evaluated == [(291, ("x", "y")), (1, ("x", "y")), (292, ("y",))]


def test_bits_survive_packing_and_add_up() -> None:
    chance = np.random.default_rng(1)
    mask = chance.random((1000, 131)) < 0.3
    weights = chance.integers(-5, 2**40, 1000)
    rows = pack(mask)
    assert (unpack(rows, 131) == mask).all()
    assert (sums(rows, weights, 131) == weights @ mask).all()
    first, inverse = number_rows(np.repeat(rows, 2, axis=0))
    assert len(first) == 1000
    assert (np.repeat(rows, 2, axis=0)[first][inverse] == np.repeat(rows, 2, axis=0)).all()


def test_an_entry_whose_value_changes_its_type_alone_is_changed() -> None:
    matcher = Matcher(tree("entry.Open =?= job.Flag"), {"x": {"Open": True}})
    assert matcher.match([{"Flag": True}]).pairs == 1
    assert matcher.change_entries({"x": {"Open": 1}}).pairs == 0
