"""How commands speak: one value, as a table for people or as JSON for programs; progress on long work.

Results go to standard output, everything else to standard error, so that a pipe holds results alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from opengoc.app import House
from opengoc.base.instant import format_instant, parse_instant
from opengoc.reports.plain import printable

out = Console()
err = Console(stderr=True)

#: ``--json`` of every command.
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

#: ``--as-of`` of every command that answers from facts.
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of", parser=parse_instant, metavar="TIME", help="Answer as it was known at this UTC time."
    ),
]


def house_of(ctx: typer.Context) -> House:
    """The installation that the command works on (``goc --home``)."""
    house = ctx.find_root().obj
    assert isinstance(house, House)
    return house


def emit(value: Any, *, as_json: bool, text: Callable[[], object]) -> None:
    """Print ``value`` as JSON, or what ``text()`` returns (a table, a string) for a person."""
    if as_json:
        out.file.write(json.dumps(value, ensure_ascii=False, indent=2, default=_jsonable) + "\n")
    else:
        said = text()
        out.print(printable(said) if isinstance(said, str) else said, soft_wrap=not out.is_terminal)


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return format_instant(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", empty: str = ""
) -> Table | str:
    """A table for people; ``empty`` instead of one without rows. Columns that end in ``#`` are numbers."""
    rows = list(rows)
    if not rows and empty:
        return empty
    shown = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        number = column.endswith("#")
        shown.add_column(column.rstrip("#"), justify="right" if number else "left", overflow="fold")
    for row in rows:
        # Names come from other people's records: none of them may steer the terminal.
        shown.add_row(*("–" if cell is None else printable(str(cell)) for cell in row))
    return shown


def progress() -> Progress:
    """A progress bar on standard error; silent when that is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    )
