"""What the operator's files say now, for the guard: read anew when they, or the registry, changed."""

from __future__ import annotations

from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.factory.bundles import Sources
from opengoc.factory.configuration import check_configuration, known_resources
from opengoc.factory.guard import SourceState
from opengoc.registry.snapshot import Registry

#: So many faults are named in a finding.
_FEW = 3


class SourceWatch:
    """Looks at the files in every cycle, and reads them only when something changed."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._seen: Any = None
        self._state = SourceState(digest="")

    def look(self, registry: Registry) -> SourceState:
        """The digest of the files as they are, or their faults."""
        seen = (self._stamps(), known_resources(registry))
        if seen != self._seen:
            self._state = self._read(registry)
            self._seen = seen
        return self._state

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        stamps: list[tuple[int, int, int] | None] = []
        for file in (self._sources.entries, self._sources.policy):
            try:
                status = file.stat()
            except OSError:
                stamps.append(None)
            else:
                stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return stamps

    def _read(self, registry: Registry) -> SourceState:
        try:
            configuration, faults = check_configuration(self._sources.entries, self._sources.policy, registry)
        except InvalidInput as error:
            return SourceState(digest="", faults=str(error))
        found = [f"{file.name} {fault}" for file, several in faults.items() for fault in several]
        if found:
            more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
            return SourceState(digest="", faults="; ".join(found[:_FEW]) + more)
        return SourceState(digest=configuration.digest)
