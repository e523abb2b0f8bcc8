"""A registry tree as read, before it is compared with what stands: values without ids, and their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from opengoc.registry.downtime import Downtime, QuarantinedDowntime
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
from opengoc.registry.project import CampusGrid, Institution, Project, Vocabulary

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
    | CampusGrid
    | Project
    | Institution
    | Vocabulary
    | Downtime
    | QuarantinedDowntime
)
V = TypeVar("V", bound=Value)

#: Id of a value that is not stored yet.
UNSTORED = ""

#: Persons: in trees like any entry, in the house in the vault and never in a fact.
CONTACT = "contact"

#: Kinds of facts in the order they are stored: whoever is referred to comes first.
KINDS: Mapping[str, type[Value]] = {
    "service-kind": ServiceKind,
    "support-center": SupportCenter,
    "reporting-group": ReportingGroup,
    "vo": VO,
    "campus-grid": CampusGrid,
    "project": Project,
    "institution": Institution,
    "vocabulary": Vocabulary,
    "facility": Facility,
    "site": Site,
    "group": ResourceGroup,
    "resource": Resource,
    "downtime": Downtime,
    "quarantined-downtime": QuarantinedDowntime,
}

#: Kinds without a name of their own: these go by their id in the tree.
BY_ID = frozenset({CONTACT, "downtime", "quarantined-downtime"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One value of the tree."""

    kind: str
    value: Value
    #: ``path:line`` of the entry.
    where: str
    #: The entry as written, where that may be needed again: of downtimes.
    row: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)


@dataclass
class Tree:
    """All entries of one tree, by kind and name (those of ``BY_ID`` by id)."""

    entries: dict[str, dict[str, Entry]] = field(
        default_factory=lambda: {kind: {} for kind in (CONTACT, *KINDS)}
    )

    def add(self, entry: Entry) -> Entry | None:
        """Take the entry in. Returns the one that holds its name already, which then stays."""
        standing = self.entries[entry.kind].setdefault(name_of(entry.value), entry)
        return None if standing is entry else standing

    def quarantine(self, downtime: QuarantinedDowntime, where: str) -> None:
        """Keep a downtime apart: it is not there, and not gone either."""
        self.entries["downtime"].pop(downtime.id, None)
        self.add(Entry(kind="quarantined-downtime", value=downtime, where=where))

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
    return value.id if isinstance(value, Contact | Downtime | QuarantinedDowntime) else value.name
