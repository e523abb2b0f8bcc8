"""``goc accounting quarantine``: records that could not be stored, and another try at them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.accounting import quarantine
from opengoc.accounting.batch import Faulty
from opengoc.accounting.retry import retry
from opengoc.base.instant import utc_now
from opengoc.cli.accounting_completeness import refuse_unknown
from opengoc.cli.output import Json, emit, house_of, table
from opengoc.store.writer import sole_writer

app = typer.Typer(invoke_without_command=True, help="Records that could not be stored, with their reasons.")


@app.callback()
def _noun(ctx: typer.Context, as_json: Json = False) -> None:
    """Without a verb: the list."""
    if ctx.invoked_subcommand is None:
        list_(ctx, as_json=as_json)


@app.command(name="list")
def list_(
    ctx: typer.Context,
    source: Annotated[str | None, typer.Option(help="Only those of this source.")] = None,
    as_json: Json = False,
) -> None:
    """Every entry, with its reason."""
    house = house_of(ctx)
    with house.database.read() as conn:
        entries = quarantine.standing(conn, source=source)
    if not entries:
        refuse_unknown(house, source)
    emit(
        [_entry_json(each) for each in entries],
        as_json=as_json,
        text=lambda: table(
            ["Key", "Source", "File", "Line#", "Reason"],
            [(e.key[:12], e.source, escape(e.file), e.line, escape(e.reason)) for e in entries],
            empty="nothing is in quarantine",
        ),
    )


@app.command()
def show(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="Key of the entry, or its beginning.")],
    as_json: Json = False,
) -> None:
    """One entry, with the bytes as they came."""
    house = house_of(ctx)
    with house.database.read() as conn:
        entry = quarantine.get(conn, key)
    raw = house.accounting_stores().raw.get(entry.raw.sha256, entry.raw.offset, entry.raw.length)
    content = raw.decode("utf-8", "backslashreplace")
    emit(
        _entry_json(entry) | {"content": content},
        as_json=as_json,
        text=lambda: escape(
            f"{entry.key}  {entry.source}\n{entry.file}, line {entry.line} (byte {entry.offset})\n"
            f"{entry.reason}\n\n{content}"
        ),
    )


@app.command(name="retry")
def retry_(
    ctx: typer.Context,
    key: Annotated[str | None, typer.Argument(help="Key of one entry; default: every entry.")] = None,
    as_json: Json = False,
) -> None:
    """Read entries again, store what can be read now; exit code 1 when some stay."""
    house = house_of(ctx)
    by_name = {each.name: each for each in (*house.accounting_sources(), *house.received_sources())}
    with sole_writer(house.home, house.database, "accounting"):
        with house.database.read() as conn:
            entries = [quarantine.get(conn, key)] if key else quarantine.standing(conn)
        done = retry(entries, by_name, house.accounting_stores(), who=house.who, now=utc_now())
    emit(
        {"resolved": done.resolved, "stored": done.stored, "remaining": done.remaining},
        as_json=as_json,
        text=lambda: (
            f"{done.resolved} resolved ({done.stored} rows stored), {done.remaining} stay in quarantine"
        ),
    )
    if done.remaining:
        raise typer.Exit(1)


def _entry_json(each: Faulty) -> dict[str, Any]:
    entry = asdict(each)
    raw, reader = entry.pop("raw"), entry.pop("reader")
    return entry | {
        "format": reader["format"] if reader is not None else None,
        "raw_sha256": raw["sha256"],
        "raw_offset": raw["offset"],
        "raw_length": raw["length"],
    }
