"""The reference page names everything that the pilot knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from goc_pilot.condor_config import slot_attributes, times_of
from goc_pilot.config import KEYS, read_config
from goc_pilot.ends import EXIT_CODES
from goc_pilot.kinds import CONDOR_SETTINGS
from goc_pilot.life import LIFE
from goc_pilot.validations import BUILT_IN

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "pilot.md").read_text(encoding="utf-8")

CONFIG = """{"pilot_id": "p", "factory": "f", "entry": "e", "site": "s", "resource": "r", "vos": ["v"],
 "policy_digest": "d", "collector": "c:1", "start": "true", "cores": 1, "memory_mib": 1,
 "walltime_seconds": 9999, "token_file": "t"}"""


@pytest.mark.parametrize("name", sorted({*KEYS, *BUILT_IN, *CONDOR_SETTINGS}))
def test_a_name_of_the_configuration_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.overridable])
def test_a_key_that_can_be_overridden_is_marked(name: str) -> None:
    assert f"`{name}` *" in PAGE


@pytest.mark.parametrize(("reason", "code"), EXIT_CODES.items())
def test_an_end_is_listed_with_its_exit_code(reason: str, code: int) -> None:
    assert f"| `{reason}` | {code} |" in PAGE


def test_the_states_and_the_validations_parameters_are_there() -> None:
    assert all(f"| {state} |" in PAGE for state, _ in LIFE)
    for name, check in BUILT_IN.items():
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
        assert all(f"`{parameter}`" in row for parameter in check.parameters)


def test_every_attribute_of_the_slot_is_there() -> None:
    config = read_config(CONFIG, {}, [])
    own = set(slot_attributes(config, times_of(config, 0), "")) - {"ClassAdLifetime"}

    assert [name for name in own if name not in PAGE] == []
