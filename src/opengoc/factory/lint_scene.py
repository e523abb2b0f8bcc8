"""What the rules of ``goc factory lint`` look at, and what they find."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from opengoc.factory.formats.foreign import ForeignEntry
from opengoc.factory.formats.places import resource_names
from opengoc.registry.snapshot import Registry


class Level(StrEnum):
    """How bad a finding is."""

    #: The entry does not work, or not as it says.
    ERROR = "error"
    WARNING = "warning"
    #: Nothing to mend.
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One place where a rule is broken."""

    entry: ForeignEntry
    value: str
    #: 0: the line of the entry.
    line: int = 0
    #: Empty: what the rule advises.
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All entries together, and the registry."""

    entries: Sequence[ForeignEntry]
    registry: Registry | None

    @cached_property
    def by_name(self) -> Mapping[str, Sequence[ForeignEntry]]:
        """Entries of each name, in the order in which a factory reads them."""
        found: defaultdict[str, list[ForeignEntry]] = defaultdict(list)
        for entry in sorted(self.entries, key=lambda each: (each.file, each.line)):
            found[entry.name].append(entry)
        return found

    @cached_property
    def types(self) -> Mapping[str, Counter[str]]:
        """By attribute: how many entries give it each type."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for entry in self.entries:
            for name, kind in {(each.name, each.type) for each in entry.attributes}:
                found[name][kind] += 1
        return found

    @cached_property
    def resources(self) -> Mapping[str, str]:
        """Names of the registry's resources, by name and host."""
        return resource_names(self.registry) if self.registry is not None else {}
