"""What applying a configuration would change, and whether it may be applied."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.factory.world import NOW, POLICY, RESOURCES, entry_table, failed, jobs, pilot, whole

from opengoc.factory.configuration import Configuration, read_configuration
from opengoc.factory.model import Payload, PayloadState, PilotState
from opengoc.factory.plan import Plan, plan
from opengoc.factory.recent import RecentJobs, recent_jobs

BOTH = entry_table("A") + entry_table("B", resource='"CE-B"')
CANARIES = """
[[canaries.must_run]]
name = "cms at B"
entry = "B"
job = { vo = "cms", DESIRED_Sites = "SITE-X, SITE-B" }

[[canaries.must_not_run]]
entry = "A"
job = { VO = "cms", DESIRED_Sites = "SITE-B" }
"""


def world(entries: str = BOTH, policy: str = POLICY) -> Configuration:
    found, *faults = read_configuration(entries, policy, RESOURCES, names=("entries.toml", "policy.toml"))
    assert faults == [(), ()]
    return found


def planned(
    before: Configuration | None, after: Configuration, payloads: list[Payload] | None = None
) -> Plan:
    return plan(before, after, payloads=payloads or [], pilots=whole("queue", ()))


def faults_of(canaries: str) -> list[str]:
    _, _, faults = read_configuration(BOTH, POLICY + canaries, RESOURCES, names=("e", "p"))
    return [f"{fault.line} {fault.subject}: {fault.rule}" for fault in faults]


def test_over_nothing_everything_is_added_and_nothing_has_to_be_accepted() -> None:
    found = planned(None, world())
    assert (found.difference.added, found.before, found.doubts, found.refusals) == (("A", "B"), "", (), ())
    assert len(found.difference.gained) == 4


def test_what_changed_of_an_entry_is_named_with_both_values() -> None:
    found = planned(world(), world(BOTH.replace("max_idle = 10", "max_idle = 5", 1)))
    assert found.difference.changed == {"A": {"max_idle": (10, 5)}}
    # Its pilots decide as before.
    assert (found.difference.redecided, found.doubts) == ((), ())


def test_pairs_are_lost_when_an_entry_is_disabled_or_removed() -> None:
    off = entry_table("A", enabled="false", reason='"cooling"')
    kept = entry_table("B", resource='"CE-B"')
    for text in (off + kept, kept):
        found = planned(world(), world(text))
        assert found.difference.lost == (("cms", "A"), ("ligo", "A"))
        assert [doubt.split(":")[0] for doubt in found.doubts] == ["cms", "ligo"]


def test_pilots_count_as_affected_when_their_start_differs() -> None:
    before = world()
    after = world(BOTH.replace("cores = 2", "cores = 3", 1))
    pilots = [
        pilot(1, digest=before.digest, state=PilotState.RUNNING),
        pilot(2, digest=before.digest, entry="B"),
        pilot(3, digest=before.digest, state=PilotState.COMPLETED),
    ]
    found = plan(before, after, payloads=[], pilots=whole("queue", pilots))
    assert (found.affected.pilots, found.affected.entries) == (1, {"A": 1})
    unseen = plan(before, after, payloads=[], pilots=failed("queue"))
    assert (unseen.affected.pilots, unseen.affected.unknown) == (None, "no answer within 20 s")


def test_recent_jobs_show_which_pairs_come_and_go() -> None:
    corrupt = POLICY.replace('job.DESIRED_Sites == ""', 'job.DESIRED_Sites != "nowhere"')
    bound = jobs(3, DESIRED_Sites="SITE-B") + jobs(2, vo="ligo")
    found = planned(world(), world(policy=corrupt), bound)
    assert found.replay is not None
    assert found.replay.pairs_before == {"cms": 3, "ligo": 4}
    assert (found.replay.gained, found.replay.lost) == ({"cms": 3}, {})
    assert found.doubts == ("cms: of 3 pairs of recent job and entry 3 gained, 0 lost, more than 20%",)


def test_jobs_that_could_run_nowhere_any_more_are_named() -> None:
    strict = POLICY.replace("(!job.WantSquid || entry.HasSquid)", "(job.WantSquid && entry.HasSquid)")
    found = planned(world(), world(policy=strict), jobs(2))
    assert "cms: 2 recent jobs could run nowhere" in found.doubts
    said = json.loads(json.dumps(found.to_json()))
    assert said["replay"]["lost"] == {"cms": 4}
    assert said["replay"]["stranded"] == {"cms": 2}


def test_an_attribute_that_was_never_fetched_is_named() -> None:
    named = '[job.Colour]\ntype = "string"\n' + POLICY.replace("!job.WantSquid", 'job.Colour == "red"')
    found = planned(world(), world(policy=named), jobs(1))
    assert found.replay is not None
    assert found.replay.lacking == ("Colour",)


def test_canaries_that_sing_as_they_must_let_it_pass() -> None:
    found = planned(None, world(policy=POLICY + CANARIES))
    assert [song.is_well for song in found.songs] == [True, True]
    assert found.refusals == ()


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('job.DESIRED_Sites == ""', "true == job.WantSquid", "cms at B"),
        ('job.DESIRED_Sites == ""', 'job.DESIRED_Sites != ""', "a job of cms does not run behind A"),
    ],
)
def test_a_canary_that_does_not_sing_refuses(old: str, new: str, name: str) -> None:
    policy = POLICY.replace("stringListMember(entry.Site, job.DESIRED_Sites))", "job.WantSquid)", 1)
    text = (policy if name == "cms at B" else POLICY).replace(old, new, 1)
    found = planned(None, world(policy=text + CANARIES))
    assert [refusal.split("'")[1] for refusal in found.refusals] == [name]


def test_a_canary_of_an_entry_that_does_not_serve_its_vo_says_so() -> None:
    only_ligo = entry_table("A") + entry_table("B", resource='"CE-B"', vos='["ligo"]')
    found = planned(None, world(only_ligo, POLICY + CANARIES))
    assert found.refusals == ("canary 'cms at B' fails: B: it does not serve cms",)


def test_the_faults_of_canaries_are_named() -> None:
    head = "\n[[canaries.must_run]]\n"
    assert "job has no VO" in faults_of(head + 'entry = "A"\njob = {}')[0]
    assert "is none of the entries" in faults_of(head + 'entry = "C"\njob = { VO = "cms" }')[0]
    assert "is not declared" in faults_of(head + 'entry = "A"\njob = { VO = "cms", Colour = 1 }')[0]
    assert "must be a int" in faults_of(head + 'entry = "A"\njob = { VO = "cms", RequestCpus = "1" }')[0]
    assert "colour is no known key" in faults_of(head + 'entry = "A"\ncolour = 1\njob = { VO = "cms" }')[0]
    assert "neither must_run nor" in faults_of("\n[[canaries.may_run]]\nentry = 'A'\n")[0]


def test_canaries_are_no_part_of_the_digest() -> None:
    assert world().digest == world(policy=POLICY + CANARIES).digest


def test_a_plan_replays_every_kind_of_recent_job_over_471_entries() -> None:
    tables = [entry_table(f"E{n}", resource='"CE-A"', cores=1 + n % 8) for n in range(471)]
    before = world("".join(tables))
    changed = POLICY.replace("!job.WantSquid", "!job.WantSquid || job.RequestCpus > 2")
    after = world("".join(tables), changed)
    payloads = [
        replace(one, attributes={**one.attributes, "RequestMemory": n % 2500, "RequestCpus": 1 + n % 5})
        for n, one in enumerate(jobs(10_000))
    ]
    found = planned(before, after, payloads)
    assert found.replay is not None
    assert found.replay.jobs == 10_000


def test_recent_jobs_are_kept_once_a_kind_for_a_day(tmp_path: Path) -> None:
    kept = RecentJobs(tmp_path)
    kept.see(jobs(5) + jobs(2, vo="ligo", state=PayloadState.RUNNING), now=NOW)
    later = NOW + timedelta(hours=23)
    RecentJobs(tmp_path).see(jobs(1, RequestCpus=8, Odd=[1]), now=later)
    found = recent_jobs(tmp_path, now=later)
    assert [(each.vo, each.attributes["RequestCpus"]) for each in found] == [
        ("cms", 1),
        ("ligo", 1),
        ("cms", 8),
    ]
    assert "Odd" not in found[2].attributes
    assert len(recent_jobs(tmp_path, now=later + timedelta(hours=2))) == 1
    assert recent_jobs(tmp_path / "nowhere", now=NOW) == ()


def test_the_oldest_kinds_of_jobs_go_when_they_are_too_many(tmp_path: Path) -> None:
    several = [
        replace(one, id=f"cms#{n}", attributes={"VO": "cms", "RequestMemory": n})
        for n, one in enumerate(jobs(10_050))
    ]
    RecentJobs(tmp_path).see(several, now=NOW)
    found = recent_jobs(tmp_path, now=NOW)
    assert (len(found), found[0].attributes["RequestMemory"]) == (10_000, 50)
