"""``goc config``: check the settings before they are used."""

from __future__ import annotations

import typer

from opengoc.cli.output import Json, emit, house_of

app = typer.Typer(no_args_is_help=True, help="Check the settings.")


@app.callback()
def _noun() -> None:
    """The settings of this installation."""


@app.command()
def check(ctx: typer.Context, as_json: Json = False) -> None:
    """Read goc.toml whole; every fault at once, exit code 3 where there is one."""
    house = house_of(ctx)
    settings = house.settings.model_dump(mode="json")
    emit(settings, as_json=as_json, text=lambda: f"{house.home / 'goc.toml'}: no fault")
