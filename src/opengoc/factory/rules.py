"""Which entries each of many jobs may run behind, disabled entries included. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from opengoc.factory.configuration import Configuration
from opengoc.factory.engine import Matcher
from opengoc.factory.model import Payload

#: VO and entry.
Pair = tuple[str, str]


def allowed(
    configuration: Configuration, payloads: Sequence[Payload], *, only: Collection[Pair] | None = None
) -> list[tuple[str, ...]]:
    """For each job the entries that serve its VO and whose requirement is true for it.

    ``only`` asks about some pairs of VO and entry, and is faster.
    """
    found: list[tuple[str, ...]] = [()] * len(payloads)
    for vo, places in _by_vo(payloads).items():
        matcher = _matcher(configuration, vo, only)
        if matcher is None:
            continue
        numbers = matcher.cluster(payloads[place].attributes for place in places).tolist()
        entries = {number: matcher.entries_of(number) for number in set(numbers)}
        for place, number in zip(places, numbers, strict=True):
            found[place] = entries[number]
    return found


def is_allowed(configuration: Configuration, payloads: Sequence[Payload]) -> list[bool]:
    """For each job whether the entry that it runs behind serves its VO and the requirement is true there."""
    found = [False] * len(payloads)
    for vo, places in _by_vo(payloads).items():
        matcher = _matcher(configuration, vo, None)
        if matcher is None:
            continue
        clusters = matcher.cluster(payloads[place].attributes for place in places)
        answers = matcher.allows(clusters, [payloads[place].entry for place in places])
        for place, answer in zip(places, answers, strict=True):
            found[place] = answer
    return found


def count_pairs(
    configuration: Configuration, payloads: Iterable[Payload], *, only: Collection[Pair]
) -> dict[str, int]:
    """By VO: how many pairs there are of a job and one of these entries that it may run behind."""
    by_vo: dict[str, list[Payload]] = {}
    for payload in payloads:
        by_vo.setdefault(payload.vo, []).append(payload)
    matchers = {vo: _matcher(configuration, vo, only) for vo in by_vo}
    return {
        vo: matcher.match(payload.attributes for payload in by_vo[vo]).pairs if matcher is not None else 0
        for vo, matcher in matchers.items()
    }


def _by_vo(payloads: Sequence[Payload]) -> dict[str, list[int]]:
    """The places of each VO's jobs."""
    found: dict[str, list[int]] = {}
    for place, payload in enumerate(payloads):
        found.setdefault(payload.vo, []).append(place)
    return found


def _matcher(configuration: Configuration, vo: str, only: Collection[Pair] | None) -> Matcher | None:
    requirements = configuration.requirements(vo)
    entries = {
        name: entry.values()
        for name, entry in configuration.entries.items()
        if vo in entry.vos and (only is None or (vo, name) in only)
    }
    return Matcher(requirements.tree, entries) if entries and requirements is not None else None
