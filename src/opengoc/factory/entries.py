"""Entries: the ways into the sites, one table each in ``entries.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opengoc.factory import arc
from opengoc.factory.expression import Attribute, Scalar, Vocabulary
from opengoc.factory.faults import Document, Fault
from opengoc.factory.policy import VO_NAME

ENTRY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

#: What the factory can submit to: an HTCondor schedd behind a collector, an ARC CE, or a batch system it has
#: clients of.
GRID_RESOURCE = re.compile(r"condor \S+ \S+|arc \S+|batch \S+( \S.*)?")

#: Submit commands that are the factory's own: an entry that set them would break what the factory relies on.
OWN_COMMANDS = frozenset(
    (
        "arguments",
        "batch_name",
        "error",
        "executable",
        "grid_resource",
        "initialdir",
        "leave_in_queue",
        "log",
        "output",
        "queue",
        "request_cpus",
        "request_memory",
        "should_transfer_files",
        "transfer_executable",
        "transfer_input_files",
        "transfer_output_files",
        "universe",
        "when_to_transfer_output",
    )
)

#: Keys of the pilot's configuration that an entry may set; what they mean: docs/reference/pilot.md.
PILOT_KEYS = frozenset(
    (
        "condor_location",
        "condor_settings",
        "drain_seconds",
        "end_margin_seconds",
        "failure_pause_seconds",
        "idle_seconds",
        "job_wall_seconds_attribute",
        "report_seconds",
        "signal_grace_seconds",
        "vacate_seconds",
        "validations",
        "work_directory",
    )
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One way into one site."""

    name: str
    #: Resource of the registry, and the site that it stands at.
    resource: str
    site: str
    #: As HTCondor takes it: ``condor SCHEDD COLLECTOR``, ``arc URL`` or ``batch slurm``.
    grid_resource: str
    #: What one pilot has.
    cores: int
    memory_mib: int
    disk_mib: int
    #: The batch system ends a pilot after this.
    walltime_seconds: int
    #: VOs that it serves, in lower case.
    vos: tuple[str, ...]
    #: Pilots submitted and not yet gone, of all VOs together.
    max_pilots: int
    #: Of these: not yet running.
    max_idle: int
    #: With so many held none is sent; None: held ones only count as waiting.
    max_held: int | None = None
    #: Pilots that one decision may send; None: no such limit.
    max_per_cycle: int | None = None
    #: Pilots submitted in a minute, for a site that is to be filled slowly; None: no such limit.
    max_per_minute: int | None = None
    #: VO → pilots of it submitted and not yet gone; a VO that is not named has no limit of its own.
    max_pilots_of: Mapping[str, int] = field(default_factory=dict)
    enabled: bool = True
    #: Why it is not enabled.
    reason: str = ""
    #: Values of the entry attributes that the policy declares, defaults filled in.
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    #: Submit commands beside the factory's own.
    submit: Mapping[str, str] = field(default_factory=dict)
    #: Keys of the pilot's configuration beside the factory's own.
    pilot: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, Scalar]:
        """Everything that requirements may say ``entry.X`` of."""
        return {
            **self.attributes,
            "Name": self.name,
            "Resource": self.resource,
            "Site": self.site,
            "Cores": self.cores,
            "MemoryMiB": self.memory_mib,
            "DiskMiB": self.disk_mib,
            "WalltimeSeconds": self.walltime_seconds,
        }


@dataclass(frozen=True, kw_only=True)
class KnownResource:
    """What the registry says of a resource, as far as an entry is checked against it."""

    site: str
    #: Why pilots cannot be sent to it: it is inactive, it offers no CE; empty when they can.
    unusable: str = ""
    #: VOs that it lets in, in lower case; None: any.
    vos: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True)
class _Rule:
    attribute: Attribute
    required: bool = True
    least: int | None = None


_KEYS = {
    rule.attribute.name: rule
    for rule in (
        _Rule(attribute=Attribute(name="name", type="string")),
        _Rule(attribute=Attribute(name="resource", type="string")),
        _Rule(attribute=Attribute(name="grid_resource", type="string")),
        _Rule(attribute=Attribute(name="cores", type="int"), least=1),
        _Rule(attribute=Attribute(name="memory_mib", type="int"), least=1),
        _Rule(attribute=Attribute(name="disk_mib", type="int", default=4096), least=1, required=False),
        _Rule(attribute=Attribute(name="walltime_seconds", type="int"), least=60),
        _Rule(attribute=Attribute(name="max_pilots", type="int"), least=0),
        _Rule(attribute=Attribute(name="max_idle", type="int"), least=0),
        _Rule(attribute=Attribute(name="max_held", type="int"), least=1, required=False),
        _Rule(attribute=Attribute(name="max_per_cycle", type="int"), least=1, required=False),
        _Rule(attribute=Attribute(name="max_per_minute", type="int"), least=1, required=False),
        _Rule(attribute=Attribute(name="enabled", type="bool", default=True), required=False),
        _Rule(attribute=Attribute(name="reason", type="string", default=""), required=False),
    )
}
_TABLES = frozenset({"vos", "attributes", "submit", "pilot", "max_pilots_of"})


def read_entries(
    text: str, file: str, *, vocabulary: Vocabulary, resources: Mapping[str, KnownResource]
) -> tuple[tuple[Entry, ...], tuple[Fault, ...]]:
    """The entries of a file in which nothing is wrong, in order of name, and every fault.

    Raises InvalidInput where the file is no TOML.
    """
    document = Document(text, file)
    faults = [
        Fault(line=document.line(key), subject=key, rule="is no known key: only [[entries]] is")
        for key in document.content.keys() - {"entries"}
    ]
    tables = document.content.get("entries", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        faults.append(Fault(line=document.line("entries"), subject="entries", rule="must be [[entries]]"))
        tables = []
    readers = [
        _Reader(document=document, number=number, table=table, vocabulary=vocabulary, resources=resources)
        for number, table in enumerate(tables)
    ]
    entries: dict[str, Entry] = {}
    for reader in readers:
        entry = reader.read()
        if entry is not None and entry.name in entries:
            reader.fault("name", "stands in another entry already")
        elif entry is not None:
            entries[entry.name] = entry
        faults += reader.faults
    return tuple(entry for _, entry in sorted(entries.items())), tuple(faults)


class _Reader:
    """Reads one table, keeping every fault."""

    def __init__(
        self,
        *,
        document: Document,
        number: int,
        table: dict[str, Any],
        vocabulary: Vocabulary,
        resources: Mapping[str, KnownResource],
    ) -> None:
        self._document = document
        self._number = number
        self._table = table
        self._vocabulary = vocabulary
        self._resources = resources
        self.faults: list[Fault] = []
        #: Keys whose values are not worth a second look.
        self._bad: set[str] = set()

    def fault(self, key: str, rule: str, *below: str) -> None:
        """Keep a fault of this entry."""
        name = self._table.get("name", f"number {self._number + 1}")
        line = self._document.line("entries", self._number, key, *below)
        subject = f"entry {name}: {'.'.join((key, *below))}"
        self.faults.append(Fault(line=line, subject=subject, rule=rule))
        self._bad.add(key)

    def read(self) -> Entry | None:
        """The entry, or None where it has a fault."""
        for key in self._table.keys() - _KEYS.keys() - _TABLES:
            self.fault(key, "is no known key")
        for key, rule in _KEYS.items():
            self._check_scalar(key, rule)
        vos = self._vos()
        attributes = self._attributes()
        submit = self._submit()
        pilot = self._pilot()
        max_pilots_of = self._max_pilots_of(vos)
        self._check_texts()
        self._check_limits()
        resource = self._check_resource(vos)
        if resource is None or self.faults:
            return None
        values: dict[str, Any] = {
            key: self._table.get(key, rule.attribute.default) for key, rule in _KEYS.items()
        }
        return Entry(
            **values,
            site=resource.site,
            vos=vos,
            attributes=attributes,
            submit=submit,
            pilot=pilot,
            max_pilots_of=max_pilots_of,
        )

    def _check_scalar(self, key: str, rule: _Rule) -> None:
        value = self._table.get(key)
        if value is None:
            if rule.required:
                self.fault(key, "is missing")
        elif not rule.attribute.accepts(value):
            self.fault(key, f"must be a {rule.attribute.type}, not {value!r}")
        elif rule.least is not None and value < rule.least:
            self.fault(key, f"must be at least {rule.least}, not {value}")

    def _vos(self) -> tuple[str, ...]:
        vos = self._table.get("vos")
        if not isinstance(vos, list) or not vos or not all(isinstance(vo, str) for vo in vos):
            self.fault("vos", 'must be a list of VO names such as ["cms"]')
            return ()
        for vo in vos:
            if not VO_NAME.fullmatch(vo):
                self.fault("vos", f"{vo!r} is no VO name: lower case letters, digits, . _ -")
        return tuple(sorted(set(vos)))

    def _attributes(self) -> dict[str, Scalar]:
        declared = self._vocabulary.entry
        values = {a.name: a.default for a in declared.values() if a.default is not None}
        for name, value in self._map("attributes").items():
            attribute = declared.get(name.casefold())
            if attribute is None:
                self.fault("attributes", f"is not declared: add [entry.{name}] to the policy", name)
            elif not attribute.accepts(value):
                self.fault("attributes", f"must be a {attribute.type}, not {value!r}", name)
            else:
                values[attribute.name] = value
        return values

    def _submit(self) -> dict[str, str]:
        commands = self._map("submit")
        for name, value in commands.items():
            if not isinstance(value, str) or "\n" in value:
                self.fault("submit", "must be one line of text", name)
            if name.casefold() in OWN_COMMANDS:
                self.fault("submit", "is the factory's own submit command", name)
        if str(self._table.get("grid_resource")).split(" ")[0] == arc.GRID_TYPE:
            lowered = {name.casefold(): value for name, value in commands.items()}
            enabled = self._table.get("enabled") is not False
            for name, rule in arc.faults(lowered, enabled=enabled).items():
                self.fault("submit", rule, *([name] if name in lowered else []))
        return {name: value for name, value in commands.items() if isinstance(value, str)}

    def _pilot(self) -> dict[str, Any]:
        keys = self._map("pilot")
        for name in keys.keys() - PILOT_KEYS:
            self.fault("pilot", f"is none of {', '.join(sorted(PILOT_KEYS))}", name)
        return keys

    def _max_pilots_of(self, vos: tuple[str, ...]) -> dict[str, int]:
        limits = self._map("max_pilots_of")
        for vo, most in limits.items():
            if vo not in vos:
                self.fault("max_pilots_of", "is none of the vos of this entry", vo)
            elif not isinstance(most, int) or isinstance(most, bool) or most < 0:
                self.fault("max_pilots_of", f"must be a number of pilots, not {most!r}", vo)
        return limits

    def _map(self, key: str) -> dict[str, Any]:
        content = self._table.get(key, {})
        if isinstance(content, dict):
            return content
        self.fault(key, f"must be a table [entries.{key}]")
        return {}

    def _check_texts(self) -> None:
        table = self._table
        if "name" not in self._bad and not ENTRY_NAME.fullmatch(table["name"]):
            self.fault("name", "needs letters, digits, . _ - and nothing else")
        if "grid_resource" not in self._bad and not GRID_RESOURCE.fullmatch(table["grid_resource"]):
            self.fault("grid_resource", 'must be "condor SCHEDD COLLECTOR", "arc URL" or "batch SYSTEM"')
        if table.get("enabled") is False and not table.get("reason"):
            self.fault("reason", "is missing: say why the entry is not enabled")

    def _check_limits(self) -> None:
        if self._bad.isdisjoint({"max_idle", "max_pilots"}):
            most = self._table["max_pilots"]
            if self._table["max_idle"] > most:
                self.fault("max_idle", f"is more than max_pilots ({most})")

    def _check_resource(self, vos: tuple[str, ...]) -> KnownResource | None:
        """The entry against the registry."""
        if "resource" in self._bad:
            return None
        name = self._table["resource"]
        resource = self._resources.get(name)
        if resource is None:
            self.fault("resource", f"{name!r} is no resource of the registry")
            return None
        if self._table.get("enabled") is not False and resource.unusable:
            self.fault("resource", f"{name} {resource.unusable}: disable the entry")
        for vo in vos:
            if resource.vos is not None and vo not in resource.vos:
                self.fault("vos", f"{name} does not let {vo} in, says the registry")
        return resource
