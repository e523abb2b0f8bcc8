"""Batches of results from remote agents, kept once each, however many come at the same time.

Whoever comes while a batch is being written waits, and the next write takes all that waited: the lake gets a
few large commits instead of many small ones. A batch is answered for only when it is in the lake. An agent
that got no answer sends its batch again, under the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opengoc.base.errors import Conflict, GocError, InvalidInput, Temporary
from opengoc.base.ids import canonical_json, digest
from opengoc.monitoring import store
from opengoc.monitoring.current import follow
from opengoc.monitoring.expectation import Key
from opengoc.monitoring.model import ProbeResult, Target
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.lake import Lake

_LOG = logging.getLogger(__name__)

#: An agent's clock may be ahead of ours by this much.
AHEAD = timedelta(minutes=5)
#: A result may come late by this much. An agent whose clock began in 1970 would else make its metric expected
#: ever since, and its silence MISSING in every report that was published.
BEHIND = timedelta(days=366)
#: How often the facts of status are brought along.
_FOLLOW_SECONDS = 10.0
#: Results that one write takes at most.
_TOGETHER = 50_000
#: Faults of a batch that are told.
_TOLD = 10


def check(results: Sequence[ProbeResult], offers: Callable[[Target], bool], *, now: datetime) -> None:
    """Refuse a batch with a result from the future, from over a year ago, or about a service nobody offers.

    Raises InvalidInput with the first faults and their places: all of a batch is taken, or nothing.
    """
    faults = []
    for place, result in enumerate(results):
        if result.at > now + AHEAD:
            faults.append(f"results.{place}.at: lies in the future: check the agent's clock")
        elif result.at < now - BEHIND:
            faults.append(f"results.{place}.at: lies more than a year back: check the agent's clock")
        elif not offers(result.target):
            faults.append(f"results.{place}: the registry knows no service {result.target}")
        if len(faults) == _TOLD:
            break
    if faults:
        raise InvalidInput("results", f"{len(faults)} fault(s)", "; ".join(faults))


@dataclass(eq=False)
class _Waiting:
    agent: str
    batch: str
    results: Sequence[ProbeResult]
    fingerprint: str
    done: threading.Event = field(default_factory=threading.Event)
    new: bool = False
    error: Exception | None = None


class Intake:
    """The one door through which results from elsewhere come into a house."""

    def __init__(self, lake: Lake, database: Database, *, who: str, clock: Callable[[], datetime]) -> None:
        store.declare(lake)
        self._lake, self._database, self._who, self._clock = lake, database, who, clock
        self._waiting: list[_Waiting] = []
        self._writing = threading.Lock()
        self._queue = threading.Lock()
        self._touched: dict[Key, datetime] = {}
        self._followed = time.monotonic() - _FOLLOW_SECONDS
        self._following = threading.Lock()

    def take(self, agent: str, batch: str, results: Sequence[ProbeResult], fingerprint: str) -> bool:
        """Keep a batch; False when it was in already. Threads may call it at the same time.

        ``fingerprint``: of the batch as it was sent. Raises Conflict for an id that came with other content,
        Temporary when it cannot be kept now.
        """
        mine = _Waiting(agent, batch, results, fingerprint)
        with self._queue:
            self._waiting.append(mine)
        while not mine.done.is_set():
            with self._writing:
                if not mine.done.is_set():
                    self._write(self._next())
        if mine.error is not None:
            raise mine.error
        return mine.new

    def _next(self) -> list[_Waiting]:
        with self._queue:
            taken, count = [], 0
            while self._waiting and count < _TOGETHER:
                taken.append(self._waiting.pop(0))
                count += len(taken[-1].results)
            return taken

    def _write(self, several: Sequence[_Waiting]) -> None:
        failure: GocError = Temporary("the results were not written: see the log; send them again")
        kept: Sequence[ProbeResult] = ()
        try:
            fresh = self._unseen(several)
            self._keep(fresh)
            kept = [result for each in fresh for result in each.results]
            for each in fresh:
                each.new = True
            failed: Sequence[_Waiting] = ()
        except GocError as error:
            failure, failed = error, several
        except BaseException:
            failed = several
            raise
        finally:
            for each in failed:
                each.error = each.error or failure
            for each in several:
                each.done.set()
        self._touch(kept)

    def _keep(self, fresh: Sequence[_Waiting]) -> None:
        if not fresh:
            return
        # The same batches make the same name: written again after a crash, they go in once.
        names = sorted([each.agent, each.batch] for each in fresh)
        store.keep(
            self._lake,
            self._database,
            [result for each in fresh for result in each.results],
            batch_id=f"results/{digest(canonical_json(names))}",
            known_at=self._clock(),
            who=self._who,
        )
        with self._database.begin() as conn:
            for each in fresh:
                ledger.saw(conn, _source(each.agent), each.batch, each.fingerprint)

    def _unseen(self, several: Sequence[_Waiting]) -> list[_Waiting]:
        """Those that are new; a batch that came twice at once counts once."""
        fresh: dict[tuple[str, str], _Waiting] = {}
        with self._database.read() as conn:
            for each in several:
                key = (each.agent, each.batch)
                known = ledger.fingerprint(conn, _source(each.agent), each.batch)
                if known is None and key in fresh:
                    known = fresh[key].fingerprint
                if known is None:
                    fresh[key] = each
                elif known != each.fingerprint:
                    each.error = Conflict(f"batch {each.batch} came before with other results: use a new id")
        return list(fresh.values())

    def _touch(self, results: Sequence[ProbeResult]) -> None:
        """Note what the facts of status are to follow, and let them, beside the next writes."""
        for result in results:
            key = (result.resource, result.service, result.metric)
            self._touched[key] = min(result.at, self._touched.get(key, result.at))
        due = time.monotonic() - self._followed >= _FOLLOW_SECONDS
        if not self._touched or not due or not self._following.acquire(blocking=False):
            return
        touched, self._touched = self._touched, {}
        # A daemon: what it leaves undone when the process ends follows with the next results.
        threading.Thread(target=self._follow, args=(touched,), name="follow", daemon=True).start()

    def _follow(self, touched: Mapping[Key, datetime]) -> None:
        try:
            follow(
                self._lake,
                self._database,
                touched,
                since=min(touched.values()),
                known_at=self._clock(),
                who=self._who,
            )
        except GocError as error:
            # The results are kept, and the facts follow with the next batch about them.
            _LOG.warning("action=follow-results failed: %s", error)
        finally:
            self._followed = time.monotonic()
            self._following.release()


def _source(agent: str) -> str:
    return f"results/{agent}"
