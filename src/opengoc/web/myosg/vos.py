"""VOs as the trees of /vosummary."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from opengoc.registry.formats.topology_entry import OASIS_MANAGER
from opengoc.registry.model import VO, ReportingGroup
from opengoc.registry.snapshot import Registry
from opengoc.web.myosg.numbers import number_of
from opengoc.web.myosg.persons import Persons, shown
from opengoc.web.public import is_address, without_addresses, without_subjects

_PLAIN = (
    "CertificateOnly",
    "PrimaryURL",
    "MembershipServicesURL",
    "PurposeURL",
    "SupportURL",
    "AppDescription",
)


def vo_tree(registry: Registry, vo: VO, persons: Persons) -> dict[str, Any]:
    """A VO."""
    plain = {key: _public(vo.carried.get(key)) for key in _PLAIN}
    groups = [_reporting_group(each, persons) for each in reporting_groups_of(registry, vo)]
    return {
        "ID": number_of(vo),
        "Name": vo.name,
        "LongName": vo.long_name or None,
        **plain,
        "Community": without_addresses(vo.community) or None,
        "FieldsOfScience": _fields_of_science(vo),
        "ParentVO": _parent(registry, vo),
        "ReportingGroups": {"ReportingGroup": groups} if vo.reporting_groups else None,
        "Active": vo.active,
        "Disable": vo.disabled,
        "ContactTypes": _contact_types(vo, persons),
        "OASIS": _oasis(vo, persons),
        "Credentials": _credentials(vo),
    }


def vo_json(registry: Registry, vo: VO, persons: Persons) -> dict[str, Any]:
    """A VO as /vosummary/json gives it: without its name, with federations and patterns of issuers."""
    tree = vo_tree(registry, vo, persons)
    del tree["Name"]
    issuers = ((tree["Credentials"] or {}).get("TokenIssuers") or {}).get("TokenIssuer", ())
    for issuer, said in zip(
        issuers, vo.carried["Credentials"]["TokenIssuers"] if issuers else (), strict=True
    ):
        # Without a subject the pattern lets everybody in whom the issuer knows: none, where it is withheld.
        if issuer["URL"] and issuer["Subject"] == (said.get("Subject") or None):
            issuer["Pattern"] = f"/^{_escaped(issuer['URL'])},{_subject(issuer['Subject'])}/"
    if "DataFederations" in vo.carried:
        tree["DataFederations"] = without_subjects(vo.carried["DataFederations"])
    return tree


def _subject(subject: str | None) -> str:
    return f"{_escaped(subject)}$" if subject else ""


def _escaped(text: str) -> str:
    """As a mapfile of HTCondor takes it in a regular expression: more escaped than Python finds needed."""
    return re.sub(r"""[!"%',/:;<=>@`]""", lambda found: f"\\{found[0]}", re.escape(text))


def reporting_groups_of(registry: Registry, vo: VO) -> tuple[ReportingGroup, ...]:
    """The reporting groups of a VO that the registry holds."""
    return tuple(group for name, group in registry.reporting_groups.items() if name in vo.reporting_groups)


def _public(value: Any) -> Any:
    return without_addresses(value) if isinstance(value, str) else value


def uses_oasis(vo: VO) -> bool | None:
    """Whether the VO keeps its software in OASIS; None where it does not say."""
    said = (vo.carried.get("OASIS") or {}).get("UseOASIS")
    return said if isinstance(said, bool) else None


def _fields_of_science(vo: VO) -> dict[str, Any] | None:
    if not vo.fields_of_science:
        return None
    tree: dict[str, Any] = {"PrimaryFields": {"Field": list(vo.fields_of_science)}}
    if vo.secondary_fields:
        tree["SecondaryFields"] = {"Field": list(vo.secondary_fields)}
    return tree


def _parent(registry: Registry, vo: VO) -> dict[str, Any] | None:
    if vo.parent is None:
        return None
    parent = registry.vo(vo.parent)
    return {"ID": number_of(parent) if parent else None, "Name": vo.parent}


def _reporting_group(group: ReportingGroup, persons: Persons) -> dict[str, Any]:
    fqans = [{"GroupName": fqan.group, "Role": fqan.role} for fqan in group.fqans]
    contacts = [shown(role.contact, persons) for role in group.contacts]
    return {
        "Name": group.name,
        "FQANs": {"FQAN": fqans} if fqans else None,
        "Contacts": {"Contact": contacts} if contacts else None,
    }


def _contact_types(vo: VO, persons: Persons) -> dict[str, Any] | None:
    by_role: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for role in vo.contacts:
        if role.role != OASIS_MANAGER:
            by_role[role.role].append(shown(role.contact, persons))
    types = [{"Type": role, "Contacts": {"Contact": contacts}} for role, contacts in by_role.items()]
    return {"ContactType": types} if types else None


def _oasis(vo: VO, persons: Persons) -> dict[str, Any]:
    said = vo.carried.get("OASIS") or {}
    managers = [
        {
            "Name": persons[role.contact].name,
            "CILogonID": None,
            "DNs": {"DN": list(persons[role.contact].subjects)},
        }
        for role in vo.contacts
        if role.role == OASIS_MANAGER and role.contact in persons
    ]
    urls = said.get("OASISRepoURLs")
    return {
        "UseOASIS": said.get("UseOASIS") or False,
        "Managers": {"Manager": managers} if managers else None,
        "OASISRepoURLs": {"URL": urls} if urls else None,
    }


def _credentials(vo: VO) -> dict[str, Any] | None:
    said = vo.carried.get("Credentials")
    if not isinstance(said, dict) or not said:
        return None
    issuers = [
        {
            "URL": issuer.get("URL"),
            "DefaultUnixUser": issuer.get("DefaultUnixUser"),
            "Description": issuer.get("Description"),
            "Subject": None if is_address(issuer.get("Subject")) else issuer.get("Subject"),
        }
        for issuer in said.get("TokenIssuers") or []
    ]
    return {"TokenIssuers": {"TokenIssuer": issuers} if issuers else None}
