"""The registry as it stands, in memory, brought up to date by the change feed: nothing is read twice."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from opengoc.registry.kept import Kept
from opengoc.registry.reading import read_facts, snapshot
from opengoc.registry.snapshot import Registry
from opengoc.registry.tree import KINDS
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.facts import Fact

#: Versions read from the feed at once.
_STEP = 5000


class LiveRegistry:
    """One a process; threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._stored: dict[str, Mapping[str, Fact]] = {}
        self._kept = Kept()
        self._registry: Registry | None = None
        #: Number of the last version of the feed that was looked at.
        self._head = -1
        #: Grows with every change of the registry itself.
        self._version = 0

    def current(self) -> tuple[Registry, int]:
        """The registry with everything committed before this call, and its version in this process.

        Costs one small query where nothing changed, else what the change touches; all else stays the very
        objects that it was. Raises Temporary when the database is locked or away.
        """
        with self._lock, self._database.read() as conn:
            head = facts.head(conn)
            if self._registry is None:
                self._stored = dict(read_facts(conn, None))
                self._take(snapshot(self._stored, None, self._kept), head)
            elif head != self._head:
                changed: list[Fact] = []
                after = self._head
                while some := facts.changes(conn, after=after, limit=_STEP, kinds=KINDS):
                    changed += some
                    after = some[-1].seq
                if changed:
                    self._take(self._changed(changed), head)
                self._head = head
            assert self._registry is not None
            return self._registry, self._version

    def _take(self, registry: Registry, head: int) -> None:
        self._registry, self._head, self._version = registry, head, self._version + 1

    def _changed(self, changed: list[Fact]) -> Registry:
        for kind in {fact.kind for fact in changed}:
            entries = dict(self._stored[kind])
            for fact in changed:
                if fact.kind == kind:
                    entries[fact.key] = fact
            self._stored[kind] = {key: fact for key, fact in entries.items() if fact.value is not None}
        return snapshot(self._stored, None, self._kept)
