"""The report of the week that runs, built at most once in a while however many people look."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opengoc.app import House
from opengoc.base.instant import utc_now
from opengoc.base.interval import week_name
from opengoc.flows.publication import draft
from opengoc.registry.live import LiveRegistry
from opengoc.registry.past import PastRegistries
from opengoc.reports.model import Report

#: A draft is shown for so long before it is built anew; it says itself as of when it is.
_KEEP = timedelta(seconds=30)
#: A draft that took long is shown for so many times as long: building takes a tenth of the time at most.
_KEEP_TIMES = 9
#: Nobody is shown an older one, not even while a new one is being built.
_OLDEST = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class _Kept:
    built_at: datetime
    until: datetime
    report: Report


@dataclass
class Drafts:
    """Drafts by week."""

    house: House
    live: LiveRegistry
    past: PastRegistries
    _kept: dict[str, _Kept] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def of(self, week: str) -> Report:
        """The draft of a week, minutes old at most. Raises InvalidInput for no week.

        One at a time builds; who looks meanwhile is shown the draft before, and waits where there is none.
        """
        now, kept = utc_now(), self._kept.get(week)
        if kept is not None and now < kept.until:
            return kept.report
        if not self._lock.acquire(blocking=kept is None or now - kept.built_at > _OLDEST):
            assert kept is not None
            return kept.report
        try:
            # Another may have built it while this one waited.
            now, kept = utc_now(), self._kept.get(week)
            if kept is None or now >= kept.until:
                kept = self._build(week, now)
            return kept.report
        finally:
            self._lock.release()

    def this_week(self) -> Report:
        """The draft of the week that runs."""
        return self.of(week_name(utc_now()))

    def _build(self, week: str, now: datetime) -> _Kept:
        begun = time.monotonic()
        stores = self.house.report_stores(self.live.current()[0], self.past)
        report = draft(stores, week, as_of=now, now=now)
        took = timedelta(seconds=time.monotonic() - begun)
        built = _Kept(built_at=now, until=now + took + max(_KEEP, took * _KEEP_TIMES), report=report)
        self._kept = {week: built} | {
            name: each for name, each in self._kept.items() if name != week and now < each.until
        }
        return built
