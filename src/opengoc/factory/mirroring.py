"""One mirror among the others: what it writes down of itself, and how it looks after silent ones."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opengoc.base.errors import Conflict
from opengoc.condor.observation import Observation
from opengoc.condor.session import Pool, Session
from opengoc.factory import mirror_store
from opengoc.factory.bounds import count_pilots
from opengoc.factory.configuration import Configuration
from opengoc.factory.mirror import Holding, Mirror, Mirrored, Place, Reading, larger, mirrored, with_granted
from opengoc.factory.mirror_store import Permit
from opengoc.factory.model import Decision, Limit, Pace, Pilot, Snapshot, SubmitPilots
from opengoc.factory.observe import observe_pilots
from opengoc.factory.supply import LATE, rooms_of
from opengoc.store.database import Database

log = logging.getLogger(__name__)

#: A mirror that writes nothing down for so long is silent. A submission has to fit in with time to spare.
LEASE_SECONDS = 120.0
#: A schedd that is gone must not hold up the cycles of the mirrors that live.
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who this mirror is to the others."""

    group: str
    name: str
    #: Machine and home: two processes must not write under one name.
    holder: str
    #: Where its pilots can be seen.
    schedd: str
    pool: Pool
    lease_seconds: float = LEASE_SECONDS


class Mirroring:
    """The mirrors of one factory's group, as its loop sees them."""

    def __init__(self, *, database: Database, own: Identity, pace: Pace, stack: ExitStack) -> None:
        self._database = database
        self._own = own
        self._pace = pace
        self._stack = stack
        self._permit: Permit | None = None
        self._sessions: dict[str, Session] = {}
        #: What was found in the queue of a silent one before, and when its schedd is asked again.
        self._found: dict[str, Mapping[Place, Holding]] = {}
        self._ask_at: dict[str, datetime] = {}

    def read(self) -> Reading:
        """The others, as they stand."""
        with self._database.read() as connection:
            return mirror_store.read(connection, self._own.group, own=self._own.name)

    def pilots_before(self) -> int:
        """How many pilots this one wrote down last, in this run or an earlier one."""
        with self._database.read() as connection:
            known = mirror_store.mirrors(connection, self._own.group)
        own = (mirror.holdings.values() for mirror in known if mirror.name == self._own.name)
        return sum(holding.alive for holdings in own for holding in holdings)

    def held(self, reading: Reading, *, before: Reading, now: datetime) -> Mirrored:
        """What the others hold; ``before`` was read ahead of the snapshot."""
        return mirrored(self._own.name, reading, before=before, now=now)

    def write_down(
        self,
        snapshot: Snapshot,
        decision: Decision,
        configuration: Configuration,
        *,
        expect: int,
        now: datetime,
    ) -> Permit | None:
        """Write down what this one holds, with what it decided to submit, and be allowed to submit it.

        Until its queue was seen whole once there is nothing to write down, nor to submit: None. ``expect`` is
        the version of the group that was read. Raises Overtaken when others hold more since; Conflict while
        another process runs under this name.
        """
        is_first = self._permit is None
        if is_first and not snapshot.pilots.complete:
            return None
        own = self._own
        # A queue may look empty when its schedd started anew, which only a later cycle can tell.
        is_sure = snapshot.pilots.complete and not decision.frozen
        granted: Counter[Place] = Counter()
        for action in decision.actions:
            if isinstance(action, SubmitPilots):
                granted[(action.entry, action.vo)] += action.count
        joined = decision.memory.joined
        seen = holdings_of(snapshot, configuration, joined=joined, now=now, pace=self._pace)
        walltimes = {name: entry.walltime_seconds for name, entry in configuration.entries.items()}
        mirror = Mirror(
            name=own.name,
            holder=own.holder,
            schedd=own.schedd,
            collector=own.pool.collector,
            expires_at=now + timedelta(seconds=own.lease_seconds),
            counted_at=snapshot.pilots.taken_at if is_sure else None,
            is_able=not decision.frozen,
            holdings=with_granted(seen, granted, walltimes=walltimes),
            version=0,
        )
        with self._database.begin() as connection:
            self._permit = mirror_store.write(
                connection,
                own.group,
                mirror,
                expect=expect if granted else None,
                keeps=is_first or not is_sure,
                now=now,
            )
        return self._permit

    def look_after_silent(
        self, reading: Reading, snapshot: Snapshot, configuration: Configuration, *, now: datetime
    ) -> None:
        """Count the pilots of silent mirrors in their own queues, where those can be seen.

        A schedd that restarted may answer with an empty list: of two answers in a row the larger counts.
        """
        for mirror in reading.others:
            if not mirror.is_silent(now) or not mirror.holdings:
                self._found.pop(mirror.name, None)
            elif now >= self._ask_at.get(mirror.name, now):
                pilots = observe_pilots(self._session(mirror), schedd=mirror.schedd, factory_name=mirror.name)
                if not pilots.complete:
                    self._ask_at[mirror.name] = now + timedelta(seconds=self._own.lease_seconds)
                    log.warning("action=look-after mirror=%s failed=%s", mirror.name, pilots.error)
                    continue
                self._recount(mirror, pilots, snapshot, configuration, now=now)

    def _recount(
        self,
        mirror: Mirror,
        pilots: Observation[Pilot],
        snapshot: Snapshot,
        configuration: Configuration,
        *,
        now: datetime,
    ) -> None:
        theirs = replace(snapshot, pilots=pilots, submissions=())
        joined = frozenset(slot.pilot_id for slot in snapshot.slots.items)
        found = holdings_of(theirs, configuration, joined=joined, now=now, pace=self._pace)
        before = self._found.get(mirror.name)
        self._found[mirror.name] = found
        if before is None:
            return
        try:
            with self._database.begin() as connection:
                holdings = larger(found, before)
                mirror_store.recount(connection, self._own.group, mirror, holdings, at=pilots.taken_at)
        except Conflict as error:
            # It lives again, or another one looked: what was written then stands.
            log.info("action=look-after mirror=%s spared=%s", mirror.name, error)

    def leave(self, *, now: datetime) -> None:
        """This one ends; the others look after its pilots from now on."""
        if self._permit is not None:
            with self._database.begin() as connection:
                mirror_store.leave(connection, self._permit, now=now)

    def _session(self, mirror: Mirror) -> Session:
        if mirror.collector not in self._sessions:
            pool = replace(self._own.pool, collector=mirror.collector, timeout_seconds=_PATIENCE_SECONDS)
            self._sessions[mirror.collector] = self._stack.enter_context(Session(pool))
        return self._sessions[mirror.collector]


def overtaken(decision: Decision) -> Decision:
    """The decision without its submissions: others took pilots each time that it was made."""
    why = "mirrors took pilots in the same moment: the next cycle goes on"
    rows = (
        replace(row, allowed=0, limit=Limit.CYCLE, detail=why) if row.allowed else row
        for row in decision.rows
    )
    actions = (action for action in decision.actions if not isinstance(action, SubmitPilots))
    return replace(decision, actions=tuple(actions), rows=tuple(rows))


def holdings_of(
    snapshot: Snapshot, configuration: Configuration, *, joined: frozenset[str], now: datetime, pace: Pace
) -> dict[Place, Holding]:
    """What the pilots of a snapshot, and those on their way into the queue, take up. Pure."""
    rooms = rooms_of(snapshot, configuration, joined=joined, now=now, pace=pace)
    coming = Counter((room.entry, room.vo) for room in rooms if 0 < room.rank < LATE)
    found = {}
    for place, states in count_pilots(snapshot).items():
        entry = configuration.entries.get(place[0])
        found[place] = Holding.of(
            states,
            coming=coming[place],
            walltime_seconds=None if entry is None else entry.walltime_seconds,
        )
    return found
