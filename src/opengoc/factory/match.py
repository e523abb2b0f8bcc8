"""Which jobs could run behind which entries. Pure.

Jobs are clustered on what the policy names of them: one evaluation a cluster and entry, however many jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opengoc.condor.classads import Truth, compile_ad, evaluate_in, literal, truth
from opengoc.factory.configuration import Configuration
from opengoc.factory.expression import Requirements
from opengoc.factory.model import Payload, PayloadState


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Jobs of one VO that the policy cannot tell apart."""

    vo: str
    #: What the policy names of them.
    attributes: Mapping[str, Any]
    idle: int
    running: int
    #: Enabled entries that they may run behind, in order of name.
    entries: tuple[str, ...]
    #: What one of them asks for.
    cores: int
    memory_mib: int

    def fits_into(self, cores: int, memory_mib: int) -> int:
        """How many of these jobs run side by side in so much."""
        by_memory = memory_mib // self.memory_mib if self.memory_mib else cores
        return max(0, min(cores // self.cores, by_memory))


def match(configuration: Configuration, payloads: Iterable[Payload]) -> tuple[Cluster, ...]:
    """The jobs as clusters, each with the entries whose requirements are true for it.

    Undefined and error are no match, as in HTCondor. Jobs of a VO that the policy does not know match none.
    """
    counts: Counter[tuple[Any, ...]] = Counter()
    examples: dict[tuple[Any, ...], Payload] = {}
    for payload in payloads:
        requirements = configuration.requirements(payload.vo)
        key = (payload.vo, *_key(payload, requirements))
        counts[(key, payload.state)] += 1
        examples.setdefault(key, payload)
    candidates = _candidates(configuration)
    return tuple(
        _cluster(
            configuration,
            example,
            idle=counts[(key, PayloadState.IDLE)],
            running=counts[(key, PayloadState.RUNNING)],
            candidates=candidates.get(example.vo, []),
        )
        for key, example in examples.items()
    )


def _key(payload: Payload, requirements: Requirements | None) -> list[Any]:
    if requirements is None:
        return []
    values = (payload.attributes.get(name) for name in requirements.job_attributes)
    # The type belongs to it: 1, 1.0 and true are equal in Python, and differ in ClassAds.
    return [(type(value), literal(value) if isinstance(value, list) else value) for value in values]


def _candidates(configuration: Configuration) -> dict[str, list[tuple[str, Any]]]:
    """By VO: the enabled entries that serve it, as ads."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for name, entry in sorted(configuration.entries.items()):
        if entry.enabled:
            ad = compile_ad(entry.values())
            for vo in entry.vos:
                found.setdefault(vo, []).append((name, ad))
    return found


def _cluster(
    configuration: Configuration,
    example: Payload,
    *,
    idle: int,
    running: int,
    candidates: list[tuple[str, Any]],
) -> Cluster:
    requirements = configuration.requirements(example.vo)
    entries: list[str] = []
    named: dict[str, Any] = {}
    if requirements is not None:
        named = {n: example.attributes[n] for n in requirements.job_attributes if n in example.attributes}
        job = compile_ad(named)
        entries = [
            name
            for name, ad in candidates
            if truth(evaluate_in(requirements.match, my=ad, target=job)) is Truth.TRUE
        ]
    return Cluster(
        vo=example.vo,
        attributes=named,
        idle=idle,
        running=running,
        entries=tuple(entries),
        cores=_asked(configuration, example, "RequestCpus"),
        memory_mib=_asked(configuration, example, "RequestMemory"),
    )


def _asked(configuration: Configuration, payload: Payload, name: str) -> int:
    """What a job asks for, at least 1; the policy's default where it asks for nothing sensible."""
    value = payload.attributes.get(name)
    default = configuration.policy.vocabulary.job[name.casefold()].default
    asked = value if isinstance(value, int | float) else default
    assert isinstance(asked, int | float)
    return max(1, int(-(-asked // 1)))
