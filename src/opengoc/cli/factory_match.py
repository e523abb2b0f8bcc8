"""``goc factory match``: a policy's matches over job and entry ads of files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from opengoc.base.errors import InvalidInput
from opengoc.cli.output import Json, emit, progress, table
from opengoc.factory.faults import refuse
from opengoc.factory.policy import read_policy
from opengoc.factory.tally import Tally, tally


def match(
    policy: Annotated[Path, typer.Option("--policy", help="Policy file (TOML).")],
    jobs: Annotated[Path, typer.Option("--jobs", help="Job ads, one JSON object a line.")],
    entries: Annotated[Path, typer.Option("--entries", help="JSON: {name: {attribute: value}}.")],
    as_json: Json = False,
) -> None:
    """Count the jobs that each entry may run, under a policy that need not be in force."""
    rules, faults = read_policy(_text(policy), str(policy))
    refuse(str(policy), faults)
    ads = read_entry_ads(entries)
    with progress() as bar:
        task = bar.add_task("jobs", total=None)
        found = tally(rules, jobs=bar.track(read_job_ads(jobs), task_id=task), entries=ads)
    emit(found.to_json(), as_json=as_json, text=lambda: _shown(found))


def read_job_ads(file: Path) -> Iterator[dict[str, Any]]:
    """The ads of a file, one JSON object a line; empty lines are passed over. Raises InvalidInput."""
    # Not splitlines: a string in JSON may hold what other standards end a line with.
    for number, line in enumerate(_text(file).split("\n"), 1):
        if line.strip():
            yield _object(line, f"{file}, line {number}", "must be a JSON object: {attribute: value}")


def read_entry_ads(file: Path) -> dict[str, dict[str, Any]]:
    """The entries of a file. Raises InvalidInput."""
    found = _object(_text(file), str(file), "must be a JSON object: {name: {attribute: value}}")
    for name, ad in found.items():
        if not isinstance(ad, dict):
            raise InvalidInput(f"{file}, {name}", ad, "must be a JSON object: {attribute: value}")
    return found


def _object(text: str, where: str, rule: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidInput(where, text[:80], f"{rule} ({error})") from error
    if not isinstance(found, dict):
        raise InvalidInput(where, text[:80], rule)
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(file), type(error).__name__, f"cannot be read: {error}") from error


def _shown(found: Tally) -> object:
    title = f"{found.pairs} pairs, {found.unmatched_jobs} jobs without an entry, {found.errors} errors"
    return table(["entry", "jobs#"], sorted(found.entries.items()), title=title, empty="no entries")
