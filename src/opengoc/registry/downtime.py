"""Downtimes: announced intervals in which services of a resource are down or at risk.

Pure: ``now`` is an argument. A change, however late, is a new version of the same downtime; class and state
are derived, never edited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import require_utc
from opengoc.base.interval import Interval
from opengoc.registry.model import check_name

#: Notice that makes a downtime scheduled: EGI's operations procedures ask for 24 hours, OSG's for 48.
NOTICE_EGI = timedelta(hours=24)
NOTICE_OSG = timedelta(hours=48)


class Severity(StrEnum):
    """How much of the service is gone, in OSG Topology's words."""

    OUTAGE = "Outage"
    SEVERE = "Severe"
    INTERMITTENT = "Intermittent Outage"
    NO_OUTAGE = "No Significant Outage Expected"

    @property
    def at_risk(self) -> bool:
        """Whether the service stays up with interruptions; otherwise all or most of it is down."""
        return self in (Severity.INTERMITTENT, Severity.NO_OUTAGE)


class DowntimeClass(StrEnum):
    """Whether users were warned in time."""

    SCHEDULED = "SCHEDULED"
    UNSCHEDULED = "UNSCHEDULED"


class DowntimeState(StrEnum):
    """Where a downtime stands in its life at a moment."""

    PLANNED = "planned"
    ACTIVE = "active"
    ENDED = "ended"
    #: Withdrawn: none of its time counts as downtime, before or after the withdrawal.
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Downtime:
    """One version of an announced downtime of one resource."""

    id: str
    #: Name of the resource, and its id where the registry knows the resource.
    resource: str
    resource_id: str | None = None
    #: Kinds of the services affected.
    services: tuple[str, ...]
    #: Always with an end: an open downtime is announced up to a guess and extended.
    interval: Interval
    severity: Severity
    description: str = ""
    #: When it was announced; None: the source does not say.
    declared_at: datetime | None = None
    #: Class as the announcer gave it; see ``derived_class`` for what it was.
    claimed_class: DowntimeClass | None = None
    #: When it was withdrawn; None: it stands.
    cancelled_at: datetime | None = None
    #: Shared by the downtimes that one announcement made: several resources, or services at several times.
    announcement: str | None = None

    def __post_init__(self) -> None:
        check_name("downtime", self.id)
        where = f"downtime {self.id}"
        if not self.services or len(set(self.services)) != len(self.services):
            raise InvalidInput(f"{where}: services", list(self.services), "needs one or more, each once")
        if self.interval.end is None:
            raise InvalidInput(f"{where}: end", None, "needs an end; a downtime can be extended later")
        for name in ("declared_at", "cancelled_at"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, require_utc(moment, f"{where}: {name}"))

    @property
    def cancelled(self) -> bool:
        """Whether it was withdrawn."""
        return self.cancelled_at is not None

    @property
    def is_outage(self) -> bool:
        """Whether it stands and takes its services down: no pilot is sent there."""
        return not self.cancelled and not self.severity.at_risk

    def state(self, now: datetime) -> DowntimeState:
        """Where it stands at ``now``; [start, end) is active."""
        if self.cancelled:
            return DowntimeState.CANCELLED
        if now < self.interval.start:
            return DowntimeState.PLANNED
        return DowntimeState.ACTIVE if now in self.interval else DowntimeState.ENDED

    def derived_class(self, notice: timedelta = NOTICE_OSG) -> DowntimeClass | None:
        """The class that follows from announcement and start: scheduled when ``notice`` or more lies between.

        None when the source does not say when it was announced.
        """
        if self.declared_at is None:
            return None
        in_time = self.interval.start - self.declared_at >= notice
        return DowntimeClass.SCHEDULED if in_time else DowntimeClass.UNSCHEDULED


@dataclass(frozen=True, kw_only=True)
class Part:
    """What an announcement says of one resource: these services are down then."""

    resource: str
    #: Empty: all that the resource offers.
    services: tuple[str, ...] = ()
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class QuarantinedDowntime:
    """A downtime of a tree that nobody can act on, e.g. one that ends before it starts: kept, and shown."""

    id: str
    #: Name of the resource group whose file holds it.
    group: str
    #: File of the tree.
    file: str
    reasons: tuple[str, ...]
    #: The entry as the tree gives it.
    entry: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
