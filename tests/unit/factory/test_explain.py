"""Why a job runs behind one entry and not behind another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.factory.world import NOW, configuration, entry_table, outage, policy, registry

from opengoc.condor.classads import Truth
from opengoc.factory.configuration import Configuration
from opengoc.factory.entries import Entry
from opengoc.factory.explain import Verdict, explain_job
from opengoc.factory.explain_entry import Around, EntryExplanation, LimitState, explain_entry
from opengoc.factory.limits import Limits
from opengoc.factory.match import Matching
from opengoc.factory.model import EntryRow, Limit, Pace, Payload, PayloadState
from opengoc.factory.ramp import Ramp

JOB = {"VO": "cms", "RequestCpus": 1, "RequestMemory": 512, "RequestDisk": 1024}


def _verdict(job: dict[str, Any], *tables: str, entry: str = "A", vo: str = "cms") -> Verdict:
    found = {verdict.entry: verdict for verdict in explain_job(configuration(*tables), job, vo)}
    return found[entry]


def test_a_job_that_fits_is_true_in_every_clause() -> None:
    verdict = _verdict(JOB)
    assert verdict.matches
    assert verdict.rejecting == ()
    assert [clause.text for clause in verdict.clauses] == [
        'job.VO =?= "cms"',
        "job.RequestCpus <= entry.Cores",
        "job.RequestMemory <= entry.MemoryMiB",
        "job.RequestDisk <= entry.DiskMiB * 1024",
        'job.DESIRED_Sites == "" || stringListMember(entry.Site, job.DESIRED_Sites)',
        "!job.WantSquid || entry.HasSquid",
    ]
    assert {clause.value for clause in verdict.clauses} == {Truth.TRUE}


def test_the_clause_that_rejects_is_shown_with_what_it_saw() -> None:
    verdict = _verdict({**JOB, "RequestMemory": 4096})
    assert not verdict.matches
    (clause,) = verdict.rejecting
    assert (clause.text, clause.value) == ("job.RequestMemory <= entry.MemoryMiB", Truth.FALSE)
    assert [(each.name, each.value) for each in clause.seen] == [
        ("job.RequestMemory", 4096),
        ("entry.MemoryMiB", 2048),
    ]


def test_the_parts_of_an_alternative_are_shown() -> None:
    verdict = _verdict({**JOB, "DESIRED_Sites": "SITE-X, SITE-Y"})
    (clause,) = verdict.rejecting
    assert [(part.text, part.value) for part in clause.parts] == [
        ('job.DESIRED_Sites == ""', Truth.FALSE),
        ("stringListMember(entry.Site, job.DESIRED_Sites)", Truth.FALSE),
    ]
    assert [(each.name, each.value) for each in clause.seen] == [
        ("job.DESIRED_Sites", "SITE-X, SITE-Y"),
        ("entry.Site", "SITE-A"),
    ]


def test_a_default_that_stood_in_is_marked_and_names_know_no_case() -> None:
    verdict = _verdict({"vo": "cms", "requestmemory": 512})
    seen = {each.name: (each.value, each.is_default) for clause in verdict.clauses for each in clause.seen}
    assert seen["job.RequestMemory"] == (512, False)
    assert seen["job.RequestCpus"] == (1, True)
    assert verdict.matches


def test_undefined_and_error_reject_too() -> None:
    assert _verdict({**JOB, "RequestCpus": "many"}).rejecting[0].value is Truth.ERROR
    own = policy('[job.Rank]\ntype = "int"\n[vos.cms]\nrequirements = "job.Rank > 3"\n')
    asked = replace(configuration(entry_table("A")), policy=own)
    (verdict,) = explain_job(asked, JOB, "cms")
    assert [(clause.text, clause.value) for clause in verdict.rejecting] == [
        ("job.Rank > 3", Truth.UNDEFINED)
    ]


@pytest.mark.parametrize(
    ("table", "vo", "closed"),
    [
        (entry_table("A", enabled="false", reason='"upgrade"'), "cms", "disabled: upgrade"),
        (entry_table("A", vos='["ligo"]'), "cms", "does not serve cms"),
        (entry_table("A"), "atlas", "the policy knows no VO 'atlas'"),
    ],
)
def test_an_entry_that_is_closed_says_so(table: str, vo: str, closed: str) -> None:
    verdict = _verdict({**JOB, "VO": vo}, table, vo=vo)
    assert (verdict.matches, verdict.closed) == (False, closed)


VALUES = st.sampled_from([None, 0, 1, 2, 512, 2048, 4096, 1.5, True, False, "", "SITE-A", "x, SITE-B", "cms"])


@given(
    st.dictionaries(
        st.sampled_from(["VO", "RequestCpus", "RequestMemory", "RequestDisk", "DESIRED_Sites", "WantSquid"]),
        VALUES,
    )
)
def test_what_is_explained_is_what_is_matched(attributes: dict[str, Any]) -> None:
    job = {name: value for name, value in ({"VO": "cms"} | attributes).items() if value is not None}
    settled: Configuration = configuration(
        entry_table("A"), entry_table("B", resource='"CE-B"', cores=1, memory_mib=512)
    )
    payload = Payload(id="pool#1.0", vo="cms", state=PayloadState.IDLE, attributes=job)
    (cluster,) = Matching().match(settled, [payload])
    explained = tuple(each.entry for each in explain_job(settled, job, "cms") if each.matches)
    assert explained == cluster.entries


def _row(**changes: Any) -> EntryRow:
    row = EntryRow(
        entry="A",
        vo="cms",
        matching_jobs=40,
        requested=20,
        allowed=2,
        limit=Limit.MAX_PILOTS,
        detail="10 pilots",
        idle=3,
        running=4,
        held=1,
        free_slots=0,
    )
    return replace(row, **changes)


def test_an_entry_names_the_limit_that_bound_and_what_each_cap_leaves() -> None:
    entry = configuration().entries["A"]
    idle = _row(vo="ligo", matching_jobs=0, requested=0, allowed=0, limit=Limit.NONE, detail="", running=0)
    said = _explained(entry, [_row(), idle, _row(entry="B")])
    assert [row.vo for row in said.rows] == ["cms", "ligo"]
    assert said.answer == "max_pilots: 10 pilots"
    assert [_short(each) for each in said.limits if each.cap is not None] == [
        ("max_pilots", "", 10, 12, 0, True),
        ("max_idle", "", 10, 8, 2, False),
        ("cycle", "all entries", 50, 0, 50, False),
        ("removals", "all entries", 10, 0, 10, False),
    ]
    assert {each.state for each in said.limits if each.cap is None} == {
        "no",
        "none",
        "none announced",
        "not set",
    }


def test_every_limit_that_is_set_is_shown_with_its_state() -> None:
    table = entry_table(
        "A", max_held=2, max_per_cycle=3, max_per_minute=12, enabled="false", reason='"cooling"'
    )
    entry = configuration(table + "[entries.max_pilots_of]\ncms = 9\n").entries["A"]
    over_all = Limits(max_pilots=100, max_idle=50, max_per_cycle=20, max_per_minute=60)
    closed = _row(limit=Limit.MAX_PILOTS_OF_VO, detail="9 pilots of cms")
    said = _explained(
        entry,
        [closed, _row(entry="B", held=0)],
        registry=registry(outage("CE-A", starts_in=0.5, hours=1)),
        limits=over_all,
        ramp=Ramp(sent={"A": (NOW - timedelta(seconds=1), NOW), "B": (NOW,) * 7}),
        paused={"A": "the guard: START differs"},
        frozen="the queue did not answer",
        removed=10,
    )
    by_name = {(each.limit, each.of): each for each in said.limits}
    assert {name: each.state for (name, _), each in by_name.items() if each.cap is None} == {
        "disabled": "cooling",
        "outage": "none",
        "outage ahead": "CE-A from 2026-11-16T12:30:00Z: a pilot could not end before",
        "paused": "the guard: START differs",
        "failing": "no",
        "canary": "no",
        "frozen": "the queue did not answer",
        "max_pilots_of": "not set",
    }
    assert [_short(each) for each in said.limits if each.cap is not None] == [
        ("max_pilots", "", 10, 8, 2, False),
        ("max_idle", "", 10, 4, 6, False),
        ("max_held", "", 2, 1, None, False),
        ("max_per_cycle", "", 3, 0, 3, False),
        ("max_per_minute", "", 12, 2, 1, False),
        ("max_pilots_of", "cms", 9, 8, 1, True),
        ("cycle", "all entries", 50, 0, 50, False),
        ("cycle", "all entries", 20, 0, 20, False),
        ("all entries", "all entries", 100, 15, 85, False),
        ("all entries", "all entries", 50, 7, 43, False),
        ("all entries", "all entries", 60, 9, 3, False),
        ("removals", "all entries", 10, 10, 0, True),
    ]


def test_a_gate_that_another_one_hides_is_not_known() -> None:
    paused = _row(limit=Limit.PAUSED, detail="by hand", allowed=0)
    states = {each.limit: each for each in _explained(configuration().entries["A"], [paused]).limits}
    assert states["failing"].state == "not known: something else shuts it"
    assert states["paused"].binds
    failing = _row(limit=Limit.FAILING, detail="until noon: 3 of 3", allowed=0)
    states = {each.limit: each for each in _explained(configuration().entries["A"], [failing]).limits}
    assert (states["failing"].state, states["failing"].binds) == ("until noon: 3 of 3", True)


def _explained(entry: Entry, rows: list[EntryRow], **changes: Any) -> EntryExplanation:
    around = Around(registry=registry(), limits=Limits(), ramp=Ramp(), paused={}, pace=Pace(), now=NOW)
    return explain_entry(entry, rows, replace(around, **changes))


def _short(state: LimitState) -> tuple[str, str, int | None, int | None, int | None, bool]:
    return state.limit, state.of, state.cap, state.used, state.left, state.binds


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"allowed": 20}, "nothing bound: 20 pilots were sent"),
        ({"requested": 0, "allowed": 0}, "nothing bound: the jobs that match find room"),
        ({"matching_jobs": 0, "requested": 0, "allowed": 0}, "nothing bound: no idle job matches"),
    ],
)
def test_an_entry_that_nothing_binds_says_why_it_gets_none(changes: dict[str, Any], answer: str) -> None:
    row = _row(limit=Limit.NONE, detail="", **changes)
    assert _explained(configuration().entries["A"], [row]).answer.startswith(answer)


def test_an_entry_that_the_cycle_did_not_know_says_so() -> None:
    said = _explained(configuration().entries["B"], [_row()])
    assert said.rows == ()
    assert "did not know this entry" in said.answer
