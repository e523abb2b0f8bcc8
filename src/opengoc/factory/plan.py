"""What applying a configuration would change, and whether it may be applied. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from opengoc.condor.observation import Observation
from opengoc.factory.configuration import Configuration
from opengoc.factory.entries import Entry
from opengoc.factory.model import Payload, Pilot, PilotState
from opengoc.factory.rules import Pair
from opengoc.factory.supplied import unsupplied_by_jobs
from opengoc.factory.trial import Replay, Song, listen, open_starts, replay

#: A change of more than this part of a VO's pairs needs ``--accept``.
THRESHOLD = 0.2

_ALIVE = (PilotState.IDLE, PilotState.RUNNING, PilotState.HELD)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs between two configurations."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    #: Entry → key → (before, after).
    changed: Mapping[str, Mapping[str, tuple[Any, Any]]]
    #: Pairs of VO and enabled entry.
    gained: tuple[Pair, ...]
    lost: tuple[Pair, ...]
    #: Pairs on both sides whose START differs: its pilots will decide otherwise.
    redecided: tuple[Pair, ...]
    #: By VO: pairs before.
    pairs_before: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        pairs = {"gained": self.gained, "lost": self.lost, "redecided": self.redecided}
        return {
            "entries": {
                "added": list(self.added),
                "removed": list(self.removed),
                "changed": {
                    name: {key: {"before": a, "after": b} for key, (a, b) in keys.items()}
                    for name, keys in self.changed.items()
                },
            },
            "pairs": {name: _by_vo(several) for name, several in pairs.items()},
        }


@dataclass(frozen=True, kw_only=True)
class Affected:
    """Pilots that will decide otherwise than those sent from now on."""

    #: None where the queue did not answer; ``unknown`` says why.
    pilots: int | None
    #: By entry.
    entries: Mapping[str, int] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an apply would do."""

    #: Digest in force; empty before the first apply.
    before: str
    after: str
    difference: Difference
    affected: Affected
    songs: tuple[Song, ...]
    #: None without jobs of late, or without a configuration in force.
    replay: Replay | None
    #: Why it cannot be applied.
    refusals: tuple[str, ...]
    #: Why it needs ``--accept``.
    doubts: tuple[str, ...]
    #: What may well be meant, and yet decides nothing.
    warnings: tuple[str, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether it is in force already."""
        return self.before == self.after

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "applied": self.before or None,
            "planned": self.after,
            "changes_nothing": self.changes_nothing,
            **self.difference.to_json(),
            "pilots": asdict(self.affected),
            "canaries": [
                {
                    "name": song.canary.name,
                    "entry": song.canary.entry,
                    "must_run": song.canary.must_run,
                    "ok": song.is_well,
                    "finding": song.finding,
                }
                for song in self.songs
            ],
            "replay": asdict(self.replay) if self.replay is not None else None,
            "refusals": list(self.refusals),
            "needs_accept": list(self.doubts),
            "warnings": list(self.warnings),
        }


def plan(
    before: Configuration | None,
    after: Configuration,
    *,
    payloads: Sequence[Payload],
    pilots: Observation[Pilot],
    threshold: float = THRESHOLD,
) -> Plan:
    """What applying ``after`` over ``before`` (None: over nothing) would do.

    ``payloads`` are jobs that were there of late, ``pilots`` the factory's queue.
    """
    difference = difference_of(before, after)
    songs = tuple(listen(after, canary) for canary in after.canaries)
    tried = replay(before, after, payloads) if before is not None and payloads else None
    return Plan(
        before=before.digest if before is not None else "",
        after=after.digest,
        difference=difference,
        affected=_affected(before, after, pilots),
        songs=songs,
        replay=tried,
        refusals=tuple(
            f"canary {song.canary.name!r} fails: {song.finding}" for song in songs if not song.is_well
        ),
        doubts=tuple(_doubts(difference, tried, threshold)) if before is not None else (),
        warnings=unsupplied_by_jobs(
            after.policy,
            payloads,
            # A loop asks jobs for all that the policy in force declares.
            fetched=[each.name for each in before.policy.vocabulary.job.values()] if before else (),
        ),
    )


def difference_of(before: Configuration | None, after: Configuration) -> Difference:
    """What differs; everything is added where nothing was before."""
    old = before.entries if before is not None else {}
    pairs = open_starts(before) if before is not None else {}, open_starts(after)
    both = sorted(pairs[0].keys() & pairs[1].keys())
    kept = sorted(old.keys() & after.entries.keys())
    changes = {name: _changes(old[name], after.entries[name]) for name in kept}
    return Difference(
        added=tuple(sorted(after.entries.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - after.entries.keys())),
        changed={name: keys for name, keys in changes.items() if keys},
        gained=tuple(sorted(pairs[1].keys() - pairs[0].keys())),
        lost=tuple(sorted(pairs[0].keys() - pairs[1].keys())),
        redecided=tuple(pair for pair in both if pairs[0][pair] != pairs[1][pair]),
        pairs_before=dict(Counter(vo for vo, _ in pairs[0])),
    )


def _changes(old: Entry, new: Entry) -> dict[str, tuple[Any, Any]]:
    keys = [each.name for each in fields(Entry)]
    return {
        key: (getattr(old, key), getattr(new, key)) for key in keys if getattr(old, key) != getattr(new, key)
    }


def _affected(before: Configuration | None, after: Configuration, pilots: Observation[Pilot]) -> Affected:
    if not pilots.complete:
        return Affected(pilots=None, unknown=pilots.error)
    starts = before.starts() if before is not None else {}
    will_be = after.starts()
    counts = Counter(
        pilot.entry
        for pilot in pilots.items
        if pilot.state in _ALIVE
        and starts.get(pilot.entry, {}).get(pilot.vo) != will_be.get(pilot.entry, {}).get(pilot.vo)
    )
    return Affected(pilots=counts.total(), entries=dict(sorted(counts.items())))


def _doubts(difference: Difference, tried: Replay | None, threshold: float) -> list[str]:
    doubts = []
    changed = Counter(vo for vo, _ in (*difference.gained, *difference.lost))
    for vo, count in sorted(changed.items()):
        there = difference.pairs_before.get(vo, 0)
        if count > threshold * there:
            doubts.append(f"{vo}: {count} of {there} entries gained or lost, more than {threshold:.0%}")
    if tried is None:
        return doubts
    for vo in sorted({*tried.gained, *tried.lost}):
        fraction = tried.changed_fraction(vo)
        if fraction > threshold:
            gained, lost = tried.gained.get(vo, 0), tried.lost.get(vo, 0)
            doubts.append(
                f"{vo}: of {tried.pairs_before.get(vo, 0)} pairs of recent job and entry "
                f"{gained} gained, {lost} lost, more than {threshold:.0%}"
            )
    doubts += [f"{vo}: {count} recent jobs could run nowhere" for vo, count in sorted(tried.stranded.items())]
    return doubts


def _by_vo(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for vo, name in pairs:
        found[vo].append(name)
    return dict(found)
