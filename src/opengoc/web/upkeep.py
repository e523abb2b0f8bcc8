"""What has to be done while the pages are served, without anybody asking.

The old answers are made ready, due mail is sent, published A/R reports are reviewed, gaps of the
usage records are looked for, usage is summed up, files of the lake are joined and old ones removed.

Every chore is safe to repeat and to kill, and one that fails is tried again at the next round.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opengoc.app import House
from opengoc.base.errors import GocError
from opengoc.base.instant import utc_now
from opengoc.flows import availability, completeness, lakekeeping, mail
from opengoc.flows.availability import Centre
from opengoc.web.myosg.answers import Answers

_LOG = logging.getLogger(__name__)

#: Who asks right after the start is answered before the chores begin.
_SETTLE_SECONDS = 3.0
_COMPACT_EVERY = timedelta(days=1)
_SUMMARISE_EVERY = timedelta(minutes=5)
_LOOK_FOR_GAPS_EVERY = timedelta(minutes=10)


@dataclass
class Upkeep:
    """The thread that does the chores every ``interval_seconds``."""

    house: House
    #: Whole answers of the old addresses, to be ready before they are asked for; None: there are none.
    answers: Answers | None = None
    interval_seconds: float = 60.0
    _gaps_at: datetime | None = field(default=None, init=False)
    _compacted_at: datetime | None = field(default=None, init=False)
    _summarised_at: datetime | None = field(default=None, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the chore under way; a mail half sent is claimed again by the next process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def once(self, now: datetime) -> None:
        """One round."""
        if self.answers is not None:
            self.answers.prepare()
        settings = self.house.settings.mail
        if settings is not None:
            mail.deliver(self.house.database, mail.MailServer.parse(settings.smtp))
        availability.review(Centre.of(self.house.database, self.house.lake), now=now)
        if self._gaps_at is None or now - self._gaps_at >= _LOOK_FOR_GAPS_EVERY:
            sources = self.house.accounting_sources()
            completeness.review(self.house.database, self.house.lake, sources, now=now)
            self._gaps_at = now
        place = lakekeeping.Place(home=self.house.home, database=self.house.database, lake=self.house.lake)
        if self._compacted_at is None or now - self._compacted_at >= _COMPACT_EVERY:
            for table in self.house.lake.tables():
                lakekeeping.compact(place, table)
                lakekeeping.vacuum(place, table)
            self._compacted_at = now
        if self._summarised_at is None or now - self._summarised_at >= _SUMMARISE_EVERY:
            lakekeeping.summarise(place)
            self._summarised_at = now

    def _run(self) -> None:
        self._stop.wait(min(_SETTLE_SECONDS, self.interval_seconds))
        while not self._stop.is_set():
            try:
                self.once(utc_now())
            except GocError as error:
                _LOG.warning("action=upkeep failed: %s", error)
            self._stop.wait(self.interval_seconds)
