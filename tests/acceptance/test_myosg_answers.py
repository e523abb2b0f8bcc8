"""The old addresses, from outside: each stored answer of the peer against ours. Differences have a name here
and a reason in docs/reference/compatibility.md.
"""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx2
import pytest
from lxml import etree
from tests.acceptance.served_registry import served_registry
from tests.acceptance.shared_data import SHARED_DATA, needs_shared_data
from tests.command import answer

from opengoc.web.myosg.xml import elements

pytestmark = [pytest.mark.acceptance, needs_shared_data]

ANSWERS = SHARED_DATA / "topology-answers"
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*[A-Za-z]")
#: Resources whose details stand beside Details, or are a text: see the lint of the tree.
ODD_DETAILS = {
    "Georgia_Tech_PACE_perfSONAR_BW",
    "UERJ_perfSONAR_BW",
    "UERJ_perfSONAR_LT",
    "UConn-HPC_SE",
    "SWT2_CPB_SLATE_SQUID",
    "OU_OSCER_ATLAS_SLATE_SQUID",
}


def stored() -> list[tuple[str, str, int]]:
    """File, request and status of every answer that is stored and that the house gives."""
    if not ANSWERS.is_dir():
        return []
    rows = [line.split("\t") for line in (ANSWERS / "INDEX.tsv").read_text().splitlines()]
    return [(name, request, int(status)) for name, request, status, *_ in rows if _file(name) is not None]


def _file(name: str) -> Path | None:
    found = [path for path in (ANSWERS / name, ANSWERS / f"{name}.gz") if path.exists()]
    return found[0] if found and not name.endswith(".xsd") else None


def peer(name: str) -> bytes:
    path = _file(name)
    assert path is not None
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """The whole registry behind ``goc serve``."""
    with served_registry(tmp_path_factory.mktemp("myosg") / "home") as client:
        yield client


def test_there_is_an_answer_for_every_address() -> None:
    assert {urlsplit(request).path for _, request, _ in stored()} == {
        "/rgsummary/xml",
        "/rgdowntime/xml",
        "/rgdowntime/ical",
        "/vosummary/xml",
        "/miscproject/xml",
        "/miscsite/json",
        "/miscfacility/json",
        "/miscresource/json",
    }


@pytest.mark.parametrize(("name", "request_", "status"), stored(), ids=[row[0] for row in stored()])
def test_the_answer_means_what_the_peer_answered(
    client: httpx2.Client, name: str, request_: str, status: int
) -> None:
    response = client.get(request_)
    assert response.status_code == status
    if status == 400:
        assert response.text == peer(name).decode()
    elif name.endswith(".ics"):
        assert events(response.content) == events(peer(name))
    elif name.endswith(".json"):
        ours, theirs = response.json(), json.loads(peer(name))
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert ours[key] == as_we_say(theirs[key]), key
    else:
        assert meaning(response.content) == meaning(peer(name))


def meaning(document: bytes) -> Any:
    """An XML document without persons, the order of siblings aside."""
    root = ElementTree.fromstring(document)
    for resource in root.iter("Resource"):
        if resource.findtext("Name") in ODD_DETAILS:
            for service in resource.iter("Service"):
                service.remove(next(service.iter("Details")))
    return _canonical(root)


def _canonical(element: ElementTree.Element) -> Any:
    children = [] if element.tag in ("Managers", "PIName") else list(element)
    if element.tag == "Contact":
        children = [child for child in children if child.tag == "ContactRank"]
    if element.tag == "Site":
        # A key without a value is left out.
        children = [child for child in children if child.text]
    text = "" if children or element.tag in ("Managers", "PIName") else (element.text or "").strip()
    if element.tag == "Subject" and "@" in text:
        text = ""
    if element.tag.endswith(("Description", "SupportURL")):
        text = ADDRESS.sub("(address withheld)", text)
    return (element.tag, sorted(element.attrib.items()), text, sorted(map(_canonical, children)))


def as_we_say(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of the peer's JSON: no persons, no key without a value in sites, postal codes as text."""
    entry = dict(entry)
    for role in (entry.get("ContactLists") or {}).get("ContactList", ()):
        for contact in role["Contacts"]["Contact"]:
            del contact["Name"]
    if "Latitude" in entry or "Longitude" in entry:
        entry = {key: value for key, value in entry.items() if value is not None}
    if "Zipcode" in entry:
        entry["Zipcode"] = str(entry["Zipcode"])
    if "Description" in entry:
        entry["Description"] = ADDRESS.sub("(address withheld)", entry["Description"])
    if entry["Name"] in ODD_DETAILS:
        for service in entry["Services"]["Service"]:
            details = service["Details"]
            service["Details"] = details if isinstance(details, dict) else None
            if entry["Name"] == "UConn-HPC_SE" and service["Name"] == "XRootD origin server":
                service["Details"]["uri_override"] = "osgse.storrs.hpc.uconn.edu:1094"
            elif entry["Name"].endswith("SLATE_SQUID"):
                service["Details"] = (service["Details"] or {}) | {"Monitored": True}
    return entry


def events(calendar: bytes) -> list[list[str]]:
    """The events of a calendar, unfolded, without the DTSTAMP that RFC 5545 asks for and the peer lacks."""
    text = calendar.decode().replace("\r\n ", "")
    found = text.removesuffix("END:VCALENDAR\r\n").split("BEGIN:VEVENT\r\n")
    return sorted(
        sorted(line for line in event.split("\r\n") if not line.startswith("DTSTAMP:")) for event in found
    )


@pytest.mark.parametrize(
    ("request_", "schema"),
    [
        ("/rgsummary/xml", "rgsummary.xsd"),
        ("/rgdowntime/xml?downtime_attrs_showpast=all", "rgdowntime.xsd"),
        ("/vosummary/xml", "vosummary.xsd"),
        ("/miscproject/xml", "miscproject.xsd"),
    ],
)
def test_the_answer_keeps_to_the_published_schema_as_far_as_the_peers_does(
    client: httpx2.Client, request_: str, schema: str
) -> None:
    checker = etree.XMLSchema(etree.parse(ANSWERS / schema))
    document = etree.fromstring(client.get(request_).content)
    checker.validate(document)
    assert {error.message for error in checker.error_log} == set()


@pytest.mark.parametrize(
    ("xml_address", "json_address", "tag", "leaves_out"),
    [
        ("/miscproject/xml", "/miscproject/json", "Project", set()),
        ("/vosummary/xml", "/vosummary/json", "VO", {"Pattern", "DataFederations"}),
        ("/rgsummary/xml", "/api/resource_group_summary", "ResourceGroup", set()),
    ],
)
def test_the_json_says_what_the_xml_says(
    client: httpx2.Client, xml_address: str, json_address: str, tag: str, leaves_out: set[str]
) -> None:
    root = ElementTree.fromstring(client.get(xml_address).content)
    told = {each.findtext("GroupName") or each.findtext("Name"): each for each in root.iter(tag)}
    entries = client.get(json_address).json()
    assert entries.keys() == told.keys() and len(entries) > 100
    for name, entry in entries.items():
        shown = without(entry, leaves_out) | ({"Name": name} if tag == "VO" else {})
        text = f"<{tag}>{elements(shown, 0)}</{tag}>"
        assert _canonical(ElementTree.fromstring(text)) == _canonical(told[name]), name


def without(tree: Any, keys: set[str]) -> Any:
    if isinstance(tree, dict):
        return {key: without(value, keys) for key, value in tree.items() if key not in keys}
    return [without(each, keys) for each in tree] if isinstance(tree, list) else tree


def test_issuers_have_the_pattern_of_a_mapfile_unless_it_would_let_in_too_many(client: httpx2.Client) -> None:
    vos = client.get("/vosummary/json").json()
    issuers = [
        issuer
        for vo in vos.values()
        for issuer in ((vo["Credentials"] or {}).get("TokenIssuers") or {}).get("TokenIssuer", ())
    ]
    patterns = [issuer["Pattern"] for issuer in issuers if "Pattern" in issuer]
    assert len(patterns) > 10
    for issuer in issuers:
        if "Pattern" in issuer:
            inside = issuer["Pattern"].removeprefix("/^").removesuffix("/")
            assert re.match(inside, f"{issuer['URL']},{issuer['Subject'] or 'anybody'}")
            assert not re.match(inside, f"https://elsewhere.example.org,{issuer['Subject']}")


@pytest.mark.parametrize("name", ["rgsummary", "rgdowntime", "vosummary", "miscproject"])
def test_the_xml_is_what_the_schema_served_beside_it_says(client: httpx2.Client, name: str) -> None:
    served = client.get(f"/schema/{name}.xsd")
    assert served.headers["content-type"] == "text/xml; charset=utf-8"
    checker = etree.XMLSchema(etree.fromstring(served.content))
    query = "?downtime_attrs_showpast=all" if name == "rgdowntime" else ""
    document = etree.fromstring(client.get(f"/{name}/xml{query}").content)
    checker.validate(document)
    assert {error.message for error in checker.error_log} == set()
    # It is a schema of this, and not of anything.
    next(iter(document[-1].iter("Name", "ResourceName"))).tag = "Unknown"
    assert not checker.validate(document)


def test_there_is_a_schema_of_xml_answers_alone(client: httpx2.Client) -> None:
    for name in ("miscuser.xsd", "..%2Fxml.py", "rgsummary"):
        assert client.get(f"/schema/{name}").status_code in (404, 422)


def test_no_person_is_in_any_public_answer(client: httpx2.Client) -> None:
    requests = [request for _, request, status in stored() if status == 200]
    requests += ["/vosummary/json", "/miscproject/json", "/api/resource_group_summary"]
    text = "".join(client.get(request).text for request in requests)
    assert len(text) > 10_000_000
    assert "Contact 0" not in text and "Contact 1" not in text
    # What is left is where a service answers: name@host/queue.
    assert {found[0] for found in ADDRESS.finditer(text) if text[found.end()] != "/"} == set()


def test_every_value_of_a_repeated_parameter_counts(client: httpx2.Client) -> None:
    one, both = (
        client.get("/rgsummary/xml", params=[("service", "on"), *(("service_sel[]", n) for n in numbers)])
        for numbers in ((1,), (1, 138))
    )
    assert meaning(both.content) == meaning(
        client.get("/rgsummary/xml?service=on&service_1=on&service_138=on").content
    )
    assert len(both.content) > len(one.content)


def test_a_known_answer_is_told_by_its_tag(client: httpx2.Client) -> None:
    for encoding in ("zstd", "gzip", "identity"):
        first = client.get("/rgsummary/xml", headers={"Accept-Encoding": encoding})
        tag = {"Accept-Encoding": encoding, "If-None-Match": first.headers["etag"]}
        again = client.get("/rgsummary/xml", headers=tag)
        assert (again.status_code, again.content) == (304, b"")
        assert first.headers.get("content-encoding", "identity") == encoding
    assert client.get("/rgsummary/xml", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_cancelled_downtime_leaves_the_answer_at_once(
    client: httpx2.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = next(tmp_path_factory.getbasetemp().glob("myosg*/home"))
    before = client.get("/rgdowntime/xml")
    assert "2516378359" in before.text
    answer(home, "downtime", "cancel", "2516378359", "--why", "test")
    after = client.get("/rgdowntime/xml", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert "2516378359" not in after.text
    answer(home, "downtime", "reinstate", "2516378359", "--why", "test")
    assert meaning(client.get("/rgdowntime/xml").content) == meaning(before.content)


@pytest.mark.parametrize(
    "query",
    [
        "service=on&service_sel[]=1%27%20OR%201=1",
        "service=on&service_sel[]=" + "9" * 400,
        "facility=on",
        "downtime_attrs_showpast=1e9",
        "downtime_attrs_showpast=%00",
        "active=on&active_value=%F0%9F%92%A5",
        "x=" + "y" * 20_000,
        "&".join(f"a{n}=1" for n in range(2500)),
    ],
)
def test_a_bad_filter_is_refused_in_words(client: httpx2.Client, query: str) -> None:
    response = client.get(f"/rgdowntime/xml?{query}")
    assert response.status_code == 400
    assert response.text.startswith("Invalid arguments: ")
    assert len(response.text) < 400
    assert "Traceback" not in response.text
