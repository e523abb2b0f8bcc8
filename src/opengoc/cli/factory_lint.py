"""``goc factory lint``: what is wrong in the entries of a glideinWMS factory."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.cli.output import Json, emit, err, house_of, table
from opengoc.factory.formats.glideinwms import read_files
from opengoc.factory.formats.kept import kept_entries
from opengoc.factory.lint import LintReport, lint
from opengoc.factory.lint_rules import RULES


def lint_(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="glideinWMS factory XML; none: what was imported.")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Apply this rule alone; may be repeated.")] = None,
    enabled: Annotated[
        bool, typer.Option("--enabled", help="Show findings of enabled entries alone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong, with file, line and entry; exit code 1 when anything but a note was found."""
    house = house_of(ctx)
    known = [each.name for each in RULES]
    for name in rule or []:
        if name not in known:
            raise InvalidInput("--rule", name, f"must be one of {', '.join(known)}")
    if files:
        entries = tuple(entry for file in read_files(files) for entry in file.entries)
    else:
        with house.database.read() as connection:
            entries = kept_entries(connection)
        if not entries:
            raise Permanent("nothing was imported: name files, or import them with `goc factory import`")
    registry = house.registry()
    report = lint(entries, registry if registry.resources else None, only=rule or ())
    if enabled:
        # All entries are looked at: a name may stand in an enabled and in a disabled one.
        report = replace(report, findings=tuple(each for each in report.findings if each.enabled))
    content = {
        "entries": report.entries,
        "enabled": report.enabled,
        "findings": [asdict(finding) for finding in report.findings],
        "counts": report.counts(),
        "not_checked": [{"rule": name, "reason": reason} for name, reason in report.not_checked],
    }
    emit(content, as_json=as_json, text=lambda: _text(report))
    if not report.is_clean:
        raise typer.Exit(1)


def _text(report: LintReport) -> object:
    for finding in report.findings:
        err.print(str(finding), markup=False, highlight=False, soft_wrap=True)
    for name, reason in report.not_checked:
        err.print(f"not checked: {name}: {reason}", markup=False)
    levels = {rule.name: rule.level for rule in RULES}
    rows = [(name, levels[name], count["all"], count["enabled"]) for name, count in report.counts().items()]
    title = f"{report.entries} entries, {report.enabled} enabled"
    return table(
        ("rule", "level", "findings#", "in enabled entries#"), rows, title=title, empty="nothing wrong"
    )
