"""The registry as it was known at moments gone by: the last few states that were asked for stay in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime

from opengoc.registry.kept import Kept
from opengoc.registry.reading import read_facts, snapshot
from opengoc.registry.snapshot import Registry
from opengoc.registry.tree import KINDS
from opengoc.store import facts
from opengoc.store.database import Database

#: States kept; what they have in common is there once.
_MOST = 16


class PastRegistries:
    """One a process; threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._kept = Kept()
        self._states: OrderedDict[tuple[int, int], Registry] = OrderedDict()

    def at(self, known_at: datetime) -> Registry:
        """The registry as known at a moment, as ``load_registry`` gives it.

        Moments between which nothing was learned share a state, and history that is imported later makes
        another one. Raises Temporary when the database is locked or away.
        """
        with self._lock, self._database.read() as conn:
            state = facts.state_of_knowledge(conn, KINDS, known_at=known_at)
            registry = self._states.get(state)
            if registry is None:
                registry = snapshot(read_facts(conn, known_at), known_at, self._kept)
                self._states[state] = registry
                if len(self._states) > _MOST:
                    self._states.popitem(last=False)
            self._states.move_to_end(state)
        return registry if registry.known_at == known_at else replace(registry, known_at=known_at)
