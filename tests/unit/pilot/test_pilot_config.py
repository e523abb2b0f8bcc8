"""The pilot's configuration: what is accepted, what is refused, what the site may override."""

from __future__ import annotations

import json
from typing import Any

import pytest

from goc_pilot.config import KEYS, ConfigError, read_config
from goc_pilot.validations import BUILT_IN

REQUIRED: dict[str, Any] = {
    "pilot_id": "plt-1a2b",
    "factory": "itb-factory",
    "entry": "ITB-SLURM-1core",
    "site": "ITB-SLURM",
    "resource": "ITB-SLURM-CE",
    "vos": ["cms", "ligo"],
    "policy_digest": "ab" * 32,
    "collector": "127.0.0.1:9618",
    "start": 'TARGET.VO == "cms"',
    "cores": 2,
    "memory_mib": 2048,
    "walltime_seconds": 3600,
    "token_file": "pilot.token",
}


def faults_of(given: dict[str, Any], environment: dict[str, str] | None = None, *arguments: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(json.dumps(given), environment or {}, list(arguments))
    return caught.value.faults


def test_it_reads_the_required_keys_and_gives_the_others_their_defaults() -> None:
    config = read_config(json.dumps(REQUIRED), {}, [])

    assert config.vos == ("cms", "ligo")
    assert (config.idle_seconds, config.drain_seconds, config.end_margin_seconds) == (300, 600, 60)
    assert config.disk_mib is None
    assert config.issued_at is None
    assert [validation.name for validation in config.validations] == list(BUILT_IN)
    assert all(validation.required for validation in config.validations)
    assert config.overrides == {}


def test_every_missing_key_is_named_at_once() -> None:
    assert set(faults_of({})) == {f"{name}: missing" for name, key in KEYS.items() if key.required}


def test_an_unknown_key_is_refused() -> None:
    assert faults_of({**REQUIRED, "idle_secnds": 5}) == ["idle_secnds: unknown key"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
def test_what_is_not_one_json_object_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="configuration file"):
        read_config(text, {}, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cores", 0),
        ("cores", True),
        ("cores", "2"),
        ("memory_mib", 1.5),
        ("memory_mib", None),
        ("pilot_id", "plt 1@node"),
        ("vos", []),
        ("vos", ["cms,ligo"]),
        ("vos", "cms"),
        ("start", "true\nfalse"),
        ("start", " "),
        ("start", r'regexp("a\n", VO)'),
        ("site", "A\\"),
        ("issued_at", "2026-11-22 17:00"),
        ("issued_at", "2026-13-22T17:00:00Z"),
        ("job_wall_seconds_attribute", "a b"),
        ("attributes", {"START": "true"}),
        ("attributes", {"glidein_site": "X"}),
        ("attributes", {"has squid": True}),
        ("attributes", {"HasSquid": None}),
        ("attributes", {"Motto": "a\nb"}),
        ("attributes", {"Motto": "ends with \\"}),
        ("condor_settings", {"START": "True"}),
        ("condor_settings", {"NO_DNS": True}),
        ("condor_settings", {"NO_DNS": "True\nSTART = True"}),
        ("validations", [{"name": "no-such"}]),
        ("validations", [{"name": "disk"}, {"name": "disk"}]),
        ("validations", [{"name": "disk", "minimum_gib": 1}]),
        ("validations", [{"name": "disk", "required": "yes"}]),
        ("validations", [{"name": "disk", "command": ["df"]}]),
        ("validations", [{"name": "cvmfs", "command": []}]),
        ("validations", [{"name": "cvmfs", "command": "ls /cvmfs"}]),
        ("validations", [{"name": "cvmfs", "command": ["ls"], "timeout_seconds": 0}]),
        ("validations", {"name": "disk"}),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_by_name(key: str, value: Any) -> None:
    faults = faults_of({**REQUIRED, key: value})

    assert len(faults) == 1
    assert faults[0].startswith(f"{key}: ")


def test_the_times_must_leave_room_for_jobs_and_for_the_end() -> None:
    given = {**REQUIRED, "walltime_seconds": 600, "end_margin_seconds": 25, "signal_grace_seconds": 7}

    assert [fault.split(":")[0] for fault in faults_of(given)] == [
        "end_margin_seconds",
        "walltime_seconds",
        "signal_grace_seconds",
    ]


def test_the_environment_overrides_the_file_and_an_argument_overrides_both() -> None:
    environment = {"GOC_CORES": "4", "GOC_TOKEN_FILE": "/run/token", "GOC_HOME": "/srv/goc"}

    config = read_config(json.dumps(REQUIRED), environment, ["cores=8", "pilot_id=plt-9"])

    assert (config.cores, config.token_file, config.pilot_id) == (8, "/run/token", "plt-9")
    assert config.overrides == {
        "cores": "argument",
        "token_file": "environment GOC_TOKEN_FILE",
        "pilot_id": "argument",
    }


def test_an_override_can_give_a_required_key() -> None:
    shared = {key: value for key, value in REQUIRED.items() if key != "pilot_id"}

    assert read_config(json.dumps(shared), {"GOC_PILOT_ID": "plt-7"}, []).pilot_id == "plt-7"


@pytest.mark.parametrize("key", ["start", "policy_digest", "vos", "entry", "validations", "no_such_key"])
def test_what_decides_where_jobs_run_cannot_be_overridden(key: str) -> None:
    assert faults_of(REQUIRED, {}, f"{key}=true") == [f"{key} from argument: may not be overridden"]


def test_a_policy_in_the_environment_is_refused_and_not_just_ignored() -> None:
    assert faults_of(REQUIRED, {"GOC_START": "true"}) == [
        "start from environment GOC_START: may not be overridden"
    ]


def test_an_override_is_checked_like_the_file() -> None:
    assert faults_of(REQUIRED, {"GOC_CORES": "many"})[0].startswith("cores: 'many'")
    assert faults_of(REQUIRED, {}, "--cores") == ["argument '--cores': must be key=value"]


def test_a_submission_of_another_digest_is_refused() -> None:
    assert read_config(json.dumps(REQUIRED), {"GOC_DIGEST": "ab" * 32}, []).policy_digest == "ab" * 32
    assert "do not belong together" in faults_of(REQUIRED, {"GOC_DIGEST": "cd" * 32})[0]
