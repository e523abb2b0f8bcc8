"""Jobs become clusters, clusters find entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.factory.world import POLICY, configuration, entry_table, jobs, policy

from opengoc.factory import engine
from opengoc.factory.carried import Carried
from opengoc.factory.configuration import Configuration, digest_of
from opengoc.factory.match import Matching, match
from opengoc.factory.model import Payload, PayloadState


def test_jobs_that_the_policy_cannot_tell_apart_are_one_cluster() -> None:
    # The policy names no Owner, so owners make no clusters; it names DESIRED_Sites.
    several = [*jobs(3, Owner="x"), *jobs(4, Owner="y"), *jobs(2, DESIRED_Sites="SITE-A")]
    found = match(configuration(), several)
    assert [(cluster.idle, cluster.entries) for cluster in found] == [(7, ("A", "B")), (2, ("A",))]


def test_idle_and_running_jobs_of_a_cluster_are_counted_apart() -> None:
    (cluster,) = match(configuration(), jobs(2) + jobs(5, state=PayloadState.RUNNING))
    assert (cluster.idle, cluster.running) == (2, 5)


def test_values_that_python_takes_for_equal_make_different_clusters() -> None:
    several = [job for value in (1, True, 1.0, "1") for job in jobs(1, RequestCpus=value)]
    # To a startd, too, a truth value is a number and a text is none.
    assert [(c.attributes["RequestCpus"], c.entries) for c in match(configuration(), several)] == [
        (1, ("A", "B")),
        (True, ("A", "B")),
        (1.0, ("A", "B")),
        ("1", ()),
    ]


def test_a_job_too_large_for_every_entry_matches_none() -> None:
    for attributes in ({"RequestCpus": 3}, {"RequestMemory": 4096}, {"RequestDisk": 10**9}):
        (cluster,) = match(configuration(), jobs(1, **attributes))
        assert cluster.entries == (), attributes


def test_a_job_of_an_unknown_vo_matches_none() -> None:
    (cluster,) = match(configuration(), jobs(1, vo="atlas"))
    assert (cluster.idle, cluster.entries) == (1, ())


def test_disabled_entries_and_entries_of_other_vos_are_left_out() -> None:
    tables = (
        entry_table("A", enabled="false", reason='"broken"'),
        entry_table("B", vos='["ligo"]'),
        entry_table("C"),
    )
    (cluster,) = match(configuration(*tables), jobs(1))
    assert cluster.entries == ("C",)


def test_a_list_of_sites_may_have_blanks() -> None:
    (cluster,) = match(configuration(), jobs(1, DESIRED_Sites="SITE-X, SITE-B"))
    assert cluster.entries == ("B",)


def test_an_attribute_of_the_entry_decides() -> None:
    squid = entry_table("A") + "[entries.attributes]\nHasSquid = true\n"
    (cluster,) = match(configuration(squid, entry_table("B")), jobs(1, WantSquid=True))
    assert cluster.entries == ("A",)


def test_as_many_jobs_fit_side_by_side_as_cores_and_memory_allow() -> None:
    (small,) = match(configuration(), jobs(1, RequestMemory=512))
    (large,) = match(configuration(), jobs(1, RequestMemory=1500))
    (none,) = match(configuration(), jobs(1, RequestMemory=4096))
    assert small.fits_into(2, 2048) == 2
    assert large.fits_into(2, 2048) == 1
    assert none.fits_into(2, 2048) == 0
    assert small.fits_into(0, 2048) == 0
    shapes = [(2, 2048), (0, 2048), (1, 100_000), (64, 511)]
    assert small.fits_into_each(shapes) == tuple(small.fits_into(*shape) for shape in shapes) == (2, 0, 1, 0)


def test_a_matching_kept_for_several_cycles_says_the_same_as_a_new_one() -> None:
    kept = Matching()
    squid = entry_table("A") + "[entries.attributes]\nHasSquid = true\n"
    for tables in (("A", "B"), ("A",), ("B", "A", "C")):
        for wanted in (configuration(*map(entry_table, tables)), configuration(squid, entry_table("C"))):
            several = [*jobs(3, WantSquid=True), *jobs(2, DESIRED_Sites="SITE-A"), *jobs(1, vo="atlas")]
            assert kept.match(wanted, several) == match(wanted, several)


#: The same vocabulary with other requirements; the last knows one VO alone.
POLICIES = (
    POLICY,
    POLICY.replace("(!job.WantSquid || entry.HasSquid)", "job.RequestMemory % 512 == 0"),
    POLICY[: POLICY.index("[vos.ligo]")],
)
RULES = tuple(map(policy, POLICIES))

job_values = st.fixed_dictionaries(
    {"RequestCpus": st.sampled_from([1, 2, 3, 1.0, True, "1"])},
    optional={
        "RequestMemory": st.sampled_from([512, 512.0, 513, 2048, -0.0, 0.0]),
        "DESIRED_Sites": st.sampled_from(["", "SITE-A", "SITE-X, SITE-B", 7]),
        "WantSquid": st.booleans(),
        "Owner": st.sampled_from(["x", "y"]),
    },
)
entry_changes = st.fixed_dictionaries(
    {"resource": st.sampled_from(['"CE-A"', '"CE-B"'])},
    optional={
        "cores": st.integers(1, 2),
        "memory_mib": st.sampled_from([512, 2048]),
        "vos": st.sampled_from(['["cms"]', '["cms", "ligo"]']),
    },
)


class Cycles(RuleBasedStateMachine):
    """Jobs come, change and go, entries and the policy change: what is kept says what a new start says."""

    @initialize()
    def begin(self) -> None:
        self.kept, self.carried = Matching(), Carried()
        self.jobs: dict[str, Payload] = {}
        self.entries: dict[str, dict[str, Any]] = {"A": {}}
        self.rules = RULES[0]

    @rule(
        numbers=st.sets(st.integers(0, 12), max_size=5),
        values=job_values,
        vo=st.sampled_from(["cms", "cms", "ligo", "atlas"]),
        state=st.sampled_from(PayloadState),
    )
    def jobs_come_or_change(
        self, numbers: set[int], values: dict[str, Any], vo: str, state: PayloadState
    ) -> None:
        (job,) = jobs(1, vo=vo, state=state, **values)
        self.jobs |= {f"q#{number}.0": replace(job, id=f"q#{number}.0") for number in numbers}

    @rule(numbers=st.sets(st.integers(0, 12), max_size=5), every=st.booleans())
    def jobs_go(self, numbers: set[int], every: bool) -> None:
        gone = set(self.jobs) if every else {f"q#{number}.0" for number in numbers}
        self.jobs = {name: job for name, job in self.jobs.items() if name not in gone}

    @rule(name=st.sampled_from("ABC"), changes=st.none() | entry_changes)
    def an_entry_comes_changes_or_goes(self, name: str, changes: dict[str, Any] | None) -> None:
        self.entries.pop(name, None)
        if changes is not None:
            self.entries[name] = changes

    @rule(rules=st.sampled_from(RULES))
    def the_policy_changes(self, rules: Any) -> None:
        self.rules = rules

    @invariant()
    def what_is_kept_says_the_same_as_a_new_start(self) -> None:
        tables = [entry_table(name, **changes) for name, changes in self.entries.items()]
        found = tuple(configuration(*tables).entries.values()) if tables else ()
        wanted = Configuration(
            entries={each.name: each for each in found},
            policy=self.rules,
            digest=digest_of(found, self.rules),
        )
        self.carried.begin()
        seen = [
            replace(job, attributes=self.carried.carry(name, dict(job.attributes)))
            for name, job in self.jobs.items()
        ]
        kept, new = self.kept.match(wanted, seen), match(wanted, self.jobs.values())
        # As texts: 1, 1.0 and true are equal in Python.
        assert repr(kept) == repr(new)


class ForgetfulCycles(Cycles):
    """The same, with clusters forgotten as soon as half of them have no job."""

    @initialize()
    def forget_soon(self) -> None:
        engine._WORTH_FORGETTING = 0  # type: ignore[misc]

    def teardown(self) -> None:
        engine._WORTH_FORGETTING = _WORTH_FORGETTING  # type: ignore[misc]


_WORTH_FORGETTING = engine._WORTH_FORGETTING
TestCycles = Cycles.TestCase
TestForgetfulCycles = ForgetfulCycles.TestCase
TestCycles.settings = TestForgetfulCycles.settings = settings(
    max_examples=40, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_attributes_are_carried_on_only_if_they_say_the_very_same() -> None:
    carried = Carried()
    before = carried.carry("q#1.0", {"Count": 1})
    for attributes, is_same in (({"Count": 1}, True), ({"Count": 1.0}, False), ({"Count": True}, False)):
        carried.begin()
        now = carried.carry("q#1.0", attributes)
        assert (now is before) is is_same
        before = now
    carried.begin()
    carried.begin()
    assert carried.carry("q#1.0", {"Count": True}) is not before, "two observations later"


def test_a_job_whose_attributes_are_carried_on_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    keys = engine.Matcher._keys

    def counting(self: engine.Matcher, ads: Any) -> Any:
        read.append(len(ads))
        return keys(self, ads)

    monkeypatch.setattr(engine.Matcher, "_keys", counting)
    several, kept, world = jobs(100), Matching(), configuration()
    kept.match(world, several)
    (found,) = kept.match(world, [*several[1:], *jobs(2)])
    assert (found.idle, read) == (101, [100, 2])
