"""What the factory runs: entries and policy, checked together, under one digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import canonical_json, digest
from opengoc.factory.canaries import Canary, read_canaries
from opengoc.factory.entries import Entry, KnownResource, read_entries
from opengoc.factory.expression import Requirements
from opengoc.factory.faults import Fault, refuse
from opengoc.factory.limits import Limits, read_limits
from opengoc.factory.policy import Policy, read_policy
from opengoc.factory.supplied import unsupplied_by_entries
from opengoc.registry.model import ANY_VO, Resource
from opengoc.registry.snapshot import Registry

#: Kind of the service that takes pilots.
COMPUTE_ELEMENT = "CE"

#: Keys of entries and limits that came when digests were in use already.
_LATER = frozenset({"max_per_minute"})


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Entries and policy in force."""

    #: By name.
    entries: Mapping[str, Entry]
    policy: Policy
    #: SHA-256 of the content: the same entries and policy have the same digest, whatever their layout.
    digest: str
    #: What must run and must not, tried before it is applied; no part of the digest.
    canaries: tuple[Canary, ...] = ()
    #: Over all entries.
    limits: Limits = field(default_factory=Limits)
    #: (digest, entry, VO) of pilots sent under an earlier digest that decide as this one's do.
    alike: frozenset[tuple[str, str, str]] = frozenset()

    def start(self, entry: Entry, vo: str) -> str:
        """What a pilot of this entry and VO decides by."""
        return self.policy.requirements[vo].start(entry.values())

    def starts(self) -> dict[str, dict[str, str]]:
        """START of every entry, by VO."""
        return {
            name: {vo: self.start(entry, vo) for vo in entry.vos if vo in self.policy.requirements}
            for name, entry in sorted(self.entries.items())
        }

    def is_current(self, digest: str, entry: str, vo: str) -> bool:
        """Whether a pilot sent under this digest decides as one that is sent now would."""
        return digest == self.digest or (digest, entry, vo) in self.alike

    def requirements(self, vo: str) -> Requirements | None:
        """What a VO requires; None for a VO that the policy does not know."""
        return self.policy.requirements.get(vo)


def load_configuration(entries_file: Path, policy_file: Path, registry: Registry) -> Configuration:
    """Entries and policy of two files. Raises InvalidInput that names every fault of both."""
    configuration, faults = check_configuration(entries_file, policy_file, registry)
    for file in (policy_file, entries_file):
        refuse(str(file), faults[file])
    return configuration


def check_configuration(
    entries_file: Path, policy_file: Path, registry: Registry
) -> tuple[Configuration, Mapping[Path, tuple[Fault, ...]]]:
    """What is right in the two files, and every fault by file. Raises InvalidInput where one is no TOML."""
    resources = known_resources(registry)
    configuration, entry_faults, policy_faults = read_configuration(
        read_text(entries_file),
        read_text(policy_file),
        resources,
        names=(str(entries_file), str(policy_file)),
    )
    if not entry_faults:
        # What an entry with a fault supplies is not known. And a bundle that was applied is past this.
        policy_faults += unsupplied_by_entries(configuration.policy, tuple(configuration.entries.values()))
    return configuration, {policy_file: policy_faults, entries_file: entry_faults}


def read_configuration(
    entries_text: str,
    policy_text: str,
    resources: Mapping[str, KnownResource],
    *,
    names: tuple[str, str],
) -> tuple[Configuration, tuple[Fault, ...], tuple[Fault, ...]]:
    """What is right in two texts, the faults of the entries and those of the policy; ``names`` for messages.

    Raises InvalidInput where one is no TOML.
    """
    policy, policy_faults = read_policy(policy_text, names[1])
    entries, entry_faults = read_entries(
        entries_text, names[0], vocabulary=policy.vocabulary, resources=resources
    )
    known = frozenset(entry.name for entry in entries)
    limits, limit_faults = read_limits(policy_text, names[1])
    canaries, canary_faults = read_canaries(
        policy_text, names[1], vocabulary=policy.vocabulary, entries=known
    )
    configuration = Configuration(
        entries={entry.name: entry for entry in entries},
        policy=policy,
        digest=digest_of(entries, policy, limits),
        canaries=canaries,
        limits=limits,
    )
    entry_faults += tuple(_without_policy(entries, policy))
    return configuration, entry_faults, policy_faults + limit_faults + canary_faults


def digest_of(entries: tuple[Entry, ...], policy: Policy, limits: Limits | None = None) -> str:
    """The content digest: of values, so that comments, blanks and the order of tables do not count.

    The rendered STARTs belong to it: a release that renders them otherwise gives another digest.
    """
    starts = {
        entry.name: {
            vo: policy.requirements[vo].start(entry.values()) for vo in entry.vos if vo in policy.requirements
        }
        for entry in entries
    }
    content = {
        "entries": [_set_keys(asdict(entry)) for entry in entries],
        "policy": policy.content(),
        "limits": _set_keys(asdict(limits or Limits())),
        "starts": starts,
    }
    return digest(canonical_json(content))


def _set_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys of ``_LATER`` that are not set: what was applied before them keeps its digest."""
    return {name: value for name, value in values.items() if value is not None or name not in _LATER}


def known_resources(registry: Registry) -> dict[str, KnownResource]:
    """The registry as entries are checked against it."""
    return {name: _known(resource) for name, resource in registry.resources.items()}


def _known(resource: Resource) -> KnownResource:
    unusable = ""
    if not resource.in_use:
        unusable = "is not in use, says the registry"
    elif not resource.offers(COMPUTE_ELEMENT):
        unusable = f"offers no {COMPUTE_ELEMENT}, says the registry"
    allowed = frozenset(vo.casefold() for vo in resource.allowed_vos)
    is_open = not allowed or not ANY_VO.isdisjoint(resource.allowed_vos)
    return KnownResource(site=resource.site, unusable=unusable, vos=None if is_open else allowed)


def _without_policy(entries: tuple[Entry, ...], policy: Policy) -> list[Fault]:
    return [
        Fault(line=0, subject=f"entry {entry.name}: vos", rule=f"the policy has no [vos.{vo}]")
        for entry in entries
        for vo in entry.vos
        if vo not in policy.requirements
    ]


def read_text(file: Path) -> str:
    """The text of a configuration file. Raises InvalidInput where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(file), type(error).__name__, f"cannot be read: {error}") from error
