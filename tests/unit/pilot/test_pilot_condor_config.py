"""The rendered configuration of the pilot's HTCondor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from goc_pilot.condor_config import Layout, Times, render_condor_config, times_of
from goc_pilot.config import Config, read_config
from goc_pilot.node import Binaries
from opengoc.condor import classads

BEGUN = 1_795_367_600.0
BINARIES = Binaries(
    master="/usr/sbin/condor_master",
    release="/usr",
    sbin="/usr/sbin",
    libexec="/usr/libexec/condor",
    ping="/usr/bin/condor_ping",
)


def config_with(**changes: Any) -> Config:
    given = {
        "pilot_id": "plt-1",
        "factory": "f",
        "entry": "E",
        "site": "S",
        "resource": "R",
        "vos": ["cms", "ligo"],
        "policy_digest": "d" * 64,
        "collector": "cm.example.org:9618",
        "start": 'TARGET.VO == "cms"',
        "cores": 4,
        "memory_mib": 8000,
        "walltime_seconds": 7200,
        "token_file": "pilot.token",
        **changes,
    }
    return read_config(json.dumps(given), {}, [])


def settings_of(**changes: Any) -> dict[str, str]:
    config = config_with(**changes)
    text = render_condor_config(config, Layout("/job/w"), times_of(config, BEGUN), BINARIES, "f" * 64, 7)
    settings: dict[str, str] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            # As HTCondor reads it: the last one of a name stands.
            settings[name.strip().upper()] = value.strip()
    return settings


def test_the_pilot_stops_accepting_then_stops_then_the_batch_system_ends_it() -> None:
    times = times_of(config_with(drain_seconds=600, end_margin_seconds=60), BEGUN)

    assert times == Times(
        begun=BEGUN, accepts_until=BEGUN + 6540, stops_at=BEGUN + 7140, ends_at=BEGUN + 7200
    )


def test_start_is_the_policy_and_the_pilots_own_condition_and_nothing_else() -> None:
    settings = settings_of(start='TARGET.VO == "cms" || true')

    assert settings["START"] == "GOC_Start && GOC_Accepting"
    assert settings["GOC_START"] == 'TARGET.VO == "cms" || true'


def test_every_attribute_of_the_pilot_is_advertised() -> None:
    settings = settings_of(attributes={"HasSquid": True, "Speed": 1.5, "Motto": "$(LOG)"})

    advertised = {name.strip() for name in settings["STARTD_ATTRS"].split(",")}
    assert advertised >= {
        "GLIDEIN_Site",
        "GOC_PilotId",
        "GOC_Digest",
        "GOC_Start",
        "HasSquid",
        "Speed",
        "Motto",
    }
    assert all(name.upper() in settings for name in advertised)
    assert (settings["GOC_VO"], settings["GOC_DIGEST"]) == ('"cms,ligo"', f'"{"d" * 64}"')
    assert (settings["HASSQUID"], settings["SPEED"]) == ("True", "1.5")
    assert settings["MOTTO"] == '"$(DOLLAR)(LOG)"'


@pytest.mark.parametrize("name", ["DAEMON_LIST", "NUM_CPUS", "LOG", "SEC_DEFAULT_AUTHENTICATION", "PREEMPT"])
def test_an_attribute_named_like_a_setting_does_not_change_it(name: str) -> None:
    assert settings_of(attributes={name: "mine"})[name] == settings_of()[name]


def test_only_tokens_open_the_pilot() -> None:
    settings = settings_of()

    assert settings["SEC_DEFAULT_AUTHENTICATION"] == "REQUIRED"
    assert settings["SEC_DEFAULT_AUTHENTICATION_METHODS"] == "IDTOKENS"
    assert settings["SEC_CLIENT_AUTHENTICATION_METHODS"] == "IDTOKENS"
    assert settings["SEC_TOKEN_DIRECTORY"] == "/job/w/tokens"


def test_the_slot_has_what_was_asked_for() -> None:
    settings = settings_of(disk_mib=500)

    assert (settings["NUM_CPUS"], settings["MEMORY"], settings["DISK"]) == ("4", "8000", "512000")
    assert settings["SLOT_TYPE_1_PARTITIONABLE"] == "True"
    assert "DISK" not in settings_of()
    assert settings["PID_SNAPSHOT_INTERVAL"] == "7"


def accepts(settings: dict[str, str], now: float, job: dict[str, Any], *, draining: bool = False) -> object:
    """GOC_Accepting as the startd evaluates it at ``now``."""
    text = settings["GOC_ACCEPTING"].replace("time()", str(int(now)))
    return classads.evaluate(classads.parse(text), my={"GOC_Draining": draining}, target=job)


def test_a_job_of_unknown_length_is_accepted_until_the_drain_begins() -> None:
    settings = settings_of(drain_seconds=600, end_margin_seconds=60)

    assert accepts(settings, BEGUN, {}) is True
    assert accepts(settings, BEGUN + 6540, {}) is True
    assert accepts(settings, BEGUN + 6541, {}) is False


def test_a_job_that_says_how_long_it_runs_is_accepted_as_long_as_it_can_finish() -> None:
    settings = settings_of(drain_seconds=600, end_margin_seconds=60)

    assert accepts(settings, BEGUN, {"AllowedExecuteDuration": 7140}) is True
    assert accepts(settings, BEGUN, {"AllowedExecuteDuration": 7141}) is False
    assert accepts(settings, BEGUN + 7000, {"AllowedExecuteDuration": 100}) is True


def test_the_attribute_that_says_how_long_a_job_runs_can_be_named() -> None:
    settings = settings_of(job_wall_seconds_attribute="MaxWallSeconds")

    assert accepts(settings, BEGUN, {"MaxWallSeconds": 9999}) is False


def test_a_draining_pilot_accepts_nothing() -> None:
    assert accepts(settings_of(), BEGUN, {}, draining=True) is False


def test_network_settings_of_the_factory_are_taken_over() -> None:
    settings = settings_of(condor_settings={"NETWORK_INTERFACE": "127.0.0.1", "UPDATE_INTERVAL": "30"})

    assert (settings["NETWORK_INTERFACE"], settings["UPDATE_INTERVAL"]) == ("127.0.0.1", "30")
