"""``goc session``: who is logged in on the pages, and ending that."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from opengoc.base.instant import utc_now
from opengoc.cli.output import Json, emit, house_of, table
from opengoc.store import sessions

app = typer.Typer(no_args_is_help=True, help="Sessions on the pages.")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List the sessions that stand: of which token, grant or contact, since when and until when."""
    with house_of(ctx).database.read() as conn:
        found = sessions.standing(conn, now=utc_now())
    rows = [{"who": s.who, "opened_at": s.opened_at, "expires_at": s.expires_at} for s in found]
    emit(
        rows,
        as_json=as_json,
        text=lambda: table(
            ["who", "since", "until"],
            [
                (escape(s.who), f"{s.opened_at:%Y-%m-%d %H:%M}", f"{s.expires_at:%Y-%m-%d %H:%M}")
                for s in found
            ],
            empty="nobody is logged in",
        ),
    )


@app.command()
def end(
    ctx: typer.Context,
    who: Annotated[str, typer.Argument(help="Name of a token or grant, or id of a contact.")],
    as_json: Json = False,
) -> None:
    """End every session of somebody, in every process, at once."""
    with house_of(ctx).database.begin() as conn:
        ended = sessions.end_all(conn, who)
    emit(
        {"who": who, "ended": ended}, as_json=as_json, text=lambda: f"{ended} sessions of {escape(who)} ended"
    )
