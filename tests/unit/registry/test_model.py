"""Values of the registry are valid by construction."""

import pytest

from opengoc.base.errors import InvalidInput
from opengoc.registry.model import FQAN, VO, Contact, Resource, ResourceGroup, Service, Site


def resource(**changes: object) -> Resource:
    given: dict[str, object] = {
        "id": "1",
        "name": "CE1",
        "group": "G",
        "site": "S",
        "fqdn": "ce.example.org",
        "services": (Service(kind="CE"),),
    }
    return Resource(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fqdn", ["ce", "ce..example.org", "-ce.example.org", "ce.example.org/x", "ce .org", ""]
)
def test_a_resource_needs_a_full_host_name(fqdn: str) -> None:
    with pytest.raises(InvalidInput, match="host name"):
        resource(fqdn=fqdn)


@pytest.mark.parametrize("fqdn", ["ce.example.org", "149.165.159.251", "CE-1.Example.ORG"])
def test_host_names_and_addresses_are_taken(fqdn: str) -> None:
    assert resource(fqdn=fqdn).fqdn == fqdn


def test_a_service_answers_at_its_endpoint_else_at_the_host() -> None:
    both = resource(services=(Service(kind="CE", endpoint="127.0.0.1:9619"), Service(kind="Squid")))
    assert both.endpoint("CE") == "127.0.0.1:9619"
    assert both.endpoint("Squid") == "ce.example.org"
    with pytest.raises(InvalidInput, match="no service of this resource"):
        both.endpoint("GridFtp")


@pytest.mark.parametrize(
    "changes",
    [
        {"services": ()},
        {"services": (Service(kind="CE"), Service(kind="CE"))},
        {"ownership": {"cms": 60, "ligo": 50}},
        {"ownership": {"cms": -1}},
        {"name": " CE1"},
        {"name": "CE\n1"},
        {"name": "e\u0301"},
    ],
)
def test_what_is_no_resource_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        resource(**changes)


@pytest.mark.parametrize(
    ("active", "disabled", "in_use"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_a_resource_is_in_use_while_active_and_not_disabled(
    active: bool, disabled: bool, in_use: bool
) -> None:
    assert resource(active=active, disabled=disabled).in_use is in_use


@pytest.mark.parametrize("name", ["a/b", ".hidden", ""])
def test_a_site_is_a_folder_and_cannot_be_named_like_a_path(name: str) -> None:
    with pytest.raises(InvalidInput):
        Site(id="1", name=name, facility="F")


@pytest.mark.parametrize("name", ["SITE", "X_downtime"])
def test_a_group_cannot_take_the_name_of_another_file_of_the_tree(name: str) -> None:
    with pytest.raises(InvalidInput, match="own files"):
        ResourceGroup(id="1", name=name, site="S")


def test_a_vo_is_not_its_own_parent() -> None:
    with pytest.raises(InvalidInput, match="another VO"):
        VO(id="1", name="cms", parent="CMS")


def test_a_contact_does_not_name_the_person_when_printed() -> None:
    contact = Contact(id="c-1", name="Production coordinator", email="coordinator@example.org")
    assert "coordinator" not in repr(contact).lower()
    with pytest.raises(InvalidInput) as refused:
        Contact(id="c-1", email="not an address of somebody")
    assert "somebody" not in str(refused.value)


@pytest.mark.parametrize("role", ["pilot", "/Role=pilot"])
def test_an_fqan_is_written_the_way_voms_does(role: str) -> None:
    assert str(FQAN(group="/cms", role=role)) == "/cms/Role=pilot"
    assert str(FQAN(group="/cms")) == "/cms"
