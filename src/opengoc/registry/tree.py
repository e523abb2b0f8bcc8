"""A registry tree as read, before it is compared with what stands: values without ids, and their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from opengoc.registry.downtime import Downtime
from opengoc.registry.model import (
    VO,
    Contact,
    Facility,
    ReportingGroup,
    Resource,
    ResourceGroup,
    ServiceKind,
    Site,
    SupportCenter,
)

#: Anything the registry keeps.
Value = (
    Facility
    | Site
    | ResourceGroup
    | Resource
    | VO
    | ReportingGroup
    | ServiceKind
    | SupportCenter
    | Contact
    | Downtime
)
V = TypeVar("V", bound=Value)

#: Id of a value that is not stored yet.
UNSTORED = ""

#: Kinds in the order they are stored: whoever is referred to comes first.
KINDS: Mapping[str, type[Value]] = {
    "contact": Contact,
    "service-kind": ServiceKind,
    "support-center": SupportCenter,
    "reporting-group": ReportingGroup,
    "vo": VO,
    "facility": Facility,
    "site": Site,
    "group": ResourceGroup,
    "resource": Resource,
    "downtime": Downtime,
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One value of the tree."""

    kind: str
    value: Value
    #: ``path:line`` of the entry.
    where: str


@dataclass
class Tree:
    """All entries of one tree, by kind and name (contacts and downtimes by id)."""

    entries: dict[str, dict[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    #: Ids of downtimes that are in the files and too faulty to be read: not here, yet not gone.
    left_out: set[str] = field(default_factory=set)

    def add(self, entry: Entry) -> Entry | None:
        """Take the entry in. Returns the one that holds its name already, which then stays."""
        standing = self.entries[entry.kind].setdefault(name_of(entry.value), entry)
        return None if standing is entry else standing

    def leave_out(self, downtime_id: str) -> None:
        """Drop a downtime without saying that it is gone."""
        self.entries["downtime"].pop(downtime_id, None)
        self.left_out.add(downtime_id)

    def of(self, kind: str) -> Mapping[str, Entry]:
        """The entries of a kind by name."""
        return self.entries[kind]

    def __iter__(self) -> Iterator[Entry]:
        for entries in self.entries.values():
            yield from entries.values()

    def __len__(self) -> int:
        return sum(len(entries) for entries in self.entries.values())


def name_of(value: Value) -> str:
    """What a value is called in the tree: its name, or its id where it has no name of its own."""
    return value.id if isinstance(value, Contact | Downtime) else value.name
