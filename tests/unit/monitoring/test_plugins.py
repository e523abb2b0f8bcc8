"""The file of plugins: what it asks for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.monitoring.small_registry import RESOURCES, registry, resource

from opengoc.base.errors import InvalidInput
from opengoc.monitoring.commands import command_checks
from opengoc.monitoring.model import RunOutcome, Status, Target
from opengoc.monitoring.probes.check import Check
from opengoc.monitoring.probes.command import CommandProbe

PORT = """
[[command]]
metric = "tcp-port"
argv = ["/plugins/check_tcp", "-H", "{host}", "-p", "{port}", "--site={site}"]
services = ["CE"]
timeout_seconds = 5
"""


def checks(tmp_path: Path, text: str, *more: object) -> list[Check]:
    file = tmp_path / "probes.toml"
    file.write_text(text)
    return command_checks(
        file, registry(resources=[*RESOURCES, *more]), interval_seconds=300, timeout_seconds=60
    )


def test_no_file_means_no_plugins(tmp_path: Path) -> None:
    none = command_checks(tmp_path / "probes.toml", registry(), interval_seconds=300, timeout_seconds=60)
    assert none == []


def test_a_plugin_probes_every_resource_in_use_that_offers_the_service(tmp_path: Path) -> None:
    found = checks(tmp_path, PORT)
    assert [c.target for c in found] == [Target("alpha-ce1", "CE"), Target("beta-ce", "CE")]
    assert (found[0].interval_seconds, found[0].timeout_seconds) == (300, 5)


def test_words_in_braces_are_filled_from_the_registry_without_a_shell(tmp_path: Path) -> None:
    first, second = (c.probe for c in checks(tmp_path, PORT))
    assert isinstance(first, CommandProbe) and isinstance(second, CommandProbe)
    assert first.argv[1:] == ("-H", "alpha-ce1.example.org", "-p", "9619", "--site=ALPHA")
    assert second.argv[2:5] == ("beta-ce.example.org", "-p", "")


def test_named_resources_alone_are_probed(tmp_path: Path) -> None:
    found = checks(tmp_path, PORT + 'resources = ["beta-ce"]\n')
    assert [c.target.resource for c in found] == ["beta-ce"]


def test_an_endpoint_cannot_slip_an_option_to_the_plugin(tmp_path: Path) -> None:
    text = PORT.replace("{host}", "{endpoint}")
    evil = resource("evil-ce", "BETA", endpoint="--exec=/bin/sh")
    (found,) = [c for c in checks(tmp_path, text, evil) if c.target.resource == "evil-ce"]
    finding = found.probe.run(5)
    assert (finding.status, finding.outcome) == (Status.UNKNOWN, RunOutcome.FAILED)
    assert "would take for an option" in finding.summary


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (PORT + "interval = 5\n", "command.0.interval: Extra inputs"),
        (PORT.replace("{host}", "{hostname}"), "{hostname} is none of"),
        (PORT.replace("{host}", "{host"), "expected '}'"),
        (PORT.replace("tcp-port", "tcp port"), "command.0.metric"),
        (PORT.replace('services = ["CE"]', "services = []"), "command.0.services"),
        (PORT + PORT, "probes alpha-ce1/CE more than once"),
        ("[[command]\n", "Expected"),
    ],
)
def test_a_faulty_file_is_refused_with_the_place(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InvalidInput, match=r"probes\.toml") as raised:
        checks(tmp_path, text)
    assert fault in str(raised.value)


def test_built_in_probes_are_for_the_services_that_offer_them(tmp_path: Path) -> None:
    file = tmp_path / "probes.toml"
    file.write_text(
        '[[probe]]\nkind = "certificate"\nservices = ["CE"]\nwarn_days = 30\n'
        '[[probe]]\nkind = "xrootd"\nmetric = "storage"\ninterval_seconds = 60\n'
        'services = ["XRootD component"]\n'
    )
    checks = command_checks(file, registry(), interval_seconds=300, timeout_seconds=10)
    assert {(c.metric, str(c.target), c.interval_seconds) for c in checks} == {
        ("certificate", "alpha-ce1/CE", 300),
        ("certificate", "beta-ce/CE", 300),
        ("storage", "beta-se/XRootD component", 60),
    }
    by_target = {str(check.target): check.probe for check in checks}
    assert vars(by_target["alpha-ce1/CE"])["port"] == 9619
    assert vars(by_target["beta-se/XRootD component"])["host"] == "beta-se.example.org"


@pytest.mark.parametrize(
    "text",
    [
        '[[probe]]\nkind = "telnet"\nservices = ["CE"]\n',
        '[[probe]]\nkind = "http"\n',
        '[[probe]]\nkind = "issuer"\nservices = ["CE"]\n',
        '[[probe]]\nkind = "http"\nservices = ["CE"]\nport = 70000\n',
        '[[probe]]\nkind = "http"\nservices = ["CE"]\n[[probe]]\nkind = "http"\nservices = ["CE"]\n',
    ],
)
def test_a_faulty_built_in_probe_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "probes.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        command_checks(file, registry(), interval_seconds=300, timeout_seconds=10)
