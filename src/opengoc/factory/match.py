"""Which jobs could run behind which entries. Pure.

Jobs are clustered on what the policy names of them; the pairs are counted by ``factory/engine.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

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


class Matching:
    """Matches cycle after cycle: what was worked out about jobs and entries is kept for the next."""

    def __init__(self) -> None:
        #: By VO: the tree that its matcher was made of, and the matcher.
        self._matchers: dict[str, tuple[Node, Matcher]] = {}

    def match(self, configuration: Configuration, payloads: Iterable[Payload]) -> tuple[Cluster, ...]:
        """The jobs as clusters, each with the entries whose requirements are true for it.

        Undefined and error are no match, as in HTCondor. Jobs of a VO that the policy does not know match
        none.
        """
        by_vo: dict[str, list[Payload]] = {}
        for payload in payloads:
            by_vo.setdefault(payload.vo, []).append(payload)
        return tuple(
            cluster for vo, jobs in by_vo.items() for cluster in self._clusters(configuration, vo, jobs)
        )

    def _clusters(self, configuration: Configuration, vo: str, jobs: list[Payload]) -> Iterator[Cluster]:
        requirements = configuration.requirements(vo)
        if requirements is None:
            yield _cluster(configuration, jobs[0], names=(), entries=(), idle=_idle(jobs), jobs=len(jobs))
            return
        matcher = self._matcher(configuration, vo, requirements.tree)
        numbers = matcher.cluster(job.attributes for job in jobs)
        sizes = np.bincount(numbers)
        idle = np.bincount(numbers, weights=[job.state is PayloadState.IDLE for job in jobs])
        for number, first in _firsts(numbers.tolist()).items():
            yield _cluster(
                configuration,
                jobs[first],
                names=requirements.job_attributes,
                entries=matcher.entries_of(number),
                idle=int(idle[number]),
                jobs=int(sizes[number]),
            )

    def _matcher(self, configuration: Configuration, vo: str, tree: Node) -> Matcher:
        """What matches the VO's jobs: the one of the last cycle, with the entries of this one."""
        entries = {
            name: entry.values()
            for name, entry in sorted(configuration.entries.items())
            if entry.enabled and vo in entry.vos
        }
        of_tree, matcher = self._matchers.get(vo, (None, None))
        if matcher is None or of_tree != tree:
            matcher = Matcher(tree, entries)
            self._matchers[vo] = (tree, matcher)
        else:
            matcher.change_entries(entries)
        return matcher


def match(configuration: Configuration, payloads: Iterable[Payload]) -> tuple[Cluster, ...]:
    """As ``Matching.match``, once."""
    return Matching().match(configuration, payloads)


def _firsts(numbers: list[int]) -> dict[int, int]:
    """The place of each number's first appearance, in order."""
    found: dict[int, int] = {}
    for place, number in enumerate(numbers):
        found.setdefault(number, place)
    return found


def _idle(jobs: Iterable[Payload]) -> int:
    return sum(job.state is PayloadState.IDLE for job in jobs)


def _cluster(
    configuration: Configuration,
    example: Payload,
    *,
    names: tuple[str, ...],
    entries: tuple[str, ...],
    idle: int,
    jobs: int,
) -> Cluster:
    return Cluster(
        vo=example.vo,
        attributes={name: example.attributes[name] for name in names if name in example.attributes},
        idle=idle,
        running=jobs - idle,
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
