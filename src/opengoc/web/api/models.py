"""What the API answers. Persons appear by their random ids alone; free text is without mail addresses."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from opengoc.registry.downtime import DowntimeClass, DowntimeState, Severity
from opengoc.registry.project import SponsorKind
from opengoc.web.public import without_addresses

T = TypeVar("T")

#: Free text of a description.
Prose = Annotated[str, AfterValidator(without_addresses)]


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Problem(_Out):
    """Why a request was not answered."""

    error: str
    #: The field or parameter at fault; empty where none is.
    where: str = ""


class Page(_Out, Generic[T]):
    """A part of a list, in order of name (downtimes: by start, then id)."""

    items: list[T]
    #: Give it as ``after`` to get the next part; null at the end.
    next: str | None
    #: The moment that was asked about; null: the present.
    as_of: datetime | None


class FacilityOut(_Out):
    """An institution that runs sites."""

    id: str
    name: str
    number: int | None
    institution: str | None


class SiteOut(_Out):
    """A place of one facility where resources stand."""

    id: str
    name: str
    number: int | None
    facility: str
    long_name: Prose
    description: Prose
    address: tuple[str, ...]
    city: str | None
    state: str | None
    country: str | None
    zipcode: str | None
    latitude: float | None
    longitude: float | None


class ServiceOut(_Out):
    """A service of a resource."""

    kind: str
    endpoint: str
    description: Prose
    monitored: bool | None
    hidden: bool


class RoleOut(_Out):
    """Who holds a role: by random id; the name is for those who may read contacts."""

    role: str
    rank: str
    contact: str


class ResourceOut(_Out):
    """A host, or service behind one host name, of a resource group."""

    id: str
    name: str
    number: int | None
    group: str
    site: str
    fqdn: str
    aliases: tuple[str, ...]
    active: bool
    disabled: bool
    description: Prose
    services: tuple[ServiceOut, ...]
    allowed_vos: tuple[str, ...]
    #: Share that a VO owns, in percent.
    ownership: dict[str, float]
    tags: tuple[str, ...]
    contacts: tuple[RoleOut, ...]


class FQANOut(_Out):
    """A group of a VO, with a role in it where the name carries one."""

    group: str
    role: str | None


class VOOut(_Out):
    """A virtual organisation."""

    id: str
    name: str
    number: int | None
    long_name: str
    community: Prose
    fields_of_science: tuple[str, ...]
    secondary_fields: tuple[str, ...]
    reporting_groups: tuple[str, ...]
    fqans: tuple[FQANOut, ...]
    parent: str | None
    active: bool
    disabled: bool
    contacts: tuple[RoleOut, ...]


class SponsorOut(_Out):
    """Who answers for a project."""

    kind: SponsorKind
    name: str


class ProjectOut(_Out):
    """Work of one group under one principal investigator."""

    id: str
    name: str
    number: int | None
    description: Prose
    department: str
    organization: str
    field_of_science: str
    field_of_science_code: str
    institution: str
    #: Random id of the principal investigator.
    investigator: str | None
    sponsor: SponsorOut | None


class DowntimeOut(_Out):
    """One announced downtime of one resource."""

    id: str
    resource: str
    resource_id: str | None
    site: str | None
    services: tuple[str, ...]
    start: datetime
    end: datetime
    severity: Severity
    at_risk: bool
    #: The class that follows from announcement and start; null: announcement unknown.
    derived_class: DowntimeClass | None
    #: The class that the announcer gave.
    claimed_class: DowntimeClass | None
    state: DowntimeState
    declared_at: datetime | None
    cancelled_at: datetime | None
    description: Prose


class ChangeKind(StrEnum):
    """What a change did."""

    ADDED = "added"
    CHANGED = "changed"
    CANCELLED = "cancelled"
    RETRACTED = "retracted"


class ChangeOut(_Out):
    """One change of the registry, as learned; cancellations included."""

    cursor: int
    kind: str
    id: str
    version: int
    change: ChangeKind
    #: When the house learned it.
    known_from: datetime
    #: When it is true out there; null: open.
    valid_from: datetime
    valid_to: datetime | None
    #: The downtime as this change left it, where it is one.
    downtime: DowntimeOut | None


class ChangesOut(_Out):
    """Changes after a cursor, in the order they were committed; nothing appears later below ``cursor``."""

    items: list[ChangeOut]
    #: Give it back to get what comes next.
    cursor: int


class ContactOut(_Out):
    """A person, for those who may see one."""

    id: str
    name: str | None
    email: str | None
    subjects: tuple[str, ...]


class DowntimeIn(BaseModel):
    """A downtime to announce, of one resource or several."""

    model_config = ConfigDict(extra="forbid")

    resources: Annotated[list[str], Field(min_length=1, max_length=200)]
    #: Kinds of service; empty: all that each resource offers.
    services: Annotated[list[str], Field(max_length=100)] = []
    start: str = Field(json_schema_extra={"format": "date-time"})
    end: str = Field(json_schema_extra={"format": "date-time"})
    severity: Severity
    description: Annotated[str, Field(max_length=5000)] = ""
    claimed_class: DowntimeClass | None = None


class DowntimeChange(BaseModel):
    """What to change of a downtime; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    why: Annotated[str, Field(min_length=1, max_length=1000)]
    services: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None
    start: str | None = Field(None, json_schema_extra={"format": "date-time"})
    end: str | None = Field(None, json_schema_extra={"format": "date-time"})
    severity: Severity | None = None
    description: Annotated[str, Field(max_length=5000)] | None = None


class Reason(BaseModel):
    """Why something is done."""

    model_config = ConfigDict(extra="forbid")

    why: Annotated[str, Field(min_length=1, max_length=1000)]


#: Responses that every operation may give.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request cannot be read"},
    404: {"model": Problem, "description": "There is no such entry"},
    422: {"model": Problem, "description": "A parameter or field is not as it must be"},
    503: {"model": Problem, "description": "Not possible just now; try again"},
}
GUARDED: dict[int | str, dict[str, Any]] = PROBLEMS | {
    401: {"model": Problem, "description": "Needs a token"},
    403: {"model": Problem, "description": "The token has not this right"},
    409: {"model": Problem, "description": "It was changed meanwhile"},
    413: {"model": Problem, "description": "The body is too large"},
}
