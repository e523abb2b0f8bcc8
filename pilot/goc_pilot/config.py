"""The pilot's configuration: one JSON object written by the factory, and what the site may override.

Every fault is collected, so that one failed pilot tells all of them. What decides which jobs run (``start``,
``policy_digest``) comes from the file alone: no environment variable and no argument can change it.
"""

import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from goc_pilot.kinds import READERS, Scalar
from goc_pilot.validations import BUILT_IN, Validation

#: Set by the factory beside the configuration; must agree with ``policy_digest``.
DIGEST_VARIABLE = "GOC_DIGEST"

# A vacated job needs vacate_seconds; the daemons and the cleaning need this much more.
_SHUTDOWN_SECONDS = 20
_LEAST_SIGNAL_GRACE_SECONDS = 8


class ConfigError(Exception):
    """The configuration breaks rules; ``faults`` lists all of them."""

    def __init__(self, faults: List[str]) -> None:
        #: One line per fault: where, value, rule.
        self.faults = faults
        super().__init__("; ".join(faults))


class Config(NamedTuple):
    """One pilot's configuration, checked."""

    pilot_id: str
    factory: str
    entry: str
    #: Registry site, advertised as GLIDEIN_Site.
    site: str
    resource: str
    vos: Tuple[str, ...]
    #: Digest of the applied policy that ``start`` was rendered from.
    policy_digest: str
    #: host:port of the pool's collector.
    collector: str
    #: ClassAd expression over the job (TARGET): which jobs may start here.
    start: str
    cores: int
    memory_mib: int
    #: The batch system ends the pilot this long after its start.
    walltime_seconds: int
    token_file: str
    #: None: all that is free.
    disk_mib: Optional[int]
    #: When the factory wrote the configuration, seconds since 1970; None: unknown.
    issued_at: Optional[float]
    idle_seconds: int
    #: A job that does not say how long it runs is refused in this last part of the pilot's life.
    drain_seconds: int
    end_margin_seconds: int
    signal_grace_seconds: int
    vacate_seconds: int
    failure_pause_seconds: int
    report_seconds: int
    #: How often CPU times are taken from /proc; None: as the number of processes on the node allows.
    snapshot_seconds: Optional[int]
    #: Job attribute that says how long the job runs, in seconds.
    job_wall_seconds_attribute: str
    work_directory: str
    condor_location: str
    attributes: Mapping[str, Scalar]
    condor_settings: Mapping[str, str]
    validations: Tuple[Validation, ...]
    #: Keys that environment or arguments changed, with where the value came from.
    overrides: Mapping[str, str]


class Key(NamedTuple):
    """One key of the configuration file."""

    kind: str
    #: Meaningless for a required key.
    default: Any = None
    required: bool = False
    overridable: bool = False


KEYS = {
    "pilot_id": Key("name", required=True, overridable=True),
    "factory": Key("label", required=True),
    "entry": Key("label", required=True),
    "site": Key("label", required=True),
    "resource": Key("label", required=True),
    "vos": Key("texts", required=True),
    "policy_digest": Key("label", required=True),
    "collector": Key("text", required=True, overridable=True),
    "start": Key("expression", required=True),
    "cores": Key("count", required=True, overridable=True),
    "memory_mib": Key("count", required=True, overridable=True),
    "walltime_seconds": Key("count", required=True, overridable=True),
    "token_file": Key("text", required=True, overridable=True),
    "disk_mib": Key("count", None, overridable=True),
    "issued_at": Key("instant", None),
    "idle_seconds": Key("count", 300, overridable=True),
    "drain_seconds": Key("seconds", 600, overridable=True),
    "end_margin_seconds": Key("seconds", 60, overridable=True),
    "signal_grace_seconds": Key("count", 20),
    "vacate_seconds": Key("seconds", 10),
    "failure_pause_seconds": Key("seconds", 60, overridable=True),
    "report_seconds": Key("count", 60),
    "snapshot_seconds": Key("count", None),
    "job_wall_seconds_attribute": Key("attribute", "AllowedExecuteDuration"),
    "work_directory": Key("path", "", overridable=True),
    "condor_location": Key("path", "", overridable=True),
    "attributes": Key("attributes", {}),
    "condor_settings": Key("settings", {}),
    "validations": Key("validations", [{"name": name} for name in BUILT_IN]),
}


def read_config(text: str, environment: Mapping[str, str], arguments: List[str]) -> Config:
    """The configuration in ``text`` with the overrides laid over it. Raises ConfigError with every fault.

    ``environment``: GOC_<KEY> overrides key; ``arguments``: ``key=value``, which win over the environment.
    """
    faults: List[str] = []
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ConfigError(["configuration file: not JSON: {}".format(error)]) from error
    if not isinstance(given, dict):
        raise ConfigError(["configuration file: must be one JSON object"])
    overrides = _read_overrides(environment, arguments, faults)
    given.update({name: value for name, (value, _) in overrides.items()})
    faults += ["{}: unknown key".format(name) for name in sorted(set(given) - set(KEYS))]
    values: Dict[str, Any] = {}
    for name, key in KEYS.items():
        if name not in given and key.required:
            faults.append("{}: missing".format(name))
            continue
        try:
            values[name] = _read_value(given.get(name, key.default), key)
        except ValueError as error:
            faults.append("{}: {!r}: {}".format(name, given.get(name, key.default), error))
    if not faults:
        faults += _faults_between(values, environment)
    if faults:
        raise ConfigError(faults)
    return Config(overrides={name: source for name, (_, source) in overrides.items()}, **values)


def _read_overrides(
    environment: Mapping[str, str], arguments: List[str], faults: List[str]
) -> Dict[str, Tuple[Any, str]]:
    """Value and source by key; what may not be overridden becomes a fault."""
    wanted = [
        (name, environment["GOC_" + name.upper()], "environment GOC_" + name.upper())
        for name in KEYS
        if "GOC_" + name.upper() in environment
    ]
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            faults.append("argument {!r}: must be key=value".format(argument))
        else:
            wanted.append((name, value, "argument"))
    overrides: Dict[str, Tuple[Any, str]] = {}
    for name, value, source in wanted:
        if name not in KEYS or not KEYS[name].overridable:
            faults.append("{} from {}: may not be overridden".format(name, source))
        elif KEYS[name].kind in ("count", "seconds") and re.match(r"\d+$", value):
            overrides[name] = (int(value), source)
        else:
            overrides[name] = (value, source)
    return overrides


def _read_value(value: Any, key: Key) -> Any:
    """``value`` as the key's kind. Raises ValueError with the rule it breaks."""
    if value is None and not key.required and key.default is None:
        return None
    return READERS[key.kind](value)


def _faults_between(values: Mapping[str, Any], environment: Mapping[str, str]) -> List[str]:
    """Rules that more than one key takes part in."""
    faults = []
    if values["end_margin_seconds"] < values["vacate_seconds"] + _SHUTDOWN_SECONDS:
        faults.append(
            "end_margin_seconds: {}: jobs and daemons need vacate_seconds + {} to end".format(
                values["end_margin_seconds"], _SHUTDOWN_SECONDS
            )
        )
    if values["walltime_seconds"] <= values["drain_seconds"] + values["end_margin_seconds"]:
        faults.append(
            "walltime_seconds: {}: must exceed drain_seconds + end_margin_seconds".format(
                values["walltime_seconds"]
            )
        )
    if values["signal_grace_seconds"] < _LEAST_SIGNAL_GRACE_SECONDS:
        faults.append(
            "signal_grace_seconds: {}: must be {} or more".format(
                values["signal_grace_seconds"], _LEAST_SIGNAL_GRACE_SECONDS
            )
        )
    expected = environment.get(DIGEST_VARIABLE, values["policy_digest"])
    if expected != values["policy_digest"]:
        faults.append(
            "policy_digest: {!r}: differs from {} {!r}: they do not belong together".format(
                values["policy_digest"], DIGEST_VARIABLE, expected
            )
        )
    return faults
