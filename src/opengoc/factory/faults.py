"""Faults of a configuration file: where they stand and which rule they break; all of a file at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opengoc.base.errors import InvalidInput

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]+\")\s*=")


@dataclass(frozen=True, kw_only=True, order=True)
class Fault:
    """One thing that is wrong in a file."""

    #: Line, from 1; 0 where the fault is of the file as a whole.
    line: int
    #: What is at fault: ``entry ITB-SLURM: cores``.
    subject: str
    #: The rule it breaks, with what would be right.
    rule: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.subject}: {self.rule}"


def refuse(file: str, faults: Iterable[Fault]) -> None:
    """Raises InvalidInput that names every fault; returns when there is none."""
    found = sorted(set(faults))
    if found:
        raise InvalidInput(file, f"{len(found)} fault(s)", "\n  ".join(["", *map(str, found)]))


class Document:
    """A TOML file with the line of every key."""

    def __init__(self, text: str, file: str) -> None:
        """Raises InvalidInput where the text is no TOML."""
        self.file = file
        try:
            self.content: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidInput(file, "TOML", str(error)) from error
        self._lines = _lines(text)

    def line(self, *path: str | int) -> int:
        """The line of a key, or of the nearest thing around it that has one."""
        for end in range(len(path), 0, -1):
            found = self._lines.get(path[:end])
            if found is not None:
                return found
        return 0


def _lines(text: str) -> Mapping[tuple[str | int, ...], int]:
    """Path of each table and key → its line. An array of tables counts: ``("entries", 0, "cores")``."""
    found: dict[tuple[str | int, ...], int] = {}
    counts: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    quoted = ""
    for number, line in enumerate(text.splitlines(), 1):
        if quoted:
            # Inside a string of several lines nothing is a key.
            quoted = "" if quoted in line else quoted
            continue
        if header := _HEADER.match(line):
            table = _table(header[2], header[1] == "[[", counts)
            found[table] = number
        elif key := _KEY.match(line):
            found[(*table, key[1].strip('"'))] = number
        quoted = next((mark for mark in ("'''", '"""') if line.count(mark) % 2), "")
    return found


def _table(name: str, is_array: bool, counts: dict[tuple[str | int, ...], int]) -> tuple[str | int, ...]:
    path: tuple[str | int, ...] = ()
    parts = [part.strip().strip("\"'") for part in name.split(".")]
    for position, part in enumerate(parts):
        path = (*path, part)
        if is_array and position == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path
