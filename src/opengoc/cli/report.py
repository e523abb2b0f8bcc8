"""``goc report``: the weekly production report: written, annotated, published, mailed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.app import House
from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.figure import Figure
from opengoc.base.instant import utc_now
from opengoc.base.interval import week as week_interval
from opengoc.base.interval import week_name
from opengoc.cli.accounting import sources_of
from opengoc.cli.output import AsOf, Json, emit, err, house_of, out, table
from opengoc.cli.probe import checks_of, grid_of
from opengoc.flows import mail as mailing
from opengoc.flows import publication
from opengoc.flows.mail import Delivery, DeliveryState, MailServer
from opengoc.flows.probing import expected_of
from opengoc.flows.weekly import Stores, report_vos
from opengoc.monitoring.profile import profile
from opengoc.reports import notes as noting
from opengoc.reports import published
from opengoc.reports.model import Correction, Note, Report, dimensions_text
from opengoc.reports.published import Publication
from opengoc.reports.render import html, markdown, text, twiki
from opengoc.reports.render import json as json_format
from opengoc.reports.weekly import section_names
from opengoc.reports.wording import causes_text, figure_text, figure_title
from opengoc.settings import MailSettings

app = typer.Typer(no_args_is_help=True, help="The weekly production report.")
note_app = typer.Typer(no_args_is_help=True, help="Hand-written notes of a report.")
app.add_typer(note_app, name="note")


class Format(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    MARKDOWN = "markdown"
    TWIKI = "twiki"
    TEXT = "text"
    JSON = "json"


_RENDER = {
    Format.HTML: html.render,
    Format.MARKDOWN: markdown.render,
    Format.TWIKI: twiki.render,
    Format.TEXT: text.render,
    Format.JSON: json_format.render,
}

Week = Annotated[
    str | None,
    typer.Option("--week", help="ISO week such as 2026-W47. Default: this one.", show_default=False),
]
Revision = Annotated[
    int | None, typer.Option("--revision", min=1, help="A published revision. Default: the latest.")
]


@app.callback()
def _noun() -> None:
    """The weekly production report of this installation."""


@app.command()
def weekly(
    ctx: typer.Context,
    week: Week = None,
    form: Annotated[Format, typer.Option("--format", help="What to write it as.")] = Format.TEXT,
    revision: Revision = None,
    as_of: AsOf = None,
    output: Annotated[Path | None, typer.Option(help="File to write; `-` for standard output.")] = None,
    as_json: Json = False,
) -> None:
    """Write a week's report: the published revision while the facts bear it out, else the draft."""
    house, now = house_of(ctx), utc_now()
    name = _week(week, now)
    if revision is not None:
        if as_of is not None:
            raise typer.BadParameter("--revision and --as-of exclude each other")
        report = _published(house, name, revision).report
    else:
        report = publication.standing_or_draft(stores_of(house), name, as_of=as_of or now, now=now)
    page = _RENDER[Format.JSON if as_json else form](report)
    if output is None or str(output) == "-":
        out.file.write(page)
        return
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Permanent(f"cannot write {output}: {error}") from error
    err.print(f"{output}", soft_wrap=True, markup=False, highlight=False)


@app.command()
def publish(
    ctx: typer.Context,
    week: Week = None,
    why: Annotated[str, typer.Option(help="The reason, kept with the revision.")] = "",
    as_json: Json = False,
) -> None:
    """Publish a week as known now; a new revision only where it says something new."""
    house = house_of(ctx)
    made = publication.publish(stores_of(house), _week(week, utc_now()), who=house.who, why=why)
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
    house = house_of(ctx)
    with house.database.read() as conn:
        weeks = published.latest_of_each_week(conn)
        items = mailing.deliveries(conn)
    rows = []
    for each in weeks:
        mails = [d for d in items if (d.week, d.revision) == (each.report.week, each.report.revision)]
        mailed = {state.value: sum(d.state is state for d in mails) for state in DeliveryState}
        rows.append(_publication_json(each) | {"mail": {state: n for state, n in mailed.items() if n}})
    alarms = mailing.alarms(items, utc_now())

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
    _tell_alarms(alarms)


@app.command()
def outdated(ctx: typer.Context, as_json: Json = False) -> None:
    """Published figures that the facts no longer bear out; exit code 1 where there is one."""
    house = house_of(ctx)
    found = publication.outdated(stores_of(house), now=utc_now())

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


@app.command()
def mail(
    ctx: typer.Context,
    week: Week = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", help="Recipient; repeat for several. Default: those of goc.toml.", show_default=False
        ),
    ] = None,
    revision: Revision = None,
    queue: Annotated[bool, typer.Option("--queue", help="Queue only; `goc report deliver` sends.")] = False,
    as_json: Json = False,
) -> None:
    """Mail a published revision, once to each recipient; a week without any is published first.

    Exit code 4 when a mail will be tried again, 1 when one failed for good.
    """
    house = house_of(ctx)
    settings = _mail_settings(house)
    recipients = to or settings.recipients
    if not recipients:
        raise InvalidInput("--to", "", "must name a recipient: goc.toml has no mail.recipients")
    name = _week(week, utc_now())
    with house.database.read() as conn:
        chosen = published.published(conn, name, revision)
    if chosen is None and revision is None:
        chosen = publication.publish(stores_of(house), name, who=house.who, why="published to be mailed")
    if chosen is None:
        raise _no_revision(name, revision)
    with house.database.begin() as conn:
        items = mailing.owe_report(conn, chosen, sender=settings.sender, recipients=recipients)
    if not queue:
        mailing.deliver(house.database, MailServer.parse(settings.smtp))
        wanted = {item.recipient for item in items}
        with house.database.read() as conn:
            items = tuple(
                item
                for item in mailing.deliveries(conn)
                if (item.week, item.revision) == (name, chosen.report.revision) and item.recipient in wanted
            )
    _show_deliveries(items, as_json=as_json)
    _end_by(items)


@app.command()
def deliver(ctx: typer.Context, as_json: Json = False) -> None:
    """Try every mail that is due, once; exit codes as of `mail`."""
    house = house_of(ctx)
    tried = mailing.deliver(house.database, MailServer.parse(_mail_settings(house).smtp))
    _show_deliveries(tried, as_json=as_json, empty="No mail is due.")
    _end_by(tried)


@app.command()
def deliveries(ctx: typer.Context, week: Week = None, as_json: Json = False) -> None:
    """How far every mail came; exit code 1 when one needs somebody's attention."""
    house = house_of(ctx)
    with house.database.read() as conn:
        items = tuple(item for item in mailing.deliveries(conn) if week in (None, item.week))
    alarms = mailing.alarms(items, utc_now())
    _show_deliveries(items, as_json=as_json, alarms=alarms)
    if alarms:
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
    house = house_of(ctx)
    name = _week(week, utc_now())
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
    house = house_of(ctx)
    name = _week(week, utc_now())
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
    house = house_of(ctx)
    with house.database.begin() as conn:
        noting.withdraw_note(conn, note, who=house.who, why=why)
    emit({"id": note, "withdrawn": True}, as_json=as_json, text=lambda: f"{note} withdrawn")


def stores_of(house: House) -> Stores:
    """What the report is made from, in this installation."""
    with checks_of(house) as (registry, checks):
        expected = expected_of(checks)
        intervals = {(check.metric, check.target): check.interval_seconds for check in checks}
        entries = grid_of(house, registry).entries
    return Stores(
        database=house.database,
        lake=house.lake,
        accounting=sources_of(house),
        expected=expected,
        intervals=intervals,
        profile=profile(house.settings.probes.profile),
        entry_sites={entry.name: entry.site for entry in entries},
    )


def _week(week: str | None, now: datetime) -> str:
    name = week or week_name(now)
    week_interval(name)
    return name


def _published(house: House, week: str, revision: int | None) -> Publication:
    with house.database.read() as conn:
        found = published.published(conn, week, revision)
    if found is None:
        raise _no_revision(week, revision)
    return found


def _no_revision(week: str, revision: int | None) -> InvalidInput:
    return InvalidInput("--revision", revision, f"is no published revision of {week}: see `goc report list`")


def _mail_settings(house: House) -> MailSettings:
    if house.settings.mail is None:
        raise InvalidInput(
            str(house.home / "goc.toml"), "mail", 'has no [mail] table: add smtp = "host:25" and sender = "…"'
        )
    return house.settings.mail


def _show_deliveries(
    items: tuple[Delivery, ...],
    *,
    as_json: bool,
    alarms: tuple[str, ...] = (),
    empty: str = "No report was ever mailed.",
) -> None:
    def shown() -> object:
        return table(
            ["Week", "Rev.#", "To", "State", "Tries#", "Next try / sent", "Why"],
            [
                [
                    item.week,
                    item.revision,
                    escape(item.recipient),
                    item.state.value,
                    item.attempts,
                    f"{moment:%Y-%m-%d %H:%M}" if (moment := item.next_try or item.sent_at) else None,
                    escape(item.error),
                ]
                for item in items
            ],
            empty=empty,
        )

    rows = [
        {
            "week": item.week,
            "revision": item.revision,
            "recipient": item.recipient,
            "state": item.state.value,
            "attempts": item.attempts,
            "error": item.error,
            "next_try": item.next_try,
            "sent_at": item.sent_at,
        }
        for item in items
    ]
    emit({"deliveries": rows, "alarms": alarms}, as_json=as_json, text=shown)
    _tell_alarms(alarms)


def _tell_alarms(alarms: tuple[str, ...]) -> None:
    for alarm in alarms:
        err.print(f"alarm: {alarm}", style="bold red", soft_wrap=True, markup=False, highlight=False)


def _end_by(items: tuple[Delivery, ...]) -> None:
    states = {item.state for item in items}
    if DeliveryState.FAILED in states:
        raise typer.Exit(1)
    if DeliveryState.DELAYED in states:
        raise typer.Exit(4)


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
