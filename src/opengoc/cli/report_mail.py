"""``goc report mail``, ``deliver`` and ``deliveries``: a published report on its way to people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import week as week_interval
from opengoc.base.interval import week_name
from opengoc.cli.output import Json, emit, err, house_of, table
from opengoc.settings import MailSettings

if TYPE_CHECKING:
    from opengoc.flows.mail import Delivery

Week = Annotated[
    str | None,
    typer.Option("--week", help="ISO week such as 2026-W47. Default: this one.", show_default=False),
]
Revision = Annotated[
    int | None, typer.Option("--revision", min=1, help="A published revision. Default: the latest.")
]


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
    from opengoc.flows import mail as mailing
    from opengoc.flows import publication
    from opengoc.reports import published

    house = house_of(ctx)
    settings = _settings(house)
    recipients = to or settings.recipients
    if not recipients:
        raise InvalidInput("--to", "", "must name a recipient: goc.toml has no mail.recipients")
    name = named_week(week, utc_now())
    with house.database.read() as conn:
        chosen = published.published(conn, name, revision)
    if chosen is None and revision is None:
        chosen = publication.publish(house.report_stores(), name, who=house.who, why="published to be mailed")
    if chosen is None:
        raise no_revision(name, revision)
    with house.database.begin() as conn:
        items = mailing.owe_report(conn, chosen, sender=settings.sender, recipients=recipients)
    if not queue:
        mailing.deliver(house.database, mailing.MailServer.parse(settings.smtp))
        wanted = {item.key for item in items}
        with house.database.read() as conn:
            items = tuple(item for item in mailing.deliveries(conn) if item.key in wanted)
    _show(items, as_json=as_json)
    _end_by(items)


def deliver(ctx: typer.Context, as_json: Json = False) -> None:
    """Try every mail that is due, once; exit codes as of `mail`."""
    from opengoc.flows import mail as mailing

    house = house_of(ctx)
    tried = mailing.deliver(house.database, mailing.MailServer.parse(_settings(house).smtp))
    _show(tried, as_json=as_json, empty="No mail is due.")
    _end_by(tried)


def deliveries(ctx: typer.Context, week: Week = None, as_json: Json = False) -> None:
    """How far every mail came; exit code 1 when something needs somebody's attention."""
    from opengoc.flows import mail as mailing

    house = house_of(ctx)
    if week is not None:
        week_interval(week)
    with house.database.read() as conn:
        items = tuple(item for item in mailing.deliveries(conn) if week in (None, item.week))
    alarms = mailing.alarms(items, utc_now()) if week is not None else alarms_of(house, utc_now())
    _show(items, as_json=as_json, alarms=alarms)
    if alarms:
        raise typer.Exit(1)


def alarms_of(house: House, now: datetime) -> tuple[str, ...]:
    """Mails that somebody must look at, and reports that should have been mailed."""
    from opengoc.flows import mail as mailing
    from opengoc.reports import published

    with house.database.read() as conn:
        items = mailing.deliveries(conn)
        weeks = published.latest_of_each_week(conn)
    recipients = house.settings.mail.recipients if house.settings.mail is not None else ()
    return (*mailing.alarms(items, now), *mailing.unsent(weeks, items, recipients, now))


def tell_alarms(alarms: tuple[str, ...]) -> None:
    """Alarms, on standard error."""
    for alarm in alarms:
        err.print(f"alarm: {alarm}", style="bold red", soft_wrap=True, markup=False, highlight=False)


def named_week(week: str | None, now: datetime) -> str:
    """The week asked for, else the one that runs. Raises InvalidInput for no week."""
    name = week_name(now) if week is None else week
    week_interval(name)
    return name


def no_revision(week: str, revision: int | None) -> InvalidInput:
    """What to raise when a revision was never published."""
    return InvalidInput("--revision", revision, f"is no published revision of {week}: see `goc report list`")


def _settings(house: House) -> MailSettings:
    if house.settings.mail is None:
        raise InvalidInput(
            str(house.home / "goc.toml"), "mail", 'has no [mail] table: add smtp = "host:25" and sender = "…"'
        )
    return house.settings.mail


def _show(
    items: tuple[Delivery, ...],
    *,
    as_json: bool,
    alarms: tuple[str, ...] = (),
    empty: str = "No report was ever mailed.",
) -> None:
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
    emit({"deliveries": rows, "alarms": alarms}, as_json=as_json, text=lambda: _table(items, empty))
    tell_alarms(alarms)


def _table(items: tuple[Delivery, ...], empty: str) -> object:
    return table(
        ["Report", "To", "State"],
        [[f"{item.week} r{item.revision}", escape(item.recipient), escape(_state(item))] for item in items],
        empty=empty,
    )


def _state(item: Delivery) -> str:
    words = item.state.value
    if item.sent_at is not None:
        words += f" {item.sent_at:%Y-%m-%d %H:%M}"
    if item.attempts > 1 or item.error:
        words += f" after {item.attempts} tries"
    if item.next_try is not None and item.error:
        words += f", next {item.next_try:%Y-%m-%d %H:%M}"
    return f"{words}: {item.error}" if item.error else words


def _end_by(items: tuple[Delivery, ...]) -> None:
    from opengoc.flows.mail import DeliveryState

    states = {item.state for item in items}
    if DeliveryState.FAILED in states:
        raise typer.Exit(1)
    if DeliveryState.DELAYED in states:
        raise typer.Exit(4)
