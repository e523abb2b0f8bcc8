"""Old answers as they go out: made once, compressed once, kept as long as what they are made of holds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from opengoc.base.instant import utc_now
from opengoc.registry.live import LiveRegistry
from opengoc.web.answer import Answer
from opengoc.web.myosg.catalog import Catalog
from opengoc.web.myosg.filters import Filters
from opengoc.web.myosg.persons import Persons

#: So many bytes of answers are kept; the whole registry under one filter is 2 MB.
_KEPT_BYTES = 64 * 1024 * 1024

_XML = "text/xml; charset=utf-8"
_JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Address:
    """How an old address is answered."""

    media_type: str
    #: The part of the catalog that it shows: the answer holds as long as that is the same object.
    part: Callable[[Catalog], object]
    text: Callable[[Catalog, Filters, datetime], str]
    filtered: bool = True
    #: Whether the passing of time changes it.
    timely: bool = False

    def answer(self, catalog: Catalog, filters: Filters, now: datetime) -> Answer:
        """The answer at ``now``."""
        until = catalog.next_change(filters, now) if self.timely else None
        return Answer(self.text(catalog, filters, now).encode(), self.media_type, until)


def _whole(media_type: str, text: Callable[[Catalog], str]) -> Address:
    """An address that takes no filters."""
    return Address(media_type=media_type, part=text, text=lambda catalog, *_: text(catalog), filtered=False)


ADDRESSES: dict[str, Address] = {
    "/rgsummary/xml": Address(
        media_type=_XML, part=Catalog.groups, text=lambda catalog, f, _: catalog.resource_summary(f)
    ),
    "/rgdowntime/xml": Address(
        media_type=_XML, part=Catalog.downtimes, text=Catalog.downtime_summary, timely=True
    ),
    "/rgdowntime/ical": Address(
        media_type="text/calendar; charset=utf-8", part=Catalog.downtimes, text=Catalog.calendar, timely=True
    ),
    "/vosummary/xml": Address(
        media_type=_XML, part=Catalog.vos, text=lambda catalog, f, _: catalog.vo_summary(f)
    ),
    "/miscproject/xml": _whole(_XML, Catalog.projects),
    "/miscproject/json": _whole(_JSON, Catalog.projects_json),
    "/vosummary/json": _whole(_JSON, Catalog.vos_json),
    "/api/resource_group_summary": _whole(_JSON, Catalog.groups_json),
    "/miscsite/json": _whole(_JSON, Catalog.sites_json),
    "/miscfacility/json": _whole(_JSON, Catalog.facilities_json),
    "/miscresource/json": _whole(_JSON, Catalog.resources_json),
}


@dataclass
class _Kept:
    answer: Answer
    made_of: object
    #: The last version of the registry for which it was seen to hold.
    version: int


class Answers:
    """The old answers over one registry. Threads may share it."""

    def __init__(self, live: LiveRegistry, clock: Callable[[], datetime] = utc_now) -> None:
        self._live = live
        self.clock = clock
        #: Held while something is made: others wait for it instead of making it, too.
        self._making = threading.Lock()
        self._version = 0
        self._catalog: Catalog | None = None
        self._kept: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()
        self._bytes = 0

    def answer(self, path: str, filters: Filters, now: datetime) -> Answer:
        """What the address answers to the public at ``now``."""
        registry, version = self._live.current()
        key = (path, filters.key)
        with self._making:
            if self._catalog is None or version > self._version:
                self._catalog, self._version = Catalog(registry, before=self._catalog), version
            catalog, address, kept = self._catalog, ADDRESSES[path], self._kept.get(key)
            if kept is not None and kept.version != self._version:
                if kept.made_of is address.part(catalog):
                    kept.version = self._version
                else:
                    self._forget(key)
                    kept = None
            if kept is None or (kept.answer.until is not None and now >= kept.answer.until):
                self._forget(key)
                made_of = address.part(catalog)
                kept = _Kept(address.answer(catalog, filters, now), made_of, self._version)
                self._keep(key, kept)
            else:
                self._kept.move_to_end(key)
            return kept.answer

    def named(self, path: str, filters: Filters, now: datetime, persons: Persons) -> Answer:
        """What the address answers to one who may see persons; never kept."""
        registry, _ = self._live.current()
        return ADDRESSES[path].answer(Catalog(registry, persons), filters, now)

    def prepare(self) -> None:
        """Have every whole answer ready, in every coding, before it is asked for."""
        for path in ADDRESSES:
            self.answer(path, Filters(), self.clock()).prepare()

    def _forget(self, key: tuple[object, ...]) -> None:
        old = self._kept.pop(key, None)
        self._bytes -= len(old.answer.body) if old else 0

    def _keep(self, key: tuple[object, ...], kept: _Kept) -> None:
        self._kept[key] = kept
        self._bytes += len(kept.answer.body)
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))
