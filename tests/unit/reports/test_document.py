"""A report survives being kept as JSON, and its hash is of what it says alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.reports.example_week import AS_OF, MONDAY, WEEK, week_rows, week_usage

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure
from opengoc.reports.compare import Change, corrections
from opengoc.reports.document import content_hash, from_json, to_json
from opengoc.reports.inputs import ReportInputs
from opengoc.reports.model import Cause, Correction, Report, Table
from opengoc.reports.render import html, markdown, text, twiki
from opengoc.reports.render import json as json_format
from opengoc.reports.weekly import build
from opengoc.reports.wording import corrections_section

LATE = Change(cause=Cause(what="412 late records of site-history"), families=frozenset({"usage"}))
CANCELLED = Change(
    cause=Cause(what="downtime 9001 changed", who="site administrator", why="cancelled", known_at=AS_OF),
    families=frozenset({"monitoring"}),
    site="ITB-SLURM",
)


def test_a_report_comes_back_from_json_as_it_was(report: Report) -> None:
    old = Figure.known("wall_hours", 1.5, "hours", as_of=AS_OF, dimensions={"vo": "cms"})
    correction = Correction(week=WEEK, revision=1, old=old, new=None, causes=(CANCELLED.cause,))
    report = report.as_revision(2, (correction,))
    assert from_json(json.loads(json.dumps(to_json(report)))) == report


def test_the_formats_do_not_notice_that_it_was_kept(report: Report) -> None:
    kept = from_json(json.loads(json.dumps(to_json(report))))
    for render in (html.render, markdown.render, text.render, twiki.render, json_format.render):
        assert render(kept) == render(report)


def test_programs_find_their_keys(report: Report) -> None:
    document = json.loads(json_format.render(report))
    assert {"week", "revision", "as_of", "figures", "sections", "notes", "corrections"} <= document.keys()
    assert document["week"] == WEEK
    jobs = [
        f for f in document["figures"] if f["name"] == "payload_jobs" and f["dimensions"] == {"vo": "cms"}
    ]
    assert [(f["value"], f["unit"], f["state"], f["reason"]) for f in jobs] == [(2240, "jobs", "value", "")]
    assert jobs[0]["evidence"]["version"] == 17
    assert document["notes"][0]["section"] == "vo-cms"


def test_a_form_of_a_later_release_is_refused(report: Report) -> None:
    with pytest.raises(InvalidInput, match="newer release"):
        from_json(to_json(report) | {"form": 2})


def test_the_hash_is_the_same_when_it_was_only_looked_at_later(inputs: ReportInputs, report: Report) -> None:
    later = build(inputs, WEEK, AS_OF + timedelta(days=3), AS_OF + timedelta(days=3))
    assert content_hash(later) == content_hash(report)


def test_the_hash_does_not_mind_another_order_of_adding(inputs: ReportInputs, report: Report) -> None:
    days = tuple(replace(row, wall_seconds=row.wall_seconds * (1 + 1e-13)) for row in inputs.usage.days)
    other = build(replace(inputs, usage=replace(inputs.usage, days=days)), WEEK, AS_OF, AS_OF)
    assert content_hash(other) == content_hash(report)
    assert corrections(report, other, ()) == ()


def test_the_hash_minds_one_more_job_and_one_more_note(inputs: ReportInputs, report: Report) -> None:
    more = replace(inputs.usage, days=(*inputs.usage.days, replace(inputs.usage.days[0], jobs=1)))
    assert content_hash(build(replace(inputs, usage=more), WEEK, AS_OF, AS_OF)) != content_hash(report)
    note = replace(inputs.notes[0], id="n-2", text="And one more.")
    noted = replace(inputs, notes=(*inputs.notes, note))
    assert content_hash(build(noted, WEEK, AS_OF, AS_OF)) != content_hash(report)


def test_corrections_say_old_new_and_the_cause_that_fits(inputs: ReportInputs, report: Report) -> None:
    whole = week_usage(WEEK, week_rows(WEEK, 40))
    slurm = {"site": "ITB-SLURM"}
    figures = (
        *inputs.monitoring.figures[:2],
        Figure.known("availability", 95.0, "percent", as_of=AS_OF, dimensions=slurm),
        inputs.monitoring.figures[3],
    )
    changed = replace(inputs, usage=whole, monitoring=replace(inputs.monitoring, figures=figures))
    found = corrections(report.as_revision(1, ()), build(changed, WEEK, AS_OF, AS_OF), (LATE, CANCELLED))
    told = {(c.figure.name, *c.figure.dimensions.values()): c for c in found}
    hours = told["wall_hours", "cms"]
    assert hours.old is not None
    assert hours.new is not None
    assert (hours.old.reason, hours.new.reason, hours.revision) == (
        "site-history: 6 of 7 days (the history was rotated away)",
        "",
        1,
    )
    assert hours.causes == (LATE.cause,)
    assert told["availability", "ITB-SLURM"].causes == (CANCELLED.cause,)
    assert ("availability", "ITB-CONDOR") not in told
    assert ("payload_jobs", "cms") not in told


def test_that_a_running_week_went_on_is_no_correction(inputs: ReportInputs) -> None:
    friday = MONDAY + timedelta(days=4)
    early = build(inputs, WEEK, friday, friday).as_revision(1, ())
    late = build(inputs, WEEK, AS_OF, AS_OF)
    assert corrections(early, late, ()) == ()
    told = corrections(early, late, (CANCELLED,))
    assert {c.figure.dimensions.get("site") for c in told} <= {"ITB-SLURM"}


def test_a_figure_that_comes_or_goes_is_a_correction(inputs: ReportInputs, report: Report) -> None:
    fewer = build(replace(inputs, vos=("cms",)), WEEK, AS_OF, AS_OF)
    gone = {c.figure.dimensions.get("vo") for c in corrections(report, fewer, ())}
    assert gone == {"ligo"}
    assert all(c.new is None for c in corrections(report, fewer, ()))
    assert all(c.old is None for c in corrections(fewer, report, ()))


def test_every_format_lists_the_corrections(report: Report) -> None:
    old = Figure.known(
        "wall_hours", 1200, "hours", as_of=AS_OF, lacking="6 of 7 days", dimensions={"vo": "cms"}
    )
    new = Figure.known("wall_hours", 1417, "hours", as_of=AS_OF, dimensions={"vo": "cms"})
    correction = Correction(week=WEEK, revision=1, old=old, new=new, causes=(LATE.cause, CANCELLED.cause))
    revised = report.as_revision(2, (correction,))
    for render in (html.render, markdown.render, text.render, twiki.render):
        page = " ".join(render(revised).split())
        for words in ("revision 2", "1,200", "1,417", "412 late", "site administrator"):
            assert words in page, render.__module__


def test_corrections_are_read_newest_first_and_weeks_before_other_reports() -> None:
    old = Figure.known("wall_hours", 1, "hours", as_of=AS_OF)
    found = [
        Correction(week=name, revision=revision, old=replace(old, dimensions={"vo": vo}), new=None)
        for name, revision, vo in (
            ("2026-W44", 1, "cms"),
            ("2026-W44", 1, "ligo"),
            ("2026-W44", 2, "cms"),
            ("A/R 2026-10", 1, "cms"),
            ("2026-W45", 1, "cms"),
        )
    ]
    (table,) = corrections_section(tuple(found)).blocks
    assert isinstance(table, Table)
    assert [(row[0], row[1]) for row in table.rows] == [
        ("2026-W45 revision 1", "Wall hours of pilots — vo cms"),
        ("2026-W44 revision 2", "Wall hours of pilots — vo cms"),
        ("2026-W44 revision 1", "Wall hours of pilots — vo cms"),
        ("2026-W44 revision 1", "Wall hours of pilots — vo ligo"),
        ("A/R 2026-10 revision 1", "Wall hours of pilots — vo cms"),
    ]
