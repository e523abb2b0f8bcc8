"""``goc report weekly``: a week's report in one format or in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opengoc.base.errors import Permanent
from opengoc.base.instant import utc_now
from opengoc.cli.output import AsOf, Json, err, house_of, out
from opengoc.cli.report_mail import Revision, Week, named_week, no_revision

if TYPE_CHECKING:
    from datetime import datetime

    from opengoc.app import House
    from opengoc.reports.model import Report


class Format(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    MARKDOWN = "markdown"
    TWIKI = "twiki"
    TEXT = "text"
    JSON = "json"
    #: Every one of them.
    ALL = "all"


#: How the files of a format end.
SUFFIXES = {
    Format.HTML: "html",
    Format.MARKDOWN: "md",
    Format.TWIKI: "twiki",
    Format.TEXT: "txt",
    Format.JSON: "json",
}


def weekly(
    ctx: typer.Context,
    week: Week = None,
    forms: Annotated[
        list[Format] | None,
        typer.Option(
            "--format", help="What to write it as; repeat for several. Default: text.", show_default=False
        ),
    ] = None,
    revision: Revision = None,
    as_of: AsOf = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write, or folder (made for several formats); `-` for standard output."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a week's report: the published revision while the facts bear it out, else the draft."""
    wanted = [Format.JSON] if as_json else _formats(forms or [Format.TEXT])
    to_standard_output = output is None or str(output) == "-"
    if len(wanted) > 1 and to_standard_output:
        raise typer.BadParameter("several formats need --output FOLDER")
    if revision is not None and as_of is not None:
        raise typer.BadParameter("--revision and --as-of exclude each other")
    name = named_week(week, utc_now())
    report = _report(house_of(ctx), name, revision, as_of)
    if output is None or to_standard_output:
        out.file.write(rendered(wanted[0], report))
        return
    try:
        for form, file in _files(output, wanted, name):
            file.write_text(rendered(form, report), encoding="utf-8")
            err.print(f"{file}", soft_wrap=True, markup=False, highlight=False)
    except OSError as error:
        raise Permanent(f"cannot write {output}: {error}") from error


def _formats(given: Sequence[Format]) -> list[Format]:
    return list(SUFFIXES) if Format.ALL in given else list(dict.fromkeys(given))


def _files(output: Path, wanted: Sequence[Format], week: str) -> list[tuple[Format, Path]]:
    """Where each format goes: ``FOLDER/weekly-2026-W47.html``, or the one file that was named."""
    if len(wanted) == 1 and not output.is_dir():
        return [(wanted[0], output)]
    output.mkdir(parents=True, exist_ok=True)
    return [(form, output / f"weekly-{week}.{SUFFIXES[form]}") for form in wanted]


def _report(house: House, week: str, revision: int | None, as_of: datetime | None) -> Report:
    if revision is None:
        from opengoc.flows import publication

        now = utc_now()
        return publication.standing_or_draft(house.report_stores(), week, as_of=as_of or now, now=now)
    # A published revision is read as it is: nothing of what it was gathered from is needed.
    from opengoc.reports.published import published

    with house.database.read() as conn:
        found = published(conn, week, revision)
    if found is None:
        raise no_revision(week, revision)
    return found.report


def rendered(form: Format, report: Report) -> str:
    """A report in one format."""
    # A renderer is imported when it is used: that of HTML brings a template engine along.
    return str(import_module(f"opengoc.reports.render.{form.value}").render(report))
