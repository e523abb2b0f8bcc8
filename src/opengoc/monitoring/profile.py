"""A/R profiles: how results become states and states become availability and reliability, as data.

Profiles are versioned: a published figure names profile and version, and a change of a rule is a new version.

Sources: ``argo-egi`` follows the compute engine of ARGO with the operations profile of EGI; ``rsv-osg``
follows the status and availability calculation of RSV at the OSG operations center; ``sam-wlcg`` is ARGO's
calculation as WLCG asks for it: compute and storage are the functions of a site, and a VO names the tests
that count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.base.ids import canonical_json, digest
from opengoc.monitoring.model import Status
from opengoc.registry.downtime import NOTICE_EGI, Downtime, DowntimeClass

OK, WARNING, CRITICAL = Status.OK, Status.WARNING, Status.CRITICAL
UNKNOWN, MISSING, DOWNTIME, EXCLUDED = Status.UNKNOWN, Status.MISSING, Status.DOWNTIME, Status.EXCLUDED


@dataclass(frozen=True)
class Precedence:
    """A truth table over states: of all children the state that stands first here wins.

    EXCLUDED is the identity: it wins only where there is nothing else.
    """

    #: Strongest first; every state but EXCLUDED exactly once.
    order: tuple[Status, ...]

    def __post_init__(self) -> None:
        if len(self.order) != len(Status) - 1 or set(self.order) != set(Status) - {EXCLUDED}:
            raise InvalidInput("precedence", self.order, "needs every state but EXCLUDED exactly once")


@dataclass(frozen=True, kw_only=True)
class FreshFor:
    """A result stands for a fixed time, or until the next result of the metric."""

    seconds: int
    #: An UNKNOWN result is ignored while a fresh result that knows stands.
    ignore_unknown: bool
    #: The state where no result stands.
    absent: Status


@dataclass(frozen=True, kw_only=True)
class CarriedDaily:
    """A result stands until the next one; a UTC day starts in the last state of the day before.

    A day without any result is ``absent`` from 00:00 on, and so is the start of a day after such a day.
    """

    absent: Status


@dataclass(frozen=True, kw_only=True)
class DowntimeRule:
    """Which downtimes lay over an endpoint."""

    #: Downtimes that leave the service up, at risk, do not count.
    outages_only: bool
    #: Only downtimes announced this long before they begin count; None: whenever announced.
    notice: timedelta | None

    def counts(self, downtime: Downtime) -> bool:
        """Whether this downtime lays over anything. A cancelled one never does.

        The class is derived from announcement and start; the claimed class serves only where the source does
        not say when the downtime was announced.
        """
        if downtime.cancelled or (self.outages_only and not downtime.is_outage):
            return False
        if self.notice is None:
            return True
        derived = downtime.derived_class(self.notice) or downtime.claimed_class
        return derived is DowntimeClass.SCHEDULED


class Quirk(StrEnum):
    """Named ways in which a peer departs from the exact rules; for conformance only."""

    #: RSV: after a downtime without a change of status inside it, the status is that of the next change or,
    #: where none follows, the one at the start of the window; not the one before the downtime.
    RESTORE_FOREIGN_STATUS = "restore-foreign-status"
    #: ARGO: a day is sampled in 288 slots of five minutes.
    FIVE_MINUTE_SLOTS = "five-minute-slots"
    #: ARGO: several days are the mean of their fractions, divided with 0.00000001 added; a federation's days
    #: are averaged too.
    MEAN_OF_DAYS = "mean-of-days"


class Layer(StrEnum):
    """Which of a node's two timelines a formula counts."""

    MEASURED = "measured"
    #: With downtimes laid over.
    OVERLAID = "overlaid"


@dataclass(frozen=True, kw_only=True)
class Formula:
    """100 × seconds in ``up`` / (T − seconds in ``left_out``); undefined where that divides by 0."""

    layer: Layer
    up: frozenset[Status]
    left_out: frozenset[Status]


@dataclass(frozen=True, kw_only=True)
class Level:
    """One step from endpoints up to the site."""

    name: str
    #: Labels of the children that make one node: of ``site``, ``resource``, ``service``, ``function``.
    group_by: tuple[str, ...]
    table: Precedence


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One way to compute A/R, complete."""

    name: str
    version: int
    standing: FreshFor | CarriedDaily
    #: Metrics → endpoint.
    endpoint: Precedence
    #: Endpoint → … → site; the last level is the site.
    levels: tuple[Level, ...]
    downtimes: DowntimeRule
    availability: Formula
    reliability: Formula
    #: Service kind → function; a kind that is not named is a function of its own.
    functions: Mapping[str, str] = field(default_factory=dict)
    #: Service kind → metrics that count (``ce-job`` stands for ``ce-job:ENTRY``, too); services that are not
    #: named do not count at all. None: whatever is expected counts.
    tests: Mapping[str, tuple[str, ...]] | None = None
    #: Percent of availability and of reliability that a site owes; None: no target.
    targets: tuple[float, float] | None = None
    #: Added to the weight of every site of a federation, so that a site of weight 0 counts.
    weight_offset: int = 0
    quirks: frozenset[Quirk] = frozenset()

    def counts(self, service: str, metric: str) -> bool:
        """Whether a metric of a service counts under this profile."""
        if self.tests is None:
            return True
        named = self.tests.get(service, ())
        return metric in named or metric.partition(":")[0] in named

    @cached_property
    def digest(self) -> str:
        """SHA-256 of every rule: two profiles that differ in any have different ones."""
        return digest(canonical_json(_plain(self)))


def _plain(value: Any) -> Any:
    """A rule as JSON values, the kind of each rule included."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "rule": type(value).__name__,
            **{item.name: _plain(getattr(value, item.name)) for item in fields(value)},
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.total_seconds() if isinstance(value, timedelta) else value


_UP = frozenset({OK, WARNING})
_NOT_KNOWN = frozenset({UNKNOWN, MISSING, EXCLUDED})

_ARGO_AND = Precedence((CRITICAL, DOWNTIME, MISSING, UNKNOWN, WARNING, OK))
_ARGO_OR = Precedence((OK, WARNING, CRITICAL, UNKNOWN, DOWNTIME, MISSING))

ARGO_EGI = Profile(
    name="argo-egi",
    version=1,
    standing=CarriedDaily(absent=MISSING),
    endpoint=_ARGO_AND,
    levels=(
        Level(name="service", group_by=("site", "service"), table=_ARGO_OR),
        Level(name="function", group_by=("site", "function"), table=_ARGO_OR),
        Level(name="site", group_by=("site",), table=_ARGO_AND),
    ),
    # EGI: a downtime is scheduled when announced 24 hours ahead; unscheduled ones and AT_RISK are not used.
    downtimes=DowntimeRule(outages_only=True, notice=NOTICE_EGI),
    availability=Formula(layer=Layer.OVERLAID, up=_UP, left_out=_NOT_KNOWN),
    reliability=Formula(layer=Layer.OVERLAID, up=_UP, left_out=_NOT_KNOWN | {DOWNTIME}),
    weight_offset=1,
    # EGI's operational level agreement with its sites.
    targets=(80.0, 85.0),
)

#: For comparison with figures that ARGO published.
ARGO_AS_BUILT = replace(
    ARGO_EGI, name="argo-egi-as-built", quirks=frozenset({Quirk.FIVE_MINUTE_SLOTS, Quirk.MEAN_OF_DAYS})
)

_COMPUTE, _STORAGE = "compute", "storage"
SAM_WLCG = replace(
    ARGO_EGI,
    name="sam-wlcg",
    # The memorandum of understanding of WLCG, Tier-2 centres.
    targets=(95.0, 95.0),
    functions={
        **dict.fromkeys(("CE", "GRAM-CE", "CREAM-CE", "ARC-CE", "HTCondor-CE"), _COMPUTE),
        **dict.fromkeys(("GridFtp", "SRM", "SRMv1", "SRMv2", "WebDAV"), _STORAGE),
        **dict.fromkeys(("XRootD component", "XRootD origin server", "XRootD cache server"), _STORAGE),
    },
)

_RSV_SERVICE = Precedence((CRITICAL, DOWNTIME, UNKNOWN, MISSING, WARNING, OK))

RSV_OSG = Profile(
    name="rsv-osg",
    version=1,
    standing=FreshFor(seconds=28_800, ignore_unknown=True, absent=UNKNOWN),
    endpoint=_RSV_SERVICE,
    levels=(
        Level(name="resource", group_by=("site", "resource"), table=_RSV_SERVICE),
        Level(name="site", group_by=("site",), table=_RSV_SERVICE),
    ),
    downtimes=DowntimeRule(outages_only=False, notice=None),
    # RSV counts what it does not know as down: nothing that was expected is left out of T.
    availability=Formula(layer=Layer.MEASURED, up=_UP, left_out=frozenset({EXCLUDED})),
    reliability=Formula(layer=Layer.OVERLAID, up=_UP | {DOWNTIME}, left_out=frozenset({EXCLUDED})),
)

#: For comparison with figures that RSV published.
RSV_AS_BUILT = replace(RSV_OSG, name="rsv-osg-as-built", quirks=frozenset({Quirk.RESTORE_FOREIGN_STATUS}))

PROFILES: Mapping[str, Profile] = {
    p.name: p for p in (ARGO_EGI, ARGO_AS_BUILT, SAM_WLCG, RSV_OSG, RSV_AS_BUILT)
}


def profile(name: str) -> Profile:
    """The profile of this name. Raises InvalidInput."""
    if name not in PROFILES:
        raise InvalidInput("profile", name, f"is none of {', '.join(sorted(PROFILES))}")
    return PROFILES[name]
