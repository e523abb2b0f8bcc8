"""``goc report``: the weekly production report: written, annotated, published, mailed; and A/R reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from opengoc.base.figure import Figure
from opengoc.base.instant import utc_now
from opengoc.cli import report_ar, report_mail, report_weekly
from opengoc.cli.output import AsOf, Json, emit, house_of, table
from opengoc.cli.report_mail import Week, alarms_of, named_week, tell_alarms
from opengoc.reports.model import Correction, Note, Report, dimensions_text
from opengoc.reports.wording import causes_text, figure_text, figure_title

if TYPE_CHECKING:
    from opengoc.reports.published import Publication

# What gathers, mails and keeps reports is imported where it is used: most commands need little of it.

app = typer.Typer(no_args_is_help=True, help="The weekly production report.")
note_app = typer.Typer(no_args_is_help=True, help="Hand-written notes of a report.")
app.add_typer(note_app, name="note")
app.command()(report_weekly.weekly)
app.command()(report_mail.mail)
app.command()(report_mail.deliver)
app.command()(report_mail.deliveries)
app.command()(report_ar.ar)
app.command("publish-ar")(report_ar.publish_ar)
app.command()(report_ar.review)
app.command()(report_ar.drafts)
app.command()(report_ar.approve)
app.command()(report_ar.reject)
app.command()(report_ar.rejections)
app.command("revisions-ar")(report_ar.revisions)


@app.callback()
def _noun() -> None:
    """The weekly production report of this installation."""


@app.command()
def publish(
    ctx: typer.Context,
    week: Week = None,
    why: Annotated[str, typer.Option(help="The reason, kept with the revision.")] = "",
    as_json: Json = False,
) -> None:
    """Publish a week as known now; a new revision only where it says something new."""
    from opengoc.flows import publication

    house = house_of(ctx)
    made = publication.publish(house.report_stores(), named_week(week, utc_now()), who=house.who, why=why)
    report = made.report

    def said() -> str:
        what = f"{report.week} revision {report.revision}"
        own = [item for item in report.corrections if item.week == report.week]
        if not made.new:
            return f"{what} stands: nothing changed"
        return f"{what} published" + (f", {len(own)} corrected figures" if own else "")

    value = _publication_json(made) | {
        "new": made.new,
        "corrections": [_correction_json(item) for item in report.corrections],
    }
    emit(value, as_json=as_json, text=said)


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """Published reports, the latest revision of each week, and how far their mails came."""
    from opengoc.flows import mail as mailing
    from opengoc.flows.mail import DeliveryState
    from opengoc.reports import published

    house = house_of(ctx)
    with house.database.read() as conn:
        weeks = published.latest_of_each_week(conn)
        items = mailing.deliveries(conn)
    rows = []
    for each in weeks:
        mails = [d for d in items if (d.week, d.revision) == (each.report.week, each.report.revision)]
        mailed = {state.value: sum(d.state is state for d in mails) for state in DeliveryState}
        rows.append(_publication_json(each) | {"mail": {state: n for state, n in mailed.items() if n}})
    alarms = alarms_of(house, utc_now())

    def shown() -> object:
        return table(
            ["Week", "Revision#", "Published", "By", "Mail"],
            [
                [
                    row["week"],
                    row["revision"],
                    f"{row['published_at']:%Y-%m-%d %H:%M}",
                    escape(row["who"]),
                    ", ".join(f"{n} {state}" for state, n in row["mail"].items()) or "not mailed",
                ]
                for row in rows
            ],
            empty="No report is published.",
        )

    emit({"reports": rows, "alarms": alarms}, as_json=as_json, text=shown)
    tell_alarms(alarms)


@app.command()
def outdated(ctx: typer.Context, as_json: Json = False) -> None:
    """Published figures that the facts no longer bear out; exit code 1 where there is one."""
    from opengoc.flows import publication

    house = house_of(ctx)
    found = publication.outdated(house.report_stores(), now=utc_now())

    def shown() -> object:
        return table(
            ["Week", "Figure", "Published", "Now", "Cause"],
            [
                [
                    f"{item.week} r{item.revision}",
                    escape(f"{figure_title(item.figure.name)} {dimensions_text(item.figure.dimensions)}"),
                    escape(_figure_text(item.old)),
                    escape(_figure_text(item.new)),
                    escape(causes_text(item.causes)),
                ]
                for item in found
            ],
            empty="Every published figure of the last eight weeks stands.",
        )

    emit([_correction_json(item) for item in found], as_json=as_json, text=shown)
    if found:
        raise typer.Exit(1)


@note_app.command("add")
def add_note(
    ctx: typer.Context,
    words: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; several lines are kept.")],
    section: Annotated[str, typer.Option(help="actions, attendance, vo-<name>, operations, …")] = "actions",
    week: Week = None,
    as_json: Json = False,
) -> None:
    """Write a note into a section of a week's report."""
    from opengoc.flows.weekly import report_vos
    from opengoc.reports import notes as noting
    from opengoc.reports.weekly import section_names

    house = house_of(ctx)
    name = named_week(week, utc_now())
    known = section_names(report_vos(house.registry()))
    with house.database.begin() as conn:
        note = noting.add_note(conn, week=name, section=section, text=words, who=house.who, sections=known)
    emit(
        _note_json(note) | {"week": name},
        as_json=as_json,
        text=lambda: f"{note.id} in {note.section} of {name}",
    )


@note_app.command("list")
def list_notes(ctx: typer.Context, week: Week = None, as_of: AsOf = None, as_json: Json = False) -> None:
    """The notes of a week."""
    from opengoc.reports import notes as noting

    house = house_of(ctx)
    name = named_week(week, utc_now())
    with house.database.read() as conn:
        found = noting.notes_of(conn, name, known_at=as_of)

    def shown() -> object:
        return table(
            ["Note", "Section", "By", "Text"],
            [[n.id, escape(n.section), escape(n.who), escape(n.text)] for n in found],
            empty=f"{name} has no note.",
        )

    emit([_note_json(note) for note in found], as_json=as_json, text=shown)


@note_app.command("withdraw")
def withdraw_note(
    ctx: typer.Context,
    note: Annotated[str, typer.Argument(help="Id of the note.")],
    why: Annotated[str, typer.Option(help="The reason, kept with the change.")] = "",
    as_json: Json = False,
) -> None:
    """Take a note back; its history stays."""
    from opengoc.reports import notes as noting

    house = house_of(ctx)
    with house.database.begin() as conn:
        noting.withdraw_note(conn, note, who=house.who, why=why)
    emit({"id": note, "withdrawn": True}, as_json=as_json, text=lambda: f"{note} withdrawn")


def _publication_json(made: Publication) -> dict[str, Any]:
    report: Report = made.report
    return {
        "week": report.week,
        "revision": report.revision,
        "as_of": report.as_of,
        "week_is_over": report.week_is_over,
        "published_at": made.published_at,
        "who": made.who,
        "hash": made.content_hash,
    }


def _correction_json(item: Correction) -> dict[str, Any]:
    return {
        "week": item.week,
        "revision": item.revision,
        "name": item.figure.name,
        "dimensions": dict(item.figure.dimensions),
        "old": item.old.to_json() if item.old is not None else None,
        "new": item.new.to_json() if item.new is not None else None,
        "causes": [
            {"what": cause.what, "who": cause.who, "why": cause.why, "known_at": cause.known_at}
            for cause in item.causes
        ],
    }


def _note_json(note: Note) -> dict[str, Any]:
    return {
        "id": note.id,
        "section": note.section,
        "text": note.text,
        "who": note.who,
        "written_at": note.written_at,
    }


def _figure_text(figure: Figure | None) -> str:
    return figure_text(figure) if figure is not None else "not reported"
