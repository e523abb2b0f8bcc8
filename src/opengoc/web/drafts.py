"""The report of the week that runs, built at most once in a while however many people look."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opengoc.app import House
from opengoc.base.instant import utc_now
from opengoc.base.interval import week_name
from opengoc.flows.publication import draft
from opengoc.reports.model import Report

#: A draft is shown for so long before it is built anew; it says itself as of when it is.
_KEEP = timedelta(seconds=30)


@dataclass
class Drafts:
    """Drafts by week."""

    house: House
    _kept: dict[str, tuple[datetime, Report]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def of(self, week: str) -> Report:
        """The draft of a week, seconds old at most. Raises InvalidInput for no week."""
        with self._lock:
            now = utc_now()
            built, report = self._kept.get(week, (None, None))
            if report is None or built is None or now - built > _KEEP:
                report = draft(self.house.report_stores(), week, as_of=now, now=now)
                self._kept = {week: (now, report)} | {
                    name: kept for name, kept in self._kept.items() if name != week and now - kept[0] <= _KEEP
                }
            return report

    def this_week(self) -> Report:
        """The draft of the week that runs."""
        return self.of(week_name(utc_now()))
