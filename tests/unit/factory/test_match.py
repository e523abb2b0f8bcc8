"""Jobs become clusters, clusters find entries."""

from __future__ import annotations

from tests.unit.factory.world import configuration, entry_table, jobs

from opengoc.factory.match import Matching, match
from opengoc.factory.model import PayloadState


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


def test_a_matching_kept_for_several_cycles_says_the_same_as_a_new_one() -> None:
    kept = Matching()
    squid = entry_table("A") + "[entries.attributes]\nHasSquid = true\n"
    for tables in (("A", "B"), ("A",), ("B", "A", "C")):
        for wanted in (configuration(*map(entry_table, tables)), configuration(squid, entry_table("C"))):
            several = [*jobs(3, WantSquid=True), *jobs(2, DESIRED_Sites="SITE-A"), *jobs(1, vo="atlas")]
            assert kept.match(wanted, several) == match(wanted, several)
