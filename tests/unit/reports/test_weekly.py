"""The whole report of a week: what it must carry, and that notes and figures keep their place."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.reports.example_week import AS_OF, MONDAY, WEEK, usage_day, week_usage

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure, FigureState
from opengoc.reports.inputs import Monitoring, ReportInputs
from opengoc.reports.model import Items, Note, Report, Section, Table
from opengoc.reports.usage import days_of
from opengoc.reports.weekly import build, section_names


def figure(report: Report, name: str, **dimensions: str) -> Figure:
    found = [f for f in report.figures if f.name == name and dict(f.dimensions) == dimensions]
    assert len(found) == 1
    return found[0]


def test_it_has_the_sections_of_the_meeting_in_order(report: Report) -> None:
    assert [section.name for section in report.sections] == list(section_names(("cms", "ligo")))


def test_each_vo_has_its_figures_and_their_change(report: Report) -> None:
    assert figure(report, "payload_jobs", vo="cms").value == 40 * (3 + 4 + 5 + 6 + 7 + 8 + 9) + 7 * 80
    assert figure(report, "payload_jobs_week_before", vo="cms").value == 1680
    assert figure(report, "payload_jobs_change", vo="cms").value == pytest.approx(100 / 3)
    assert figure(report, "payload_jobs", vo="ligo").state is FigureState.ZERO
    assert (
        figure(report, "pilot_jobs", vo="cms").reason
        == "site-history: 6 of 7 days (the history was rotated away)"
    )


def test_the_sites_of_a_vo_add_up_to_the_vo(report: Report) -> None:
    sites = [
        f.value for f in report.figures if f.name == "payload_jobs_at_site" and f.dimensions["vo"] == "cms"
    ]
    assert sum(value or 0 for value in sites) == figure(report, "payload_jobs", vo="cms").value


def test_availability_and_reliability_stand_by_site(report: Report) -> None:
    assert figure(report, "availability", site="ITB-CONDOR").value == 99.97
    assert figure(report, "reliability", site="ITB-SLURM").state is FigureState.MISSING


def test_a_site_without_one_of_the_two_says_so(inputs: ReportInputs) -> None:
    only = Figure.known("availability", 90.0, "percent", as_of=AS_OF, dimensions={"site": "ITB-SLURM"})
    monitoring = Monitoring(figures=(only,), missing_reason="not computed")
    report = build(replace(inputs, monitoring=monitoring), WEEK, AS_OF, AS_OF)
    assert figure(report, "reliability", site="ITB-SLURM").reason == "not computed"


def test_no_figure_claims_to_know_more_than_the_report(report: Report) -> None:
    assert {f.as_of for f in report.figures} == {AS_OF}


def test_as_of_tomorrow_is_as_of_now(inputs: ReportInputs) -> None:
    assert build(inputs, WEEK, AS_OF + timedelta(days=1), AS_OF).as_of == AS_OF


def test_a_running_week_says_so(inputs: ReportInputs) -> None:
    now = MONDAY + timedelta(days=3, hours=2)
    report = build(inputs, WEEK, now, now)
    assert not report.week_is_over
    assert figure(report, "payload_jobs", vo="cms").reason.startswith("to date")
    assert figure(report, "pilots_submitted", entry="ITB-CONDOR-2core").reason == "to date"


def test_a_note_of_a_section_that_is_gone_moves_to_the_items(inputs: ReportInputs) -> None:
    note = Note(id="n-2", section="vo-atlas", text="left", who="production coordinator", written_at=AS_OF)
    report = build(replace(inputs, notes=(note,)), WEEK, AS_OF, AS_OF)
    assert [n.text for n in report.sections[1].notes] == ["[vo-atlas] left"]


def test_what_matters_most_comes_first(report: Report) -> None:
    assert [section.name for section in report.sections][:3] == ["overview", "actions", "attendance"]
    assert report.sections[0].blocks[1] == Items(
        title="",
        lines=(
            "Services: 1 of 2 are OK at the end of the week; not OK: ITB-SLURM-CE CRITICAL.",
            "Downtimes: 1 cancelled; 1 in force or ahead.",
            "Factory: 280 pilots submitted, one configuration, 1 finding.",
        ),
    )


def test_all_vos_are_added_up(report: Report) -> None:
    jobs = sum(figure(report, "payload_jobs", vo=vo).value or 0 for vo in ("cms", "ligo"))
    assert figure(report, "payload_jobs_of_all").value == jobs
    assert (
        figure(report, "wall_hours_of_all").reason
        == "site-history: 6 of 7 days (the history was rotated away)"
    )
    assert figure(report, "wall_hours_of_all_change").reason == "this week is partial"


def test_other_jobs_stand_by_site_and_make_no_vo(inputs: ReportInputs) -> None:
    day = days_of(inputs.usage)[0]
    probes = usage_day("VO not stated", "ITB-SLURM", day, "batch", 9)
    more = replace(inputs, usage=replace(inputs.usage, days=(*inputs.usage.days, probes)))
    report = build(more, WEEK, AS_OF, AS_OF)
    assert figure(report, "batch_jobs", site="ITB-SLURM").value == 9
    assert not [f for f in report.figures if f.dimensions.get("vo") == "VO not stated"]


def test_of_many_vos_the_silent_ones_share_a_table(inputs: ReportInputs) -> None:
    vos = ("cms", *(f"vo{n}" for n in range(20)))
    rows = [usage_day("cms", "ITB-CONDOR", days_of(inputs.usage)[0], "payload", 3)]
    many = replace(inputs, vos=vos, usage=week_usage(WEEK, rows), before=week_usage("2026-W45", []))
    report = build(many, WEEK, AS_OF, AS_OF)
    assert [s.name for s in report.sections if s.name.startswith("vo-")] == ["vo-cms"]
    assert figure(report, "payload_jobs", vo="vo7").state is FigureState.ZERO


def test_nothing_at_all_gives_a_report_full_of_reasons() -> None:
    empty = replace(week_usage(WEEK, []), coverage=())
    report = build(ReportInputs(vos=("cms",), usage=empty, before=empty), WEEK, AS_OF, AS_OF)
    assert {f.state for f in report.figures} == {FigureState.MISSING}
    assert all(f.reason for f in report.figures)


def test_one_name_cannot_stand_with_two_numbers() -> None:
    figures = (Figure.known("jobs", 1, "jobs", as_of=AS_OF), Figure.known("jobs", 2, "jobs", as_of=AS_OF))
    table = Table(title="", columns=("a", "b"), rows=(figures,))
    with pytest.raises(InvalidInput, match="two numbers"):
        Report(
            week=WEEK,
            interval=week_usage(WEEK, []).interval,
            revision=0,
            as_of=AS_OF,
            sections=(Section(name="s", title="s", blocks=(table,)),),
        )
