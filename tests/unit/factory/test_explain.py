"""Why a job may not run behind an entry: from the tree that decides it."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from tests.unit.factory.requirements import ENTRY, JOB, Ad, ads, as_htcondor_reads, texts, tree

from opengoc.condor.classads import Truth, truth
from opengoc.factory.explain import decide, rejections

TEXT = (
    'job.Count <= entry.Limit && (job.Words == "" || stringListMember(entry.Name, job.Words))'
    " && (!job.Flag || entry.Open)"
)


def clauses(job: Ad, entry: Ad) -> list[tuple[str, Truth]]:
    return [(each.clause, each.truth) for each in rejections(tree(TEXT), job=job, entry=entry)]


def test_the_clause_that_is_not_true_is_named() -> None:
    job, entry = {"Count": 4, "Words": "a, b", "Flag": False}, {"Limit": 2, "Name": "b", "Open": False}
    assert clauses(job, entry) == [("job.Count <= entry.Limit", Truth.FALSE)]


def test_of_an_alternative_every_part_is_named() -> None:
    job, entry = {"Count": 1, "Words": "a, b", "Flag": True}, {"Limit": 2, "Name": "c", "Open": True}
    assert clauses(job, entry) == [
        ('job.Words == ""', Truth.FALSE),
        ("stringListMember(entry.Name, job.Words)", Truth.FALSE),
    ]


def test_an_attribute_that_is_missing_or_of_another_type_shows() -> None:
    (found,) = rejections(tree("job.Count <= entry.Limit"), job={}, entry={"Limit": 3})
    assert (found.truth, dict(found.values)) == (Truth.UNDEFINED, {"job.Count": None, "entry.Limit": 3})
    (found,) = rejections(tree("job.Count <= entry.Limit"), job={"Count": "1"}, entry={"Limit": 3})
    assert found.truth is Truth.ERROR


def test_a_pair_that_matches_has_no_rejection() -> None:
    assert clauses({"Count": 1, "Words": "", "Flag": False}, {"Limit": 2, "Name": "c", "Open": True}) == []


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts(), job=ads(JOB), entry=ads(ENTRY))
def test_there_is_a_rejection_for_every_pair_that_does_not_match(text: str, job: Ad, entry: Ad) -> None:
    held = truth(as_htcondor_reads(text, job, entry))
    assert decide(tree(text), job=job, entry=entry) is held
    found = rejections(tree(text), job=job, entry=entry)
    assert bool(found) is (held is not Truth.TRUE)
    assert all(each.truth is not Truth.TRUE for each in found)
