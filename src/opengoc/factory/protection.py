"""Which entries are paused, which try a canary, which are open: worked out of how their pilots ended. Pure.

An entry whose pilots end badly is paused; when the pause is over it is sent one pilot at a time, the canary;
one that does well opens it, one that does not pauses it for twice as long. The state is nothing but a fold
over what pilots did, in the order in which they did it: a factory that is started anew comes to the same one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from opengoc.base.instant import format_instant
from opengoc.factory.protection_ends import Judged, PilotFinding, Verdict


class Phase(StrEnum):
    """What an entry may be sent."""

    OPEN = "open"
    #: Nothing, until a moment.
    PAUSED = "paused"
    #: One pilot at a time.
    CANARY = "canary"


@dataclass(frozen=True, kw_only=True)
class Care:
    """When to pause, and for how long."""

    #: So many of the last ends are looked at, none older than ``window_seconds``.
    window: int = 10
    window_seconds: float = 3600.0
    #: Paused when at least so many of them are bad, and at least this share.
    bad: int = 3
    bad_share: float = 0.5
    #: Length of the first pause; each further one is twice as long, up to the longest.
    pause_seconds: float = 600.0
    longest_pause_seconds: float = 14_400.0
    #: A canary that has been in the pool for so long has done well; it need not end first.
    proof_seconds: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Health:
    """One entry."""

    entry: str
    phase: Phase = Phase.OPEN
    #: Since when it is in this phase; None: always was.
    since: datetime | None = None
    #: When the pause is over; None where there is none.
    until: datetime | None = None
    #: What it was paused for.
    reason: str = ""
    #: Pauses without a canary that did well in between.
    pauses: int = 0
    #: Ends that the next pause would rest on, oldest first.
    recent: tuple[Judged, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Alive:
    """A pilot that runs and is in the pool."""

    pilot_id: str
    entry: str
    #: Since when it runs.
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Protection:
    """All entries of which pilots ended."""

    health: Mapping[str, Health]
    #: Of every pilot that ended, oldest first.
    findings: tuple[PilotFinding, ...]

    def of(self, entry: str) -> Health:
        """One entry; open where nothing is known."""
        return self.health.get(entry, Health(entry=entry))


@dataclass(frozen=True, kw_only=True)
class _Proof:
    """A pilot that was in the pool for long enough, alive or ended since."""

    entry: str
    started_at: datetime
    at: datetime


def protect(
    ends: Iterable[Judged],
    *,
    now: datetime,
    alive: Iterable[Alive] = (),
    care: Care | None = None,
) -> Protection:
    """The state of every entry at ``now``, out of the ends of its pilots in any order, and those alive."""
    care = care or Care()
    judged = sorted(
        (each for each in ends if each.end.ended_at <= now),
        key=lambda each: (each.end.ended_at, each.end.pilot_id),
    )
    proofs = [proof for proof in _proofs(judged, alive, care) if proof.at <= now]
    # Of the same moment, what went well first: it was so before.
    events: list[_Proof | Judged] = [*proofs, *judged]
    events.sort(key=lambda each: each.at if isinstance(each, _Proof) else each.end.ended_at)
    health: dict[str, Health] = {}
    for event in events:
        name = event.entry if isinstance(event, _Proof) else event.end.entry
        before = health.get(name, Health(entry=name))
        if isinstance(event, Judged):
            health[name] = _after(before, event, care)
        elif before.until is not None and event.started_at >= before.until:
            health[name] = Health(entry=name, since=before.until)
    return Protection(
        health={name: _at(each, now) for name, each in health.items()},
        findings=tuple(finding for each in judged for finding in each.findings),
    )


def _proofs(judged: Iterable[Judged], alive: Iterable[Alive], care: Care) -> list[_Proof]:
    enough = timedelta(seconds=care.proof_seconds)
    lived = [
        (each.end.entry, each.end.started_at)
        for each in judged
        if each.end.joined and (each.end.lived_seconds or 0.0) >= care.proof_seconds
    ]
    living = [(pilot.entry, pilot.since) for pilot in alive]
    return [_Proof(entry=name, started_at=start, at=start + enough) for name, start in (*lived, *living)]


def _after(health: Health, judged: Judged, care: Care) -> Health:
    """An entry after one more end."""
    end = judged.end
    if health.until is not None:
        if end.started_at < health.until or judged.verdict is Verdict.NEUTRAL:
            # Sent before or during the pause: what it met is known already.
            return health
        if judged.verdict is Verdict.GOOD:
            return Health(entry=health.entry, since=health.until)
        return _paused(health, end.ended_at, f"canary {end.pilot_id}: {judged.reason}", care)
    if judged.verdict is Verdict.NEUTRAL or (health.since is not None and end.started_at < health.since):
        # One that was sent before the entry was opened again is no news.
        return health
    if judged.verdict is Verdict.PAUSE:
        return _paused(health, end.ended_at, judged.reason, care)
    oldest = end.ended_at - timedelta(seconds=care.window_seconds)
    kept = (*(each for each in health.recent if each.end.ended_at > oldest), judged)[-care.window :]
    bad = [each for each in kept if each.verdict is Verdict.BAD]
    if len(bad) >= care.bad and len(bad) >= care.bad_share * len(kept):
        return _paused(health, end.ended_at, _why(bad, len(kept)), care)
    return replace(health, recent=kept)


def _paused(health: Health, at: datetime, reason: str, care: Care) -> Health:
    seconds = min(care.pause_seconds * 2**health.pauses, care.longest_pause_seconds)
    return Health(
        entry=health.entry,
        phase=Phase.PAUSED,
        since=at,
        until=at + timedelta(seconds=seconds),
        reason=reason,
        pauses=health.pauses + 1,
    )


def _at(health: Health, now: datetime) -> Health:
    """An entry at a moment: a pause that is over lets a canary go."""
    if health.until is None or now < health.until:
        return health
    return replace(health, phase=Phase.CANARY, since=health.until)


def _why(bad: list[Judged], looked_at: int) -> str:
    """A pause in words: how many, the commonest reason, and the node where it is one node."""
    reasons = Counter(each.reason for each in bad)
    hosts = Counter(each.end.host for each in bad if each.end.host)
    words = (
        f"{len(bad)} of the last {looked_at} pilots ended badly, most with: {reasons.most_common(1)[0][0]}"
    )
    if hosts:
        host, count = hosts.most_common(1)[0]
        if count >= 2:
            words += f"; {count} of them on {host}"
    return words


def in_words(health: Health) -> str:
    """The state of an entry for a status line; empty for an open one."""
    if health.phase is Phase.OPEN or health.until is None:
        return ""
    if health.phase is Phase.PAUSED:
        return f"until {format_instant(health.until.replace(microsecond=0))}: {health.reason}"
    return f"one pilot at a time until one does well; was paused for: {health.reason}"
