"""Entries of an OSG Topology tree, one function each: a table of a file in, a value of the model out.

A function gives None after it noted a fault; the model's own invariants raise InvalidInput to the walk.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import parse_instant
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, DowntimeClass, Severity
from opengoc.registry.formats.fields import Fields
from opengoc.registry.formats.people import People, contact, contacts_by_role, meet, ranked_contacts
from opengoc.registry.model import (
    FQAN,
    VO,
    ContactRole,
    Facility,
    ReportingGroup,
    Resource,
    ResourceGroup,
    Service,
    Site,
    SupportCenter,
)
from opengoc.registry.tree import UNSTORED

#: Keys of OSG Topology that are carried from import to export as they are; nothing in the house reads them.
_RESOURCE_CARRIED = frozenset({"DN", "WLCGInformation"})
_VO_CARRIED = frozenset(
    {
        "AppDescription",
        "CertificateOnly",
        "Credentials",
        "DataFederations",
        "MembershipServicesURL",
        "PrimaryURL",
        "PurposeURL",
        "SupportURL",
    }
)
#: "Mar 23, 2019 08:00 +0000", as Topology writes times.
_TOPOLOGY_TIME = "%b %d, %Y %H:%M %z"

#: Role of those who may change a VO's software in OASIS.
OASIS_MANAGER = "OASIS Manager"
W = TypeVar("W", Severity, DowntimeClass)


def facility(name: str) -> Callable[[Fields], Facility]:
    """FACILITY.yaml of the folder ``name``."""

    def read(fields: Fields) -> Facility:
        return Facility(
            id=UNSTORED, name=name, number=fields.whole_number("ID"), institution=fields.text("InstitutionID")
        )

    return read


def site(name: str, facility: str) -> Callable[[Fields], Site]:
    """SITE.yaml of the folder ``name``."""

    def read(fields: Fields) -> Site:
        lines = (fields.text("AddressLine1"), fields.text("AddressLine2"))
        return Site(
            id=UNSTORED,
            name=name,
            facility=facility,
            number=fields.whole_number("ID"),
            long_name=fields.text("LongName") or "",
            description=fields.text("Description") or "",
            address=tuple(line or "" for line in lines) if lines[1] else tuple(filter(None, lines)),
            city=fields.text("City"),
            state=fields.text("State"),
            country=fields.text("Country"),
            zipcode=fields.text("Zipcode"),
            latitude=fields.decimal("Latitude"),
            longitude=fields.decimal("Longitude"),
        )

    return read


def group(name: str, site: str) -> Callable[[Fields], ResourceGroup]:
    """The head of a resource group's file."""

    def read(fields: Fields) -> ResourceGroup:
        return ResourceGroup(
            id=UNSTORED,
            name=name,
            site=site,
            number=fields.whole_number("GroupID"),
            production=bool(fields.flag("Production", True)),
            support_center=fields.text("SupportCenter"),
            description=fields.text("GroupDescription") or "",
            disabled=bool(fields.flag("Disable", False)),
        )

    return read


def resource(name: str, group: str, site: str, people: People) -> Callable[[Fields], Resource | None]:
    """One entry of ``Resources``."""

    def read(fields: Fields) -> Resource | None:
        fqdn = fields.required_text("FQDN")
        if not fields.has("Services"):
            fields.fault(None, name, "has no Services")
        services = tuple(_service(*named) for named in fields.table("Services").named_tables())
        ownership = fields.table("VOOwnership")
        number = fields.whole_number("ID")
        active, disabled = fields.flag("Active", True), fields.flag("Disable", False)
        description = fields.text("Description") or ""
        aliases, allowed, tags = (fields.texts(key) for key in ("FQDNAliases", "AllowedVOs", "Tags"))
        contacts = ranked_contacts(fields, people)
        carried = fields.carry(_RESOURCE_CARRIED)
        if fqdn is None or not services:
            return None
        return Resource(
            id=UNSTORED,
            name=name,
            group=group,
            site=site,
            fqdn=fqdn,
            services=services,
            number=number,
            active=bool(active),
            disabled=bool(disabled),
            description=description,
            aliases=aliases,
            allowed_vos=allowed,
            ownership={vo: ownership.decimal(vo) or 0 for vo in ownership.names()},
            tags=tags,
            contacts=contacts,
            carried=carried,
        )

    return read


def _service(kind: str, fields: Fields) -> Service:
    given: dict[str, object] = {}
    if fields.has("Details"):
        details = fields.carried("Details")
        if isinstance(details, dict):
            given |= details
        else:
            fields.doubt("Details", details, "must be a table, such as `endpoint: host:port`; it is left out")
    # Some entries write these two beside Details instead of in it.
    for key in ("uri_override", "Monitored"):
        if fields.has(key):
            given.setdefault(key, fields.carried(key))
    description = fields.text("Description") or ""
    fields.refuse_unknown()
    endpoint = given.get("uri_override") or given.get("endpoint") or ""
    monitored, hidden = given.get("Monitored"), given.get("hidden")
    for key, flag in (("Monitored", monitored), ("hidden", hidden)):
        if flag is not None and not isinstance(flag, bool):
            fields.fault("Details", flag, f"{key} must be true or false")
    return Service(
        kind=kind,
        endpoint=str(endpoint),
        description=description,
        monitored=monitored if isinstance(monitored, bool) else None,
        hidden=hidden is True,
        details=given,
    )


def reporting_group(name: str, people: People) -> Callable[[Fields], ReportingGroup]:
    """One entry of REPORTING_GROUPS.yaml."""

    def read(fields: Fields) -> ReportingGroup:
        fqans = []
        for row in fields.tables("FQANs"):
            group = row.required_text("GroupName")
            role = row.text("Role")
            row.refuse_unknown()
            if group:
                fqans.append(FQAN(group=group, role=role))
        contacts = [contact(row, "", "", people) for row in fields.tables("Contacts")]
        return ReportingGroup(
            id=UNSTORED, name=name, fqans=tuple(fqans), contacts=tuple(c for c in contacts if c is not None)
        )

    return read


def support_center(name: str, people: People) -> Callable[[Fields], SupportCenter]:
    """One entry of support-centers.yaml."""

    def read(fields: Fields) -> SupportCenter:
        return SupportCenter(
            id=UNSTORED,
            name=name,
            number=fields.whole_number("ID"),
            long_name=fields.text("LongName") or "",
            description=fields.text("Description") or "",
            community=fields.text("Community") or "",
            contacts=contacts_by_role(fields, people),
        )

    return read


def vo(name: str, people: People) -> Callable[[Fields], VO]:
    """One file of virtual-organizations/."""

    def read(fields: Fields) -> VO:
        given = fields.text("Name")
        if given is not None and given != name:
            fields.fault("Name", given, f"must be the file's name, {name}")
        science = fields.table("FieldsOfScience")
        primary, secondary = science.texts("PrimaryFields"), science.texts("SecondaryFields")
        science.refuse_unknown()
        parent = fields.table("ParentVO")
        parent_name = parent.text("Name")
        # The parent's number stands in its own file too: read, and not kept twice.
        parent.whole_number("ID")
        parent.refuse_unknown()
        oasis, managers = _oasis(fields, people)
        return VO(
            id=UNSTORED,
            name=name,
            number=fields.whole_number("ID"),
            long_name=fields.text("LongName") or "",
            community=fields.text("Community") or "",
            fields_of_science=primary,
            secondary_fields=secondary,
            reporting_groups=_reporting_group_names(fields),
            parent=parent_name,
            active=bool(fields.flag("Active", True)),
            disabled=bool(fields.flag("Disable", False)),
            contacts=contacts_by_role(fields, people) + managers,
            carried=fields.carry(_VO_CARRIED) | oasis,
        )

    return read


def _oasis(fields: Fields, people: People) -> tuple[dict[str, Any], tuple[ContactRole, ...]]:
    """``OASIS`` of a VO: what is carried of it, and its managers, who are persons."""
    if not fields.has("OASIS"):
        return {}, ()
    table = fields.table("OASIS")
    listed = isinstance(table.carried("Managers"), list)
    if listed:
        managers = [(manager.text("Name"), manager) for manager in table.tables("Managers")]
    else:
        managers = list(table.table("Managers").named_tables()) if table.has("Managers") else []
    roles = [_oasis_manager(name, manager, people) for name, manager in managers]
    carried = table.carry(frozenset({"UseOASIS", "OASISRepoURLs"}))
    table.refuse_unknown()
    return {"OASIS": carried}, tuple(role for role in roles if role is not None)


def _oasis_manager(name: str | None, fields: Fields, people: People) -> ContactRole | None:
    contact_id = fields.required_text("ID")
    subjects = fields.texts("DNs")
    fields.text("Name")
    fields.refuse_unknown()
    if contact_id is None or not meet(fields, contact_id, name, None, people, subjects=subjects):
        return None
    return ContactRole(role=OASIS_MANAGER, contact=contact_id)


def _reporting_group_names(fields: Fields) -> tuple[str, ...]:
    given = fields.carried("ReportingGroups")
    if isinstance(given, dict):
        # "ReportingGroup: {Name: null, …}": what a converter once left of an empty list.
        fields.doubt("ReportingGroups", given, "must be a list of names; taken as none")
        return ()
    return fields.texts("ReportingGroups")


def downtime(fields: Fields) -> Downtime | None:
    """One item of a downtimes file."""
    downtime_id = fields.text("ID")
    if not downtime_id:
        # Of no kind: without an id, nobody can tell whether a standing downtime was meant.
        fields.findings.fault(fields.where(), "ID", "is missing: a downtime needs one")
    resource = fields.required_text("ResourceName")
    start, end = _time(fields, "StartTime"), _time(fields, "EndTime")
    declared = _time(fields, "CreatedTime") if fields.has("CreatedTime") else None
    severity = _one_of(fields, "Severity", Severity)
    claimed = _one_of(fields, "Class", DowntimeClass) if fields.has("Class") else None
    services = fields.texts("Services")
    description = fields.text("Description") or ""
    if not services:
        fields.fault(None, downtime_id, "has no Services")
    if not (downtime_id and resource and start and end and severity and services):
        return None
    if end <= start:
        fields.fault("EndTime", fields.text("EndTime"), "must be after StartTime")
        return None
    return Downtime(
        id=downtime_id,
        resource=resource,
        services=services,
        interval=Interval(start, end),
        severity=severity,
        description=description,
        declared_at=declared,
        claimed_class=claimed,
    )


def _time(fields: Fields, key: str) -> datetime | None:
    text = fields.required_text(key)
    if text is None:
        return None
    try:
        return datetime.strptime(text, _TOPOLOGY_TIME).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return parse_instant(text)
    except (InvalidInput, OverflowError):
        fields.fault(key, text, "must be a time such as Nov 14, 2026 06:00 +0000 or 2026-11-14T06:00:00Z")
        return None


def _one_of(fields: Fields, key: str, words: type[W]) -> W | None:
    text = fields.required_text(key)
    if text is None:
        return None
    if text not in {word.value for word in words}:
        fields.fault(key, text, f"{key} must be one of: {', '.join(words)}")
        return None
    return words(text)
