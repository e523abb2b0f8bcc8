"""Old answers as they go out: made once a version of the registry, compressed once, known by their hash."""

from __future__ import annotations

import gzip
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b

from opengoc.registry.live import LiveRegistry
from opengoc.web.myosg.catalog import Catalog
from opengoc.web.myosg.filters import Filters
from opengoc.web.myosg.persons import Persons

#: So many bytes of answers are kept; the whole registry under one filter is 2 MB.
_KEPT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """One document."""

    body: bytes
    media_type: str
    #: The first moment at which the passing of time changes it; None: time does not.
    until: datetime | None = None

    @cached_property
    def tag(self) -> str:
        """Hash of the content: the same for every process and after every restart."""
        return blake2b(self.body, digest_size=16).hexdigest()

    @cached_property
    def compressed(self) -> bytes:
        """The body as gzip, without a time in it."""
        return gzip.compress(self.body, compresslevel=4, mtime=0)


class Answers:
    """The old answers over one registry. Threads may share it."""

    def __init__(self, live: LiveRegistry) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._version = 0
        self._catalog: Catalog | None = None
        self._kept: OrderedDict[tuple[object, ...], Answer] = OrderedDict()
        self._bytes = 0

    def answer(self, path: str, filters: Filters, now: datetime) -> Answer:
        """What the address answers to the public at ``now``."""
        catalog = self._current()
        key = (path, filters.key)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and catalog is self._catalog and (kept.until is None or now < kept.until):
                self._kept.move_to_end(key)
                return kept
        answer = make(path, catalog, filters, now)
        with self._lock:
            if catalog is self._catalog:
                self._keep(key, answer)
        return answer

    def named(self, path: str, filters: Filters, now: datetime, persons: Persons) -> Answer:
        """What the address answers to one who may see persons; never kept."""
        registry, _ = self._live.current()
        return make(path, Catalog(registry, persons), filters, now)

    def _current(self) -> Catalog:
        registry, version = self._live.current()
        with self._lock:
            if self._catalog is None or version > self._version:
                self._catalog = Catalog(registry, before=self._catalog)
                self._version = version
                self._kept.clear()
                self._bytes = 0
            return self._catalog

    def _keep(self, key: tuple[object, ...], answer: Answer) -> None:
        old = self._kept.pop(key, None)
        self._bytes += len(answer.body) - (len(old.body) if old else 0)
        self._kept[key] = answer
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.body)


_XML = "text/xml; charset=utf-8"
_JSON = "application/json"

Maker = Callable[[Catalog, Filters, datetime], str]
#: Address → (how its text is made, its media type, whether time changes it).
MAKERS: dict[str, tuple[Maker, str, bool]] = {
    "/rgsummary/xml": (lambda catalog, filters, _: catalog.resource_summary(filters), _XML, False),
    "/rgdowntime/xml": (lambda catalog, filters, now: catalog.downtimes(filters, now), _XML, True),
    "/rgdowntime/ical": (
        lambda catalog, filters, now: catalog.calendar(filters, now),
        "text/calendar; charset=utf-8",
        True,
    ),
    "/vosummary/xml": (lambda catalog, filters, _: catalog.vo_summary(filters), _XML, False),
    "/miscproject/xml": (lambda catalog, *_: catalog.projects(), _XML, False),
    "/miscsite/json": (lambda catalog, *_: _json(catalog.site_trees()), _JSON, False),
    "/miscfacility/json": (lambda catalog, *_: _json(catalog.facility_trees()), _JSON, False),
    "/miscresource/json": (lambda catalog, *_: _json(catalog.resource_trees()), _JSON, False),
}
#: Addresses that take no filters: one answer each.
UNFILTERED = frozenset(path for path in MAKERS if path.startswith("/misc"))


def make(path: str, catalog: Catalog, filters: Filters, now: datetime) -> Answer:
    """The answer of an address."""
    maker, media_type, timely = MAKERS[path]
    until = catalog.next_change(filters, now) if timely else None
    return Answer(maker(catalog, filters, now).encode(), media_type, until)


def _json(trees: object) -> str:
    return json.dumps(trees, sort_keys=True)
