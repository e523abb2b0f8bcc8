"""Which validations a pilot runs, and the row that each of them leaves in the report.

Every built-in validation leaves a row: one that was not asked for, or that could not make sense because an
earlier one failed, says "skipped" and why.
"""

import time
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from goc_pilot import checks
from goc_pilot.checks import CheckFailed, Skipped
from goc_pilot.commands import run_command
from goc_pilot.node import Node

#: Possible results of a row.
OK, FAILED, ERROR, SKIPPED = "ok", "failed", "error", "skipped"

_SCRIPT_KEYS = frozenset(("name", "required", "command", "timeout_seconds"))
_SCRIPT_TIMEOUT_SECONDS = 60


class Check(NamedTuple):
    """One built-in validation."""

    look: Callable[[Node, Mapping[str, Any]], str]
    #: Parameter names with their defaults.
    parameters: Mapping[str, Any] = MappingProxyType({})
    #: Validations without whose success this one says nothing.
    needs: Tuple[str, ...] = ()


#: In the order in which they run.
BUILT_IN = {
    "python": Check(checks.check_python, {"minimum": "3.6"}),
    "account": Check(checks.check_account),
    "process-control": Check(checks.check_process_control),
    "scratch": Check(checks.check_scratch),
    "disk": Check(checks.check_disk, {"minimum_mib": 100}),
    "memory": Check(checks.check_memory),
    "cores": Check(checks.check_cores),
    "clock": Check(checks.check_clock, {"max_skew_seconds": 120, "max_queue_seconds": 14 * 86400}),
    "token": Check(checks.check_token, {"minimum_seconds": 60, "max_skew_seconds": 120}),
    "condor": Check(checks.check_condor, {"timeout_seconds": 30}),
    "collector": Check(checks.check_collector, {"timeout_seconds": 10}),
    "pool-authorization": Check(
        checks.check_pool_authorization, {"timeout_seconds": 30}, needs=("token", "condor", "collector")
    ),
}


class Validation(NamedTuple):
    """One validation as configured."""

    name: str
    #: Whether its failure keeps the startd from being started.
    required: bool
    parameters: Mapping[str, Any]
    #: None for a built-in one.
    command: Optional[Tuple[str, ...]]


class Row(NamedTuple):
    """What one validation found."""

    name: str
    required: bool
    result: str
    seconds: float
    message: str

    @property
    def forbids_start(self) -> bool:
        """Whether no startd may be started. A check that could not be carried out did not succeed."""
        return self.required and self.result in (FAILED, ERROR)


def read_validations(value: Any) -> Tuple[Validation, ...]:
    """The configured validations. Raises ValueError with the rule that is broken."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("must be a list of objects")
    validations = tuple(_read_validation(item) for item in value)
    names = [validation.name for validation in validations]
    if len(set(names)) != len(names):
        raise ValueError("the same name stands twice")
    return validations


def _read_validation(item: Dict[str, Any]) -> Validation:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError("a validation needs a name")
    required = item.get("required", True)
    if not isinstance(required, bool):
        raise ValueError("{}: required must be true or false".format(name))
    if "command" in item:
        return _read_script(name, required, item)
    if name not in BUILT_IN:
        raise ValueError("{}: not built in ({}), and no command".format(name, ", ".join(BUILT_IN)))
    parameters = dict(BUILT_IN[name].parameters)
    unknown = set(item) - {"name", "required"} - set(parameters)
    if unknown:
        raise ValueError("{}: unknown parameter {}".format(name, ", ".join(sorted(unknown))))
    parameters.update({key: item[key] for key in parameters if key in item})
    return Validation(name=name, required=required, parameters=parameters, command=None)


def _read_script(name: str, required: bool, item: Dict[str, Any]) -> Validation:
    command = item["command"]
    if name in BUILT_IN:
        raise ValueError("{}: is built in, give the command another name".format(name))
    if set(item) - _SCRIPT_KEYS:
        raise ValueError("{}: unknown parameter {}".format(name, ", ".join(sorted(set(item) - _SCRIPT_KEYS))))
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        raise ValueError("{}: command must be a list of texts".format(name))
    timeout = item.get("timeout_seconds", _SCRIPT_TIMEOUT_SECONDS)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise ValueError("{}: timeout_seconds must be above 0".format(name))
    return Validation(
        name=name, required=required, parameters={"timeout_seconds": timeout}, command=tuple(command)
    )


def run_validations(
    node: Node, validations: Tuple[Validation, ...], recorded: Callable[[Row], None]
) -> List[Row]:
    """Run the built-in validations in their order, then the commands; ``recorded`` gets each row at once."""
    asked = {validation.name: validation for validation in validations}
    rows: Dict[str, Row] = {}
    for name, check in BUILT_IN.items():
        missing = [need for need in check.needs if rows[need].result != OK]
        if name not in asked:
            rows[name] = Row(name, False, SKIPPED, 0.0, "not asked for")
        elif missing:
            rows[name] = Row(name, asked[name].required, SKIPPED, 0.0, "needs {}".format(", ".join(missing)))
        else:
            rows[name] = _run(node, asked[name])
        recorded(rows[name])
    for validation in validations:
        if validation.command is not None:
            rows[validation.name] = _run(node, validation)
            recorded(rows[validation.name])
    return list(rows.values())


def _run(node: Node, validation: Validation) -> Row:
    begun = time.monotonic()
    try:
        result, message = OK, _look(node, validation)
    except Skipped as reason:
        result, message = SKIPPED, str(reason)
    except CheckFailed as failure:
        result, message = FAILED, str(failure)
    except (OSError, ValueError) as error:
        result, message = ERROR, "could not be carried out: {}: {}".format(type(error).__name__, error)
    return Row(validation.name, validation.required, result, round(time.monotonic() - begun, 3), message)


def _look(node: Node, validation: Validation) -> str:
    if validation.command is None:
        return BUILT_IN[validation.name].look(node, validation.parameters)
    timeout_seconds = validation.parameters["timeout_seconds"]
    finished = run_command(list(validation.command), timeout_seconds, node.environment, node.work_directory)
    if finished.timed_out:
        raise CheckFailed("did not end within {} s: {}".format(timeout_seconds, finished.output))
    if finished.exit_code != 0:
        raise CheckFailed("ended with {}: {}".format(finished.exit_code, finished.output))
    return finished.output
