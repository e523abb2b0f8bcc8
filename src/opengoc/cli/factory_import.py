"""``goc factory import``: entries of other factories, kept, and written as ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from opengoc.app import House
from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.instant import utc_now
from opengoc.base.output import plain_file
from opengoc.cli.output import Json, emit, err, house_of, table
from opengoc.factory.configuration import known_resources
from opengoc.factory.entries import read_entries
from opengoc.factory.faults import Fault
from opengoc.factory.formats.convert import Converted, convert
from opengoc.factory.formats.entries_toml import entry_toml
from opengoc.factory.formats.glideinwms import ForeignFile, read_files
from opengoc.factory.formats.kept import import_files
from opengoc.factory.formats.places import resource_names
from opengoc.factory.formats.policy_toml import policy_toml
from opengoc.factory.policy import read_policy

_Files = Annotated[list[Path], typer.Argument(help="glideinWMS factory XML.", show_default=False)]

#: So many faults are shown to a person; --json has them all.
_SHOWN = 20


def import_(
    ctx: typer.Context,
    files: _Files,
    output: Annotated[
        Path | None, typer.Option(help="Write the entries here, too, in the form of entries.toml.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Write the draft of a policy here that goes with --output.")
    ] = None,
    vo: Annotated[
        list[str] | None, typer.Option(metavar="THEIRS=OURS", help="Our name of a VO, e.g. OSGVO=osg.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Keep the entries of another factory's files with all they say; again: only what changed."""
    house = house_of(ctx)
    vo_names = _vo_names(vo or [])
    read = read_files(files)
    converted = convert(
        [entry for file in read for entry in file.entries],
        resources=resource_names(house.registry()) if output or policy else {},
        vo_names=vo_names,
    )
    texts = {output: _entries_text(converted), policy: policy_toml(converted)}
    written = {path: text for path, text in texts.items() if path is not None}
    for path, text in written.items():
        _refuse_to_lose(path, text, force=force)
    with house.database.begin() as connection:
        imported = import_files(connection, read, who=house.who, now=utc_now())
    content: dict[str, Any] = asdict(imported) | {
        "ignored": [
            {"file": file.name, "line": line, "element": tag}
            for file in read
            for tag, line in file.ignored.items()
        ]
    }
    if written:
        for path, text in written.items():
            _write(path, text)
        content |= {
            "written": [str(path) for path in written],
            "converted": len(converted.tables),
            "left_out": [asdict(each) for each in converted.left_out],
            "faults": [asdict(fault) for fault in _faults(house, converted)],
        }
    emit(content, as_json=as_json, text=lambda: _text(content))
    _warn_of_ignored(read)


def _faults(house: House, converted: Converted) -> list[Fault]:
    """What ``goc factory entries`` would say of the entries under the drafted policy."""
    policy, faults = read_policy(policy_toml(converted), "policy.toml")
    resources = known_resources(house.registry())
    _, found = read_entries(
        _entries_text(converted), "entries.toml", vocabulary=policy.vocabulary, resources=resources
    )
    return sorted({*faults, *found})


def _entries_text(converted: Converted) -> str:
    """``entries.toml``; what is left out stands at its end as comments, with the reason."""
    lacking = [
        f"# {each.entry} ({each.file}:{each.line}): {each.reason}".replace("\n", " ")
        for each in converted.left_out
    ]
    tables = [entry_toml(table) for table in converted.tables.values()]
    return "\n".join([*tables, *(["# Left out:", *lacking, ""] if lacking else [])])


def _vo_names(pairs: list[str]) -> Mapping[str, str]:
    for pair in pairs:
        if not all(pair.partition("=")):
            raise InvalidInput("--vo", pair, "must be THEIRS=OURS, such as OSGVO=osg")
    return dict(pair.split("=", 1) for pair in pairs)


def _refuse_to_lose(path: Path, text: str, *, force: bool) -> None:
    if not force and path.exists() and path.read_bytes() != text.encode():
        raise InvalidInput(str(path), "", "is there already and says something else: --force writes over it")


def _write(path: Path, text: str) -> None:
    target = plain_file(path)
    beside = target.with_name(f".{target.name}.unfinished")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(target)
    except OSError as error:
        raise Permanent(f"cannot write {path}: {error}") from error


def _warn_of_ignored(files: tuple[ForeignFile, ...]) -> None:
    for file in files:
        for tag, line in file.ignored.items():
            err.print(f"{file.name}:{line}: <{tag}> is of the factory as a whole and is not imported")


def _text(content: dict[str, Any]) -> object:
    rows = [
        (key, content[key] if isinstance(content[key], int) else len(content[key]))
        for key in ("entries", "enabled", "added", "changed", "unchanged", "retracted")
    ]
    if "written" in content:
        rows += [(key, content.get(key)) for key in ("converted",)]
        rows += [(key.replace("_", " "), len(content[key])) for key in ("left_out", "faults")]
        for fault in content["faults"][:_SHOWN]:
            err.print(f"line {fault['line']}: {fault['subject']}: {fault['rule']}", markup=False)
        if len(content["faults"]) > _SHOWN:
            err.print(f"… {len(content['faults']) - _SHOWN} more: --json shows them all")
    return table(("what", "entries#"), rows, title=", ".join(content["files"]))
