"""What the public may read: hosts and services, no persons."""

import pytest

from opengoc.web.public import SUBJECT_WITHHELD, without_subjects


@pytest.mark.parametrize(
    "subject",
    [
        "/DC=org/DC=cilogon/C=US/O=Example University/CN=Some Body A12345",
        "/DC=ch/DC=example/OU=Users/CN=sbody/CN=12345/CN=Some Body",
        "CN=Some Body,OU=People,O=Example",
        "cn = Robot of the portal, o=Example",
        "/CN=Some Body/CN=host.example.org",
    ],
)
def test_the_subject_of_a_person_is_withheld(subject: str) -> None:
    tree = {"Authorizations": [{"DN": subject}, {"FQAN": "/cms"}], "port": 1094}
    shown = {"Authorizations": [{"DN": SUBJECT_WITHHELD}, {"FQAN": "/cms"}], "port": 1094}
    assert without_subjects(tree) == shown


@pytest.mark.parametrize(
    "text",
    [
        "/DC=org/DC=incommon/O=University/CN=repo.example.org",
        "/O=Grid/OU=Services/CN=host/ce.example.org",
        "CN=*.example.org,O=Example",
        "root://cache.example.org:1094//path?a=b",
        "user@ce.example.org/queue",
        "",
    ],
)
def test_hosts_and_addresses_of_services_stay(text: str) -> None:
    assert without_subjects([text, None, 3, True]) == [text, None, 3, True]
