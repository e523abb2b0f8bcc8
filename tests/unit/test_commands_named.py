"""Messages, pages and documents name commands for people to type: every one of them exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from opengoc.cli.main import app

_ROOT = Path(__file__).parents[2]
_SOURCES = ("*.py", "*.html", "*.j2")
#: After ``goc``: words and options, up to the end of the quotation, the line, or a pipe.
_COMMAND = re.compile(r"(?<![\w-])goc ([a-z][^`|;&\n]*)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]+")
_WORD = re.compile(r"[a-z][a-z-]*")
_GOC: Any = get_command(app)


def _texts() -> Iterator[Path]:
    yield from (_ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    yield from (_ROOT / "docs").rglob("*.md")
    for pattern in _SOURCES:
        yield from (_ROOT / "src").rglob(pattern)


def faults(text: str) -> list[str]:
    """What of the commands in a text no ``goc`` understands."""
    return [fault for said in _COMMAND.findall(text) if (fault := _fault(said))]


def _fault(said: str) -> str:
    command, path = _GOC, "goc"
    for word in said.split():
        if not hasattr(command, "list_commands"):
            break
        name = word.rstrip(",.:)")
        # A name in capitals, a variable or an option: the command is spoken of in general.
        if not _WORD.fullmatch(name):
            return ""
        command, path = command.get_command(None, name), f"{path} {name}"
        if command is None:
            return path
    if hasattr(command, "list_commands"):
        return ""
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = set(_OPTION.findall(said)) - known - {"--help"}
    return f"{path} {' '.join(sorted(unknown))}" if unknown else ""


def test_a_command_or_an_option_that_does_not_exist_is_seen() -> None:
    text = "see `goc registry list sites`; `goc registry show site --weekly`; `goc ar month 2026-10 --json`"
    assert faults(text) == ["goc registry list", "goc registry show --weekly"]


def test_every_command_that_is_named_exists() -> None:
    found = {str(path.relative_to(_ROOT)): faults(path.read_text(encoding="utf-8")) for path in _texts()}
    assert len(found) > 400
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


def test_the_tutorial_puts_entries_in_force_before_it_probes_by_them() -> None:
    tutorial = (_ROOT / "docs/tutorial/first-grid.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (.*)$", tutorial, flags=re.MULTILINE)
    ways = [
        "goc registry import",
        "goc factory plan",
        "goc factory apply",
        "goc probe run",
        "goc factory run",
    ]
    places = [next(at for at, said in enumerate(commands) if said.startswith(way)) for way in ways]
    assert places == sorted(places)
