"""What the registry holds: facilities, sites, resource groups, resources, services, VOs and contacts.

Values are valid by construction. An ``id`` is given once and survives renames; a ``number`` is the ID that
the OSG Topology tree gives an entry, which that tree does not keep unique. Entries refer to each other by
name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opengoc.base.errors import InvalidInput

_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", re.IGNORECASE
)

#: Words that stand in AllowedVOs beside the names of VOs.
ANY_VO = frozenset({"ANY", "ANY_PUBLIC"})


def check_name(where: str, name: str) -> None:
    """A name as it stands in the tree and on the wire. Raises InvalidInput."""
    if not name or name != name.strip() or len(name) > 200:
        raise InvalidInput(where, name, "needs 1 to 200 characters without blanks around them")
    if name.isascii() and name.isprintable():
        return
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise InvalidInput(where, name, "must not hold control characters")
    if unicodedata.normalize("NFC", name) != name:
        raise InvalidInput(where, name, "must be in Unicode normal form C")


def check_file_name(where: str, name: str) -> None:
    """A name that is a file or folder of the tree too. Raises InvalidInput."""
    check_name(where, name)
    if "/" in name or name.startswith("."):
        raise InvalidInput(where, name, "names a file of the tree: no slash, and no dot in front")


@dataclass(frozen=True, kw_only=True)
class Facility:
    """An institution that runs sites."""

    id: str
    name: str
    number: int | None = None
    #: Persistent address of the institution, e.g. https://osg-htc.org/iid/….
    institution: str | None = None

    def __post_init__(self) -> None:
        check_file_name("facility", self.name)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place of one facility where resources stand."""

    id: str
    name: str
    #: Name of the facility.
    facility: str
    number: int | None = None
    long_name: str = ""
    description: str = ""
    #: Lines of the postal address, in order; a line left empty is ''.
    address: tuple[str, ...] = ()
    city: str | None = None
    state: str | None = None
    country: str | None = None
    zipcode: str | None = None
    #: Degrees north and east.
    latitude: int | float | None = None
    longitude: int | float | None = None

    def __post_init__(self) -> None:
        where = f"site {self.name}"
        check_file_name("site", self.name)
        for name, value, limit in (("latitude", self.latitude, 90), ("longitude", self.longitude, 180)):
            if value is not None and not -limit <= value <= limit:
                raise InvalidInput(
                    f"{where}: {name}", value, f"must lie between -{limit} and {limit} degrees"
                )


@dataclass(frozen=True, kw_only=True)
class ResourceGroup:
    """Resources of one site that are run and supported together."""

    id: str
    name: str
    #: Name of the site.
    site: str
    number: int | None = None
    #: False: part of the integration testbed, not of the production grid.
    production: bool = True
    support_center: str | None = None
    description: str = ""
    disabled: bool = False

    def __post_init__(self) -> None:
        check_file_name("resource group", self.name)
        if self.name in ("SITE", "FACILITY") or self.name.endswith("_downtime"):
            raise InvalidInput("resource group", self.name, "is a name that the tree keeps for its own files")


@dataclass(frozen=True, kw_only=True)
class Service:
    """One kind of service that a resource offers, e.g. ``CE``, ``Condor Collector``, ``Submit Node``."""

    kind: str
    #: host[:port] or URI where clients reach it; empty: the FQDN of its resource.
    endpoint: str = ""
    description: str = ""
    #: False: the resource's owner asked that it not be probed; None: not said.
    monitored: bool | None = None
    hidden: bool = False
    #: All details as the tree gives them (``sam_uri``, ``auth_endpoint_override``); never changed in place.
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name("service", self.kind)
        if any(letter.isspace() for letter in self.endpoint):
            raise InvalidInput(f"service {self.kind}: endpoint", self.endpoint, "must not hold blanks")


@dataclass(frozen=True, kw_only=True)
class ContactRole:
    """Who holds a role for a resource, a VO or a support centre: the person stands apart, behind an id."""

    #: e.g. ``Administrative Contact``, ``Security Contact``, ``VO Manager``.
    role: str
    #: ``Primary``, ``Secondary``…; empty where roles have no rank.
    rank: str = ""
    #: Id of the Contact.
    contact: str


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A person. The registry itself holds ids alone: names are in the vault, read on request only."""

    #: What the source calls the person; in the registry, the random id of the vault.
    id: str
    #: Kept out of ``repr`` so that no log and no traceback names a person.
    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    #: Subjects of certificates.
    subjects: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        check_name("contact", self.id)
        if self.email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", self.email):
            raise InvalidInput(f"contact {self.id}: email", "(not shown)", "must be user@host")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One host, or service behind one host name, that a resource group offers."""

    id: str
    #: Unique in the whole registry.
    name: str
    #: Names of its resource group and of that group's site.
    group: str
    site: str
    fqdn: str
    services: tuple[Service, ...]
    number: int | None = None
    #: False: registered, but out of use.
    active: bool = True
    disabled: bool = False
    description: str = ""
    aliases: tuple[str, ...] = ()
    #: Names of VOs, or ``ANY``; empty: not said.
    allowed_vos: tuple[str, ...] = ()
    #: Share of the resource that a VO owns, in percent.
    ownership: Mapping[str, int | float] = field(default_factory=dict, hash=False)
    tags: tuple[str, ...] = ()
    contacts: tuple[ContactRole, ...] = ()
    #: Keys of the tree that the house carries and does not read (``WLCGInformation``, ``DN``).
    carried: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)

    def __post_init__(self) -> None:
        check_name("resource", self.name)
        where = f"resource {self.name}"
        for host in (self.fqdn, *self.aliases):
            if not _HOST.fullmatch(host):
                raise InvalidInput(f"{where}: FQDN", host, "must be a full host name such as ce.example.org")
        kinds = [service.kind for service in self.services]
        if not kinds or len(set(kinds)) != len(kinds):
            raise InvalidInput(f"{where}: services", kinds, "needs one or more services, each kind once")
        if any(share < 0 for share in self.ownership.values()) or sum(self.ownership.values()) > 100:
            raise InvalidInput(f"{where}: VOOwnership", dict(self.ownership), "shares add up to 100 at most")

    def offers(self, kind: str) -> bool:
        """Whether it offers a service of this kind."""
        return any(service.kind == kind for service in self.services)

    def endpoint(self, kind: str) -> str:
        """Where its service of this kind answers. Raises InvalidInput when it offers none."""
        for service in self.services:
            if service.kind == kind:
                return service.endpoint or self.fqdn
        raise InvalidInput(f"resource {self.name}", kind, "is no service of this resource")

    @property
    def in_use(self) -> bool:
        """Active and not disabled: the factory may use it, the probes may test it."""
        return self.active and not self.disabled


@dataclass(frozen=True, kw_only=True)
class FQAN:
    """A group of a VO, with a role in it where the name carries one."""

    group: str
    role: str | None = None

    def __str__(self) -> str:
        return f"{self.group}/Role={self.role.removeprefix('/Role=')}" if self.role else self.group


@dataclass(frozen=True, kw_only=True)
class ReportingGroup:
    """A name under which usage of VOs is reported, with the FQANs that count for it."""

    id: str
    name: str
    fqans: tuple[FQAN, ...] = ()
    contacts: tuple[ContactRole, ...] = ()

    def __post_init__(self) -> None:
        check_name("reporting group", self.name)


@dataclass(frozen=True, kw_only=True)
class ServiceKind:
    """A kind of service that resources of this registry may offer."""

    id: str
    name: str
    number: int | None = None

    def __post_init__(self) -> None:
        check_name("service kind", self.name)


@dataclass(frozen=True, kw_only=True)
class SupportCenter:
    """Who answers for the resources of a group."""

    id: str
    name: str
    number: int | None = None
    long_name: str = ""
    description: str = ""
    community: str = ""
    contacts: tuple[ContactRole, ...] = ()
    carried: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)

    def __post_init__(self) -> None:
        check_name("support centre", self.name)


@dataclass(frozen=True, kw_only=True)
class VO:
    """A virtual organisation: a community that shares the grid's resources."""

    id: str
    name: str
    number: int | None = None
    long_name: str = ""
    community: str = ""
    #: Primary fields first.
    fields_of_science: tuple[str, ...] = ()
    secondary_fields: tuple[str, ...] = ()
    #: Names of its reporting groups.
    reporting_groups: tuple[str, ...] = ()
    #: Name of the VO that this one is a part of.
    parent: str | None = None
    active: bool = True
    disabled: bool = False
    contacts: tuple[ContactRole, ...] = ()
    #: FQANs of its reporting groups, filled in from them when the registry is loaded.
    fqans: tuple[FQAN, ...] = ()
    #: Keys of the tree that the house carries and does not read (``OASIS``, ``Credentials``, addresses).
    carried: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)

    def __post_init__(self) -> None:
        check_file_name("VO", self.name)
        if self.name == "REPORTING_GROUPS":
            raise InvalidInput("VO", self.name, "is a name that the tree keeps for its own files")
        if self.parent is not None and self.parent.casefold() == self.name.casefold():
            raise InvalidInput(f"VO {self.name}: parent", self.parent, "must be another VO")
