"""``goc token``: who may read contacts and touch downtimes over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from opengoc.cli.output import Json, emit, house_of, table
from opengoc.registry.tokens import Right, add_token, revoke_token, tokens

app = typer.Typer(no_args_is_help=True, help="Tokens for the API.")

Name = Annotated[str, typer.Argument(help="Who holds it: a role or a program.")]


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    right: Annotated[list[Right], typer.Option(help="What it may do; repeat for several.")],
    site: Annotated[
        list[str] | None, typer.Option(help="Downtimes of this site only; repeat for several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print its secret, once: only a digest of it is kept."""
    house = house_of(ctx)
    registry = house.registry()
    for each in site or ():
        registry.site(each)
    with house.database.begin() as conn:
        secret = add_token(conn, name, rights=right, sites=site or (), who=house.who)
    emit({"name": name, "token": secret}, as_json=as_json, text=lambda: secret)


@app.command()
def revoke(
    ctx: typer.Context,
    name: Name,
    why: Annotated[str, typer.Option(help="The reason, kept on record.")],
    as_json: Json = False,
) -> None:
    """End a token at once."""
    house = house_of(ctx)
    with house.database.begin() as conn:
        revoke_token(conn, name, who=house.who, why=why)
    emit({"revoked": name}, as_json=as_json, text=lambda: f"the token of {escape(name)} is revoked")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List tokens and what they may do; secrets are not known here."""
    with house_of(ctx).database.read() as conn:
        found = tokens(conn)
    rows = [(each.name, ", ".join(sorted(each.rights)), ", ".join(sorted(each.sites))) for each in found]
    emit(
        [{"name": t.name, "rights": sorted(t.rights), "sites": sorted(t.sites)} for t in found],
        as_json=as_json,
        text=lambda: table(
            ["name", "rights", "sites"], [tuple(map(escape, row)) for row in rows], empty="no token"
        ),
    )
