"""``goc factory mirrors`` and ``forget``: the factories that share what is applied, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from opengoc.base.instant import format_instant, utc_now
from opengoc.cli.output import Json, emit, house_of, table
from opengoc.factory import mirror_store
from opengoc.factory.mirror import Mirror

app = typer.Typer()


@app.command()
def mirrors(ctx: typer.Context, as_json: Json = False) -> None:
    """The mirrors of this factory: which of them live, and what each holds of the limits they share."""
    house = house_of(ctx)
    now = utc_now()
    with house.database.read() as connection:
        found = mirror_store.mirrors(connection, house.factory.group_name)
    content = [_content(mirror, now) for mirror in found]
    emit(content, as_json=as_json, text=lambda: _text(house.factory.group_name, content))


@app.command()
def forget(
    ctx: typer.Context,
    mirror: Annotated[str, typer.Argument(metavar="MIRROR", help="Name of a factory that ended for good.")],
    why: Annotated[str, typer.Option("--why", help="The reason, kept with it.")],
    as_json: Json = False,
) -> None:
    """Count the pilots of a mirror no more: its machine is lost, and none of its pilots can start now."""
    house = house_of(ctx)
    with house.database.begin() as connection:
        group, now = house.factory.group_name, utc_now()
        mirror_store.forget(connection, group, mirror, who=house.who, why=why, now=now)
    emit({"mirror": mirror, "forgotten": True}, as_json=as_json, text=lambda: f"{mirror} counts no more")


def _content(mirror: Mirror, now: datetime) -> dict[str, Any]:
    standing = mirror.standing(now)
    return {
        "mirror": mirror.name,
        "silent_since": format_instant(mirror.expires_at) if mirror.is_silent(now) else None,
        "schedd": mirror.schedd,
        "counted_at": None if mirror.counted_at is None else format_instant(mirror.counted_at),
        "holds": [
            {
                "entry": entry,
                "vo": vo,
                "idle": holding.idle,
                "running": holding.running,
                "held": holding.held,
            }
            for (entry, vo), holding in sorted(standing.items())
        ],
    }


def _text(group: str, content: Sequence[dict[str, Any]]) -> Table | str:
    columns = ("mirror", "state", "schedd", "entry", "VO", "wait/run/held#")
    rows = []
    for each in content:
        state = f"silent since {each['silent_since']}" if each["silent_since"] else "lives"
        nothing = {"entry": "–", "vo": "–", "idle": 0, "running": 0, "held": 0}
        for held in each["holds"] or [nothing]:
            counts = f"{held['idle']}/{held['running']}/{held['held']}"
            rows.append((each["mirror"], state, each["schedd"], held["entry"], held["vo"], counts))
    return table(columns, rows, title=f"mirrors of {group}", empty="no factory has run here yet")
