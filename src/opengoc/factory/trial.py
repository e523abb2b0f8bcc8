"""Trying a configuration before it is applied: on its canaries, and on jobs that were there of late. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opengoc.condor.classads import Truth, evaluate, parse, truth
from opengoc.factory.canaries import Canary
from opengoc.factory.configuration import Configuration
from opengoc.factory.entries import Entry
from opengoc.factory.model import Payload
from opengoc.factory.rules import Pair, allowed, count_pairs


@dataclass(frozen=True, kw_only=True)
class Song:
    """What a canary says of a configuration."""

    canary: Canary
    is_well: bool
    #: What was found, in words.
    finding: str


def listen(configuration: Configuration, canary: Canary) -> Song:
    """Try a canary on a configuration. An entry that is disabled is tried all the same: it may come back."""
    entry = configuration.entries.get(canary.entry)
    if entry is None or canary.vo not in entry.vos:
        why = "there is no such entry" if entry is None else f"it does not serve {canary.vo}"
        return Song(canary=canary, is_well=not canary.must_run, finding=f"{canary.entry}: {why}")
    match, start = _both_sides(configuration, entry, canary)
    if match is not start:
        finding = f"the match says {match.value} and START says {start.value}"
        return Song(canary=canary, is_well=False, finding=finding)
    return Song(canary=canary, is_well=(match is Truth.TRUE) is canary.must_run, finding=match.value)


def _both_sides(configuration: Configuration, entry: Entry, canary: Canary) -> tuple[Truth, Truth]:
    requirements = configuration.requirements(canary.vo)
    assert requirements is not None
    match = truth(evaluate(requirements.match, my=entry.values(), target=canary.job))
    start = truth(evaluate(parse(configuration.start(entry, canary.vo)), target=canary.job))
    return match, start


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What two configurations say of the same jobs; a pair is a job and an entry that it may run behind."""

    jobs: int
    #: By VO.
    pairs_before: Mapping[str, int]
    gained: Mapping[str, int]
    lost: Mapping[str, int]
    #: Jobs that may run somewhere before and nowhere after, by VO.
    stranded: Mapping[str, int]
    #: Attributes that the new policy names and no kept job has: nobody fetched them so far.
    lacking: tuple[str, ...]

    def changed_fraction(self, vo: str) -> float:
        """Pairs of a VO gained or lost, of those that were there before."""
        changed = self.gained.get(vo, 0) + self.lost.get(vo, 0)
        return changed / max(1, self.pairs_before.get(vo, 0))


def replay(before: Configuration, after: Configuration, payloads: Sequence[Payload]) -> Replay:
    """Try the same jobs on two configurations, disabled entries left out.

    Where START stays the same, so does the answer: only the other pairs are compared job by job.
    """
    was, will_be = open_starts(before), open_starts(after)
    changed = {pair for pair in was.keys() | will_be.keys() if was.get(pair) != will_be.get(pair)}
    old = allowed(before, payloads, only=changed & was.keys())
    new = allowed(after, payloads, only=changed & will_be.keys())
    gained, lost, stranded = Counter[str](), Counter[str](), Counter[str]()
    losers: list[Payload] = []
    for payload, entries_before, entries_after in zip(payloads, old, new, strict=True):
        gained[payload.vo] += len(set(entries_after) - set(entries_before))
        lost[payload.vo] += len(set(entries_before) - set(entries_after))
        if entries_before and not entries_after:
            losers.append(payload)
    # Those that lost every entry that changed may have one among those that did not.
    for payload, others in zip(losers, allowed(before, losers, only=was.keys() - changed), strict=True):
        stranded[payload.vo] += not others
    return Replay(
        jobs=len(payloads),
        pairs_before=count_pairs(before, payloads, only=was.keys()),
        gained=dict(+gained),
        lost=dict(+lost),
        stranded=dict(+stranded),
        lacking=_lacking(before, after, payloads),
    )


def open_starts(configuration: Configuration) -> dict[Pair, str]:
    """VO and enabled entry, each with its START."""
    return {
        (vo, name): start
        for name, starts in configuration.starts().items()
        if configuration.entries[name].enabled
        for vo, start in starts.items()
    }


def _lacking(before: Configuration, after: Configuration, payloads: Sequence[Payload]) -> tuple[str, ...]:
    fetched = set(before.policy.job_attributes).union(*(payload.attributes for payload in payloads))
    return tuple(sorted(set(after.policy.job_attributes) - fetched))
