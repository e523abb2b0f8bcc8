"""Looking at the grid while the pages are served: one thread looks, every page shows the last look.

A daemon that does not answer makes a look slow and incomplete; it never makes a page slow. A page says when
its look was taken and what did not answer.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime

from opengoc.app import House
from opengoc.base.errors import GocError
from opengoc.base.instant import utc_now
from opengoc.condor.session import Session
from opengoc.factory.model import PayloadState, PilotState, Snapshot
from opengoc.factory.observe import observe

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Look:
    """The grid at one moment."""

    taken_at: datetime
    #: None: nothing could be asked, and ``faults`` says why.
    snapshot: Snapshot | None
    #: What did not answer, and why.
    faults: tuple[str, ...] = ()

    def jobs(self) -> Mapping[tuple[str, PayloadState], int] | None:
        """Payload jobs by (VO, state); None while a queue did not answer: unknown is not zero."""
        if self.snapshot is None or not all(queue.complete for queue in self.snapshot.queues):
            return None
        return Counter((job.vo, job.state) for job in self.snapshot.payloads)

    def pilots(self) -> Mapping[tuple[str, PilotState], int] | None:
        """Pilots by (entry, state); None while the factory's queue did not answer."""
        if self.snapshot is None or not self.snapshot.pilots.complete:
            return None
        return Counter((pilot.entry, pilot.state) for pilot in self.snapshot.pilots.items)

    def joined(self) -> int | None:
        """Pilots whose startd is in the pool; None while the collector did not answer."""
        if self.snapshot is None or not self.snapshot.slots.complete:
            return None
        return len({slot.pilot_id for slot in self.snapshot.slots.items})


def look(house: House, sessions: tuple[Session, Session]) -> Look:
    """Ask the pool and the factory's schedd once."""
    pool, factory = sessions
    snapshot = observe(
        pool=pool,
        schedds=house.pool_settings(house.factory.pool).schedds,
        factory=factory,
        factory_schedd=house.factory.schedd,
        factory_name=house.factory.name,
        job_attributes=(),
        submissions=(),
    )
    faults = tuple(f"{each.source}: {each.error}" for each in snapshot.observations if not each.complete)
    return Look(taken_at=utc_now(), snapshot=snapshot, faults=faults)


@dataclass
class Watch:
    """The thread that looks every ``interval_seconds``; ``latest`` is always there."""

    house: House
    interval_seconds: float = 10.0
    latest: Look = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.latest = Look(taken_at=utc_now(), snapshot=None, faults=("the first look is under way",))

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for the look under way no longer than its queries' own deadline."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        if self.house.settings.factory is None:
            # Said without the path of the settings: pages are public.
            none_here = "queues and pool, for no factory is set up here"
            self.latest = Look(taken_at=utc_now(), snapshot=None, faults=(none_here,))
            return
        with ExitStack() as stack:
            try:
                house = self.house
                sessions = (
                    stack.enter_context(Session(house.pool(house.factory.pool))),
                    stack.enter_context(Session(house.factory_pool())),
                )
            except GocError as error:
                self.latest = Look(taken_at=utc_now(), snapshot=None, faults=(str(error),))
                return
            while not self._stop.is_set():
                try:
                    self.latest = look(self.house, sessions)
                except GocError as error:
                    _LOG.warning("action=look failed: %s", error)
                    self.latest = Look(taken_at=utc_now(), snapshot=None, faults=(str(error),))
                self._stop.wait(self.interval_seconds)
