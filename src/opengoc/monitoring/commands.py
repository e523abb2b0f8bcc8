"""``$GOC_HOME/probes.toml``: plugins of the Nagios convention, and the services that they probe.

Its ``[[probe]]`` tables are those of ``builtin``.

    [[command]]
    metric = "tcp-port"
    argv = ["/usr/lib/nagios/plugins/check_tcp", "-H", "{host}", "-p", "{port}"]
    services = ["CE"]                 # every resource in use that offers such a service
    resources = ["ITB-CONDOR-CE"]     # optional: these alone
    interval_seconds = 600            # optional, as are timeout_seconds; else those of goc.toml

Words in braces: host and port of the endpoint, fqdn, endpoint, resource, service, site.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, field_validator

from opengoc.base.errors import InvalidInput
from opengoc.monitoring.builtin import Builtin, probes_of
from opengoc.monitoring.model import Finding, Target
from opengoc.monitoring.probes.answers import could_not_probe
from opengoc.monitoring.probes.check import Check, Probe
from opengoc.monitoring.probes.command import CommandProbe
from opengoc.registry.model import Resource
from opengoc.registry.snapshot import Registry

FILE = "probes.toml"

_WORDS = frozenset({"host", "port", "fqdn", "endpoint", "resource", "service", "site"})

_Metric = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: _Metric
    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    services: Annotated[tuple[str, ...], Field(min_length=1)]
    resources: tuple[str, ...] = ()
    interval_seconds: PositiveFloat | None = None
    timeout_seconds: PositiveFloat | None = None

    @field_validator("argv")
    @classmethod
    def _words_are_known(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        for part in argv:
            # Formatter raises ValueError by itself for a brace that stands alone.
            for _, word, *_ in Formatter().parse(part):
                if word is not None and word not in _WORDS:
                    raise ValueError(f"{{{word}}} is none of {', '.join(sorted(_WORDS))}")
        return argv


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    command: tuple[_Command, ...] = ()
    probe: tuple[Builtin, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Refused:
    """In the place of a command that must not be run."""

    reason: str

    def run(self, _timeout_seconds: float, /) -> Finding:
        """Says why."""
        return could_not_probe(self.reason)


def command_checks(
    path: Path, registry: Registry, *, interval_seconds: float, timeout_seconds: float
) -> list[Check]:
    """The checks of the file for the resources in use; none where there is no file.

    Raises InvalidInput with every fault of the file, and for a metric that probes one target twice.
    """
    file = _read(path)
    checks: dict[tuple[str, Target], Check] = {}

    def add(table: _Command | Builtin, metric: str, target: Target, probe: Probe) -> None:
        if (metric, target) in checks:
            raise InvalidInput(str(path), metric, f"probes {target} more than once")
        checks[metric, target] = Check(
            metric=metric,
            target=target,
            probe=probe,
            interval_seconds=table.interval_seconds or interval_seconds,
            timeout_seconds=table.timeout_seconds or timeout_seconds,
        )

    for command in file.command:
        for target, probe in _probes(command, registry):
            add(command, command.metric, target, probe)
    for table in file.probe:
        for metric, target, built_in in probes_of(table, registry):
            add(table, metric, target, built_in)
    return list(checks.values())


def _probes(command: _Command, registry: Registry) -> Iterator[tuple[Target, Probe]]:
    for resource in sorted(registry.resources.values(), key=lambda r: r.name):
        if not resource.in_use or (command.resources and resource.name not in command.resources):
            continue
        for kind in command.services:
            if resource.offers(kind):
                yield Target(resource.name, kind), _probe(command.argv, _words(resource, kind))


def _words(resource: Resource, kind: str) -> dict[str, str]:
    endpoint = resource.endpoint(kind)
    address = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    return {
        "host": address.hostname or resource.fqdn,
        "port": address.netloc.rpartition(":")[2] if ":" in address.netloc else "",
        "fqdn": resource.fqdn,
        "endpoint": endpoint,
        "resource": resource.name,
        "service": kind,
        "site": resource.site,
    }


def _probe(argv: tuple[str, ...], words: Mapping[str, str]) -> CommandProbe | _Refused:
    filled = tuple(part.format_map(words) for part in argv)
    for template, part in zip(argv, filled, strict=True):
        # Whoever edits the registry must not be able to slip an option to a program that runs here.
        if part.startswith("-") and not template.startswith("-"):
            return _Refused(
                reason=f"{template} comes to {part!r} here, which the plugin would take for an option"
            )
    return CommandProbe(argv=filled)


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return _File()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(str(path), type(error).__name__, str(error)) from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        )
        raise InvalidInput(str(path), f"{error.error_count()} fault(s)", faults) from error
