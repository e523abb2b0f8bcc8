"""``goc factory findings``, ``pause``, ``resume``: what was found wrong, which entries get no pilots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant, utc_now
from opengoc.cli.output import Json, emit, house_of, table
from opengoc.factory.findings import Known, pauses
from opengoc.factory.findings import findings as known_findings
from opengoc.factory.findings import pause as pause_entries
from opengoc.factory.findings import resume as resume_entry
from opengoc.factory.mirror_store import mirrors

app = typer.Typer()

Entry = Annotated[str, typer.Argument(metavar="ENTRY", help="Name of the entry.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept with it.")]


@app.command()
def findings(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
    as_json: Json = False,
) -> None:
    """What is wrong with what runs and with how pilots ended; exit code 1 when something stands."""
    house = house_of(ctx)
    group = house.factory.group_name
    with house.database.read() as connection:
        names = {house.factory.name, *(mirror.name for mirror in mirrors(connection, group))}
        known = [each for name in sorted(names) for each in known_findings(connection, name, ended=every)]
        paused = pauses(connection, group)
    content = {
        "findings": [each.to_json() for each in known],
        "paused": [
            {"entry": each.entry, "since": each.since, "who": each.who, "why": each.why} for each in paused
        ],
    }
    emit(content, as_json=as_json, text=lambda: findings_table(known))
    if not as_json:
        for each in paused:
            typer.echo(f"paused: {each.entry} since {format_instant(each.since)} by {each.who}: {each.why}")
    if any(each.seen.end is None for each in known):
        raise typer.Exit(1)


@app.command()
def pause(ctx: typer.Context, entry: Entry, why: Why, as_json: Json = False) -> None:
    """Give an entry no more pilots until it is resumed; those it has go on."""
    house = house_of(ctx)
    with house.database.read() as connection:
        paused = {each.entry for each in pauses(connection, house.factory.group_name)}
    if entry in paused:
        raise InvalidInput("ENTRY", entry, "is paused already")
    if entry not in house.configuration().entries:
        raise InvalidInput("ENTRY", entry, "is none of the entries")
    with house.database.begin() as connection:
        pause_entries(connection, house.factory.group_name, {entry: why}, now=utc_now(), who=house.who)
    emit({"entry": entry, "paused": True}, as_json=as_json, text=lambda: f"{entry} gets no more pilots")


@app.command()
def resume(ctx: typer.Context, entry: Entry, why: Why, as_json: Json = False) -> None:
    """Give a paused entry pilots again."""
    house = house_of(ctx)
    with house.database.begin() as connection:
        resume_entry(connection, house.factory.group_name, entry, who=house.who, why=why)
    emit({"entry": entry, "paused": False}, as_json=as_json, text=lambda: f"{entry} gets pilots again")


def findings_table(known: Sequence[Known]) -> Table | str:
    """Findings for people."""
    columns = ("first seen", "over", "what", "of", "entry", "done", "evidence")
    rows = [
        (
            format_instant(each.seen.start.replace(microsecond=0)),
            format_instant(each.seen.end.replace(microsecond=0)) if each.seen.end else "stands",
            each.finding.kind.value,
            escape(each.finding.subject),
            each.finding.entry or "–",
            each.finding.action.value,
            escape(each.finding.evidence),
        )
        for each in known
    ]
    return table(columns, rows, empty="nothing is found wrong")
