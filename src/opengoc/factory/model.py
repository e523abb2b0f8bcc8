"""What the factory sees and does: payloads, pilots, slots, a snapshot of them, and actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from opengoc.condor.observation import Observation

#: Kind of the effect "this pilot is in the factory's queue"; its key is the pilot's id.
SUBMISSION = "factory.submission"


class PayloadState(StrEnum):
    """What a job in a VO's queue does."""

    IDLE = "idle"
    RUNNING = "running"


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """A job of a VO that waits or runs."""

    #: ``schedd#cluster.proc``.
    id: str
    vo: str
    state: PayloadState
    #: The attributes that the policy names, as far as the job has them.
    attributes: Mapping[str, Any]
    #: Of a running one: the pilot that runs it, its entry and its digest; empty where the job does not say.
    pilot_id: str = ""
    entry: str = ""
    digest: str = ""


class PilotState(StrEnum):
    """What a pilot job in the factory's queue does."""

    #: Not yet running: on its way to the site, or waiting in its batch system.
    IDLE = "idle"
    #: Running at the site; its startd may or may not have joined the pool.
    RUNNING = "running"
    #: Ended; its output waits to be collected.
    COMPLETED = "completed"
    HELD = "held"
    #: On its way out of the queue.
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pilot:
    """A pilot job in the factory's queue."""

    id: str
    #: ``cluster.proc`` in the factory's queue.
    job: str
    entry: str
    vo: str
    digest: str
    state: PilotState
    #: Since when it is in this state.
    since: datetime
    #: Why it is held; empty otherwise. Code and subcode as HTCondor numbers hold reasons.
    hold_reason: str = ""
    hold_code: int | None = None
    hold_subcode: int | None = None
    #: How often it was held so far, not by a person.
    holds: int = 0
    #: What it ended with; None while it has not, and where the site does not say.
    exit_code: int | None = None
    #: Where its output goes when it is collected; empty when its ad does not say.
    folder: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """What a pilot offers in the pool and nobody uses."""

    name: str
    pilot_id: str
    entry: str
    vos: tuple[str, ...]
    digest: str
    #: What is left of it.
    cores: int
    memory_mib: int
    #: Whether its pilot takes new jobs.
    accepting: bool
    #: START as the startd has it, and the factory's part of it, as texts; empty where the ad does not say.
    start: str = ""
    policy_start: str = ""
    #: Whether jobs run in it.
    is_busy: bool = True
    #: The factory that it says it is of; empty where it does not say.
    factory: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A pilot that was decided on and may, or may not yet, be in the factory's queue."""

    pilot_id: str
    entry: str
    vo: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a decision rests on."""

    #: One of each VO schedd.
    queues: tuple[Observation[Payload], ...]
    pilots: Observation[Pilot]
    slots: Observation[Slot]
    #: Pilots under way into the queue, not seen there.
    submissions: tuple[Submission, ...] = ()

    @property
    def observations(self) -> tuple[Observation[Any], ...]:
        """All of them."""
        return (*self.queues, self.pilots, self.slots)

    def pilots_in(self, state: PilotState) -> list[Pilot]:
        """The pilots in one state."""
        return [pilot for pilot in self.pilots.items if pilot.state is state]

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """Jobs of all queues."""
        return tuple(payload for queue in self.queues for payload in queue.items)


@dataclass(frozen=True, kw_only=True)
class SubmitPilots:
    """Send pilots of an entry for a VO."""

    entry: str
    vo: str
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class RemovePilot:
    """Take a pilot back."""

    pilot: Pilot
    reason: str
    #: It was held: its entry is judged by that.
    is_bad_end: bool = False
    #: Every other pilot of its entry would be held, too.
    fails_entry: bool = False
    #: Nothing asks for it. Spare it when it started, or got a job, meanwhile.
    is_unneeded: bool = False


@dataclass(frozen=True, kw_only=True)
class StopStartd:
    """Tell a startd of the pool to end: no pilot of this factory carries it."""

    #: Name of its slot in the pool.
    slot: str
    entry: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReleasePilot:
    """Let a held pilot try again."""

    pilot: Pilot
    reason: str


@dataclass(frozen=True, kw_only=True)
class CollectPilot:
    """Fetch and keep what an ended pilot left, then let its job leave the queue."""

    pilot: Pilot
    #: It could not be fetched for long: its job leaves the queue even without its output.
    is_last_try: bool = False
    reason: str = "ended"


Action: TypeAlias = SubmitPilots | RemovePilot | StopStartd | ReleasePilot | CollectPilot


class Limit(StrEnum):
    """What kept the factory from sending all pilots that an entry was asked for."""

    NONE = ""
    #: Pilots of the entry submitted and not yet gone.
    MAX_PILOTS = "max_pilots"
    #: Pilots of the entry that wait.
    MAX_IDLE = "max_idle"
    #: Pilots of the entry that are held.
    MAX_HELD = "max_held"
    #: Pilots of one VO at the entry.
    MAX_PILOTS_OF_VO = "max_pilots_of"
    #: Pilots of the entry submitted in one cycle, and in a minute.
    MAX_PER_CYCLE = "max_per_cycle"
    MAX_PER_MINUTE = "max_per_minute"
    #: Pilots, waiting ones, or those of a minute, over all entries.
    ALL_ENTRIES = "all entries"
    #: Pilots the factory submits in one cycle.
    CYCLE = "cycle"
    DISABLED = "disabled"
    OUTAGE = "outage"
    #: A pilot could not end before a scheduled outage.
    OUTAGE_AHEAD = "outage ahead"
    #: Pilots of the entry ended badly: none is sent for a while.
    FAILING = "failing"
    #: After that: one pilot at a time until one does well.
    CANARY = "canary"
    #: The guard, or a person, gives it no more pilots until a person says so.
    PAUSED = "paused"
    FROZEN = "frozen"


@dataclass(frozen=True, kw_only=True)
class EntryRow:
    """One entry and VO in one cycle: what was wanted, what was done, and what bound."""

    entry: str
    vo: str
    #: Idle jobs of the VO that could run there; each counts in every entry that it could use.
    matching_jobs: int
    #: Pilots asked for: this entry's share of the jobs that have no place yet.
    requested: int
    #: Pilots sent.
    allowed: int
    limit: Limit
    #: The limit in words.
    detail: str
    #: Pilots in the factory's queue, on the way there included.
    idle: int
    running: int
    held: int
    #: Slots with something free in the pool.
    free_slots: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What one cycle leaves to the next. Losing it delays removals; nothing else."""

    #: Idle pilots that nothing asked for.
    surplus: frozenset[str] = frozenset()
    #: Running pilots without a job that decide otherwise than those sent now.
    superseded: frozenset[str] = frozenset()
    #: Pilots that were seen in the pool.
    joined: frozenset[str] = frozenset()
    #: Queue (by the name of its observation) → VOs that had jobs there when it was last seen whole.
    vos: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Pilots in the queue, and slots in the pool, when each was last seen whole.
    pilots: int = 0
    slots: int = 0


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast the factory may act."""

    #: Pilots submitted in one cycle, over all entries.
    submissions: int = 50
    #: Pilots removed in one cycle.
    removals: int = 10
    #: Pilots that the guard stops in one cycle: were it wrong, it would not empty the pool at once.
    stops: int = 10
    #: A running pilot that has not joined the pool by then is no supply any more.
    join_seconds: float = 600.0
    #: A pilot that waits for longer is no supply: its jobs are offered to other entries, too. It keeps its
    #: place in the site's queue as long as there is something for it to do.
    wait_seconds: float = 1800.0
    #: A held pilot that no release would cure is given up after so long.
    held_seconds: float = 300.0
    #: The output of an ended pilot is given up when it could not be fetched for so long.
    collect_seconds: float = 900.0


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do, why, and what the next cycle is to remember."""

    actions: tuple[Action, ...]
    rows: tuple[EntryRow, ...]
    #: Why nothing is requested or removed; empty when the snapshot can be trusted.
    frozen: str
    #: VOs for which nothing is requested or removed, with the reason, while others go on.
    frozen_vos: Mapping[str, str]
    #: Idle jobs that no entry takes.
    unmatched_jobs: int
    memory: Memory = field(default_factory=Memory)
