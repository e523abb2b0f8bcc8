"""Which jobs could run behind which entries. Pure.

Jobs are clustered on what the policy names of them; the pairs are counted by ``factory/engine.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opengoc.factory.bits import Numbers
from opengoc.factory.configuration import Configuration
from opengoc.factory.engine import Matcher
from opengoc.factory.model import Payload, PayloadState
from opengoc.factory.tree import Node


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

    def fits_into_each(self, shapes: Iterable[tuple[int, int]]) -> tuple[int, ...]:
        """As ``fits_into``, of pilots of many shapes: cores and memory of none below 0."""
        cores, memory_mib = self.cores, self.memory_mib
        if not memory_mib:
            return tuple([shape[0] // cores for shape in shapes])
        # Written out: in a crowd this is asked half a million times a cycle.
        pairs = [(shape[0] // cores, shape[1] // memory_mib) for shape in shapes]
        return tuple([by_cores if by_cores < by_memory else by_memory for by_cores, by_memory in pairs])


@dataclass(kw_only=True, eq=False)
class _Known:
    """What was worked out about one VO."""

    #: What the matcher was made of.
    tree: Node
    matcher: Matcher
    #: Of the configuration and of the matcher, when the clusters were made.
    digest: str = ""
    edition: int = 0
    #: By number, with the jobs of the last cycle that had any.
    clusters: dict[int, Cluster] = field(default_factory=dict)


class Matching:
    """Matches cycle after cycle: what was worked out about jobs and entries is kept for the next.

    A payload whose attributes are the same object as in the cycle before is not read again.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def match(self, configuration: Configuration, payloads: Iterable[Payload]) -> tuple[Cluster, ...]:
        """The jobs as clusters, each with the entries whose requirements are true for it.

        Undefined and error are no match, as in HTCondor. Jobs of a VO that the policy does not know match
        none.
        """
        by_vo: dict[str, list[Payload]] = {}
        for payload in payloads:
            by_vo.setdefault(payload.vo, []).append(payload)
        # The jobs of a VO that has none any more are not kept.
        self._known = {vo: known for vo, known in self._known.items() if vo in by_vo}
        return tuple(
            cluster for vo, jobs in by_vo.items() for cluster in self._clusters(configuration, vo, jobs)
        )

    def _clusters(self, configuration: Configuration, vo: str, jobs: list[Payload]) -> Iterator[Cluster]:
        requirements = configuration.requirements(vo)
        if requirements is None:
            idle = sum(job.state is PayloadState.IDLE for job in jobs)
            made = _cluster(configuration, jobs[0], names=(), entries=())
            yield replace(made, idle=idle, running=len(jobs) - idle)
            return
        known = self._of_vo(configuration, vo, requirements.tree)
        numbers = known.matcher.follow([job.attributes for job in jobs])
        if (known.digest, known.edition) != (configuration.digest, known.matcher.edition):
            known.clusters = {}
            known.digest, known.edition = configuration.digest, known.matcher.edition
        sizes = np.bincount(numbers)
        idle_jobs = np.bincount(numbers, weights=[job.state is PayloadState.IDLE for job in jobs])
        for number, first in _firsts(numbers):
            cluster = known.clusters.get(number)
            if cluster is None:
                entries = known.matcher.entries_of(number)
                names = requirements.job_attributes
                cluster = _cluster(configuration, jobs[first], names=names, entries=entries)
            idle, running = int(idle_jobs[number]), int(sizes[number] - idle_jobs[number])
            if (cluster.idle, cluster.running) != (idle, running):
                cluster = replace(cluster, idle=idle, running=running)
            known.clusters[number] = cluster
            yield cluster

    def _of_vo(self, configuration: Configuration, vo: str, tree: Node) -> _Known:
        """What is known of the VO's jobs from the last cycle, with the entries of this one."""
        known = self._known.get(vo)
        if known is not None and known.tree == tree and known.digest == configuration.digest:
            return known
        entries = {
            name: entry.values()
            for name, entry in sorted(configuration.entries.items())
            if entry.enabled and vo in entry.vos
        }
        if known is None or known.tree != tree:
            known = self._known[vo] = _Known(tree=tree, matcher=Matcher(tree, entries))
        else:
            known.matcher.change_entries(entries)
        return known


def match(configuration: Configuration, payloads: Iterable[Payload]) -> tuple[Cluster, ...]:
    """As ``Matching.match``, once."""
    return Matching().match(configuration, payloads)


def _firsts(numbers: Numbers) -> list[tuple[int, int]]:
    """Each different number with the place where it first appears, in the order of places."""
    first = np.full(int(numbers.max(initial=-1)) + 1, -1, np.int64)
    # Of places with one number the last that is written stays: the first of all.
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    present = np.nonzero(first >= 0)[0]
    present = present[np.argsort(first[present])]
    return list(zip(present.tolist(), first[present].tolist(), strict=True))


def _cluster(
    configuration: Configuration, example: Payload, *, names: tuple[str, ...], entries: tuple[str, ...]
) -> Cluster:
    """The cluster of jobs like the example, none counted yet."""
    return Cluster(
        vo=example.vo,
        attributes={name: example.attributes[name] for name in names if name in example.attributes},
        idle=0,
        running=0,
        entries=entries,
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
