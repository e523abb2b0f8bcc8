"""An entry as another factory's file gives it: everything kept, nothing interpreted but names and places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ForeignAttribute:
    """One ``<attr>`` of an entry, or one of its ``<submit_attr>``."""

    name: str
    value: str
    #: As the file types it: ``string``, ``int``, ``expr``; empty for submit attributes.
    type: str = ""
    #: Everything else that stands there: ``publish``, ``const``, ``comment``…
    flags: Mapping[str, str] = field(default_factory=dict)
    line: int

    def says(self, flag: str) -> bool:
        """Whether a flag is ``True``."""
        return self.flags.get(flag) == "True"


@dataclass(frozen=True, kw_only=True)
class ForeignLimits:
    """One set of caps. A cap that the file does not give is absent."""

    #: ``per_entry``, ``default_per_frontend``, or the name of a frontend's security class.
    scope: str
    #: ``glideins``, ``idle``, ``held``, as written.
    caps: Mapping[str, str]
    flags: Mapping[str, str] = field(default_factory=dict)
    line: int

    def cap(self, name: str) -> int | None:
        """A cap as a number; None where it is not given or is none."""
        return whole_number(self.caps.get(name, ""))


@dataclass(frozen=True, kw_only=True)
class ForeignEntry:
    """One entry of one file."""

    #: Name of the file, without its folder.
    file: str
    name: str
    line: int
    enabled: bool
    grid_type: str
    gatekeeper: str
    #: What else stands in ``<entry …>``: ``auth_method``, ``trust_domain``, ``rsl``, ``comment``…
    given: Mapping[str, str]
    attributes: tuple[ForeignAttribute, ...]
    submit: tuple[ForeignAttribute, ...]
    per_entry: ForeignLimits | None
    default_per_frontend: ForeignLimits | None
    per_frontend: tuple[ForeignLimits, ...] = ()
    #: Every other element below the entry as ``{tag, attributes, children, line}``; empty ones are left out.
    rest: tuple[Mapping[str, Any], ...] = ()

    def attribute(self, name: str) -> ForeignAttribute | None:
        """The attribute of this name, the last where it stands twice, as glideinWMS reads it."""
        return next((each for each in reversed(self.attributes) if each.name == name), None)

    def value(self, name: str) -> str:
        """The value of an attribute; empty where it is not given."""
        found = self.attribute(name)
        return found.value.strip() if found else ""

    def submit_value(self, *names: str) -> str:
        """The value of the first of these submit attributes that is given, whatever its case; else empty."""
        values = {each.name.casefold(): each.value.strip() for each in self.submit}
        return next((values[name.casefold()] for name in names if name.casefold() in values), "")

    @property
    def limits(self) -> tuple[ForeignLimits, ...]:
        """Every set of caps that is given."""
        named = (self.per_entry, self.default_per_frontend)
        return (*(each for each in named if each is not None), *self.per_frontend)

    @property
    def comment(self) -> str:
        """What people wrote about the entry."""
        return self.given.get("comment", "").strip()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host names that its gatekeeper holds, each once: ``ce.example.org ce.example.org:9619`` has one."""
        words = self.gatekeeper.replace("https://", "").split()
        names = (word.rpartition("@")[2].partition("/")[0].partition(":")[0].lower() for word in words)
        return tuple(dict.fromkeys(name for name in names if "." in name))


def whole_number(text: str) -> int | None:
    """The integer that a text is; None for any other text."""
    digits = text.strip()
    return int(digits) if digits.removeprefix("-").isascii() and digits.removeprefix("-").isdigit() else None


def in_force(entries: Iterable[ForeignEntry]) -> dict[str, ForeignEntry]:
    """By name, the entry that a glideinWMS factory runs: of several the last, files in order of name."""
    return {each.name: each for each in sorted(entries, key=lambda each: (each.file, each.line))}
