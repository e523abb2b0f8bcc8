"""The registry as it stands, in memory, brought up to date by the change feed: nothing is read twice."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from opengoc.registry.downtime import Downtime
from opengoc.registry.reading import decoded, snapshot
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
        self._stored: dict[str, dict[str, Fact]] = {}
        self._registry: Registry | None = None
        #: Number of the last version of the feed that was looked at.
        self._head = -1
        #: Grows with every change of the registry itself.
        self._version = 0

    def current(self) -> tuple[Registry, int]:
        """The registry with everything committed before this call, and its version in this process.

        Costs one small query where nothing changed; a changed downtime costs that downtime, any other change
        a decoding of what is in memory. Raises Temporary when the database is locked or away.
        """
        with self._lock, self._database.read() as conn:
            head = facts.head(conn)
            if self._registry is None:
                stored = {kind: facts.standing(conn, kind) for kind in KINDS}
                self._stored = {kind: {f.key: f for f in found} for kind, found in stored.items()}
                self._take(snapshot(self._stored, None), head)
            elif head != self._head:
                changed: list[Fact] = []
                after = self._head
                while some := facts.changes(conn, after=after, limit=_STEP, kinds=KINDS):
                    changed += some
                    after = some[-1].seq
                if changed:
                    self._take(self._changed(self._registry, changed), head)
                self._head = head
            assert self._registry is not None
            return self._registry, self._version

    def _take(self, registry: Registry, head: int) -> None:
        self._registry, self._head, self._version = registry, head, self._version + 1

    def _changed(self, registry: Registry, changed: list[Fact]) -> Registry:
        for fact in changed:
            if fact.value is None:
                self._stored[fact.kind].pop(fact.key, None)
            else:
                self._stored[fact.kind][fact.key] = fact
        if {fact.kind for fact in changed} == {"downtime"}:
            return replace(registry, downtimes=self._downtimes(registry, changed))
        return snapshot(self._stored, None)

    def _downtimes(self, registry: Registry, changed: list[Fact]) -> Mapping[str, Downtime]:
        names = {resource.id: name for name, resource in registry.resources.items()}
        downtimes = dict(registry.downtimes)
        for fact in changed:
            if fact.value is None:
                downtimes.pop(fact.key, None)
                continue
            row = dict(fact.value)
            row["resource"] = names.get(row["resource_id"], row["resource"])
            downtimes[fact.key] = decoded("downtime", fact.key, row)
        return MappingProxyType(downtimes)
