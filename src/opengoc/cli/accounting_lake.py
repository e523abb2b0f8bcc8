"""``goc accounting summarise``, ``compact``, ``vacuum``: the tables behind usage, as ``goc serve`` does."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from opengoc.accounting.summary_table import SUMMARY_TABLE
from opengoc.accounting.table import TABLE
from opengoc.app import House
from opengoc.cli.output import Json, emit, house_of
from opengoc.flows import lakekeeping
from opengoc.flows.lakekeeping import EVIDENCE, Place

_TABLES = (TABLE, SUMMARY_TABLE)
#: A century: what was kept longer is kept for ever.
_MOST_DAYS = 36_500


def summarise(ctx: typer.Context, as_json: Json = False) -> None:
    """Sum up usage by day and source: what changed since the last time, and nothing else."""
    done = lakekeeping.summarise(_place(house_of(ctx)))
    told = f"{done.partitions} days of sources summed up in {done.rows} rows"
    emit(asdict(done), as_json=as_json, text=lambda: told + (", all anew" if done.rebuilt else ""))


def compact(ctx: typer.Context, as_json: Json = False) -> None:
    """Join the small files of the lake's tables of usage; earlier versions stay readable."""
    place = _place(house_of(ctx))
    joined = sum(lakekeeping.compact(place, table) for table in _TABLES)
    emit({"files_joined": joined}, as_json=as_json, text=lambda: f"{joined} files joined")


def vacuum(
    ctx: typer.Context,
    days: Annotated[
        int,
        typer.Option("--older-than-days", max=_MOST_DAYS, help="Versions of so many days stay readable."),
    ] = EVIDENCE.days,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove files that no kept version needs; one that a published figure names is kept, however old."""
    place, older_than = _place(house_of(ctx)), timedelta(days=days)
    gone = {
        table: lakekeeping.vacuum(place, table, older_than=older_than, dry_run=dry_run) for table in _TABLES
    }
    emit(
        {"dry_run": dry_run, "files_removed": gone},
        as_json=as_json,
        text=lambda: f"{sum(gone.values())} files {'would go' if dry_run else 'removed'}",
    )


def _place(house: House) -> Place:
    return Place(home=house.home, database=house.database, lake=house.lake)
