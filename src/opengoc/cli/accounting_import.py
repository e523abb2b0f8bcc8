"""``goc accounting import``: files of usage records, once each."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from opengoc.accounting.formats import FORMATS
from opengoc.accounting.importing import Imported, import_file
from opengoc.accounting.ingest import Counts
from opengoc.accounting.model import Kind
from opengoc.accounting.source import Source
from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.cli.output import Json, emit, err, house_of, table
from opengoc.store.writer import sole_writer

#: Formats that can be named; ``unknown`` is what files turn out to be.
_FORMATS = ("auto", *sorted(set(FORMATS) - {"unknown"}))


def import_(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files or folders, packed or not.")],
    source: Annotated[str, typer.Option(help="Name under which the records are kept.")],
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(_FORMATS)}.")] = "auto",
    kind: Annotated[str, typer.Option(help="What records count that do not say it themselves.")] = "batch",
    site: Annotated[str, typer.Option(help="Site of records that do not name one.")] = "",
    instance: Annotated[str, typer.Option(help="Batch system whose job ids these are.")] = "",
    time_zone: Annotated[str, typer.Option(help="Zone of local times, such as Europe/Rome.")] = "UTC",
    as_json: Json = False,
) -> None:
    """Store what is new in files of usage records; a file imported again changes nothing."""
    if form not in _FORMATS:
        raise InvalidInput("--format", form, f"must be one of {', '.join(_FORMATS)}")
    house = house_of(ctx)
    made = Source(
        name=source,
        format=form,
        path=Path(),
        kind=_kind(kind),
        site=site or None,
        instance=instance or None,
        time_zone=time_zone,
    )
    begun = time.monotonic()
    paths = _files(files)
    with sole_writer(house.home, house.database, "accounting"), _progress() as bar:
        done = [_one(house, replace(made, path=path), bar) for path in paths]
    counts = sum((each.counts for each in done), Counts())
    seconds = time.monotonic() - begun
    emit(
        {
            "read": counts.read,
            **asdict(counts),
            "seconds": round(seconds, 3),
            "source": source,
            "files": [_file_json(each) for each in done],
        },
        as_json=as_json,
        text=lambda: table(
            ["File", "Format", "Read#", "Stored#", "Duplicate#", "Restated#", "Quarantined#"],
            [(str(each.path), each.format, each.counts.read, *asdict(each.counts).values()) for each in done],
            title=f"{counts.read} records in {seconds:.1f} s",
        ),
    )


def _kind(name: str) -> Kind:
    try:
        return Kind(name)
    except ValueError as error:
        raise InvalidInput("--kind", name, f"must be one of {', '.join(Kind)}") from error


def _files(paths: list[Path]) -> list[Path]:
    """The files that are named, and those in folders that are, in order."""
    found = []
    for path in paths:
        if path.is_dir():
            found += sorted(each for each in path.rglob("*") if each.is_file())
        else:
            found.append(path)
    return found


def _one(house: House, source: Source, bar: Progress) -> Imported:
    task = bar.add_task(source.path.name, total=None, records="")
    begun = time.monotonic()

    def tell(done: int, total: int, read: int) -> None:
        rate = read / max(time.monotonic() - begun, 1e-3)
        bar.update(task, completed=done, total=total, records=f"{read} records, {rate:.0f}/s")

    return import_file(source, house.accounting_stores(), who=house.who, progress=tell)


def _progress() -> Progress:
    """Bytes, records a second and the time that is left; silent when standard error is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[records]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )


def _file_json(each: Imported) -> dict[str, object]:
    return {
        "file": str(each.path),
        "format": each.format,
        "read": each.counts.read,
        **asdict(each.counts),
        "from": each.ended.start if each.ended else None,
        "to": each.ended.end if each.ended else None,
        "reasons": list(each.reasons),
    }
