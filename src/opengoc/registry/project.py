"""What users compute under: projects and their sponsors, and what institutions and fields are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.registry.model import check_file_name, check_name


class SponsorKind(StrEnum):
    """Who may sponsor a project, in OSG Topology's words."""

    CAMPUS_GRID = "CampusGrid"
    VO = "VirtualOrganization"


@dataclass(frozen=True, kw_only=True)
class Sponsor:
    """A campus grid or a VO that answers for a project."""

    kind: SponsorKind
    name: str


@dataclass(frozen=True, kw_only=True)
class Project:
    """Work of one group under one principal investigator, accounted by its name."""

    id: str
    name: str
    number: int | None = None
    description: str = ""
    department: str = ""
    organization: str = ""
    field_of_science: str = ""
    #: Code of the field, e.g. ``40.0201``.
    field_of_science_code: str = ""
    #: Persistent address of the institution.
    institution: str = ""
    #: Id of the principal investigator in the vault; None: not named.
    investigator: str | None = None
    sponsor: Sponsor | None = None
    #: Allocations on resources, as the tree gives them; nothing in the house reads them.
    carried: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)

    def __post_init__(self) -> None:
        check_file_name("project", self.name)
        if self.name.startswith("_"):
            raise InvalidInput("project", self.name, "must not begin with _: the tree keeps such files")


@dataclass(frozen=True, kw_only=True)
class CampusGrid:
    """A campus or community grid that sponsors projects."""

    id: str
    name: str
    number: int | None = None

    def __post_init__(self) -> None:
        check_name("campus grid", self.name)


@dataclass(frozen=True, kw_only=True)
class Institution:
    """An institution of research, by its persistent address."""

    id: str
    name: str
    #: e.g. ``https://osg-htc.org/iid/…``.
    address: str
    #: Its entry in the Research Organization Registry.
    ror: str = ""

    def __post_init__(self) -> None:
        check_name("institution", self.name)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """One table of terms: code of a field of science → its name, prefix of a project → its institution…"""

    id: str
    name: str
    terms: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_file_name("vocabulary", self.name)
