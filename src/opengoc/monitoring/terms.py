"""What decides a state besides results and downtimes: when something counts, and requests to recompute.

Pure. Spans are seconds since 1970-01-01T00:00:00Z, half-open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.monitoring.model import MEASURED, Endpoint, Status
from opengoc.monitoring.timeline import Spans

#: Before the first and after the last second that anything is computed for.
BEGINNING, FOREVER = -(1 << 60), 1 << 60
ALWAYS: Spans = ((BEGINNING, FOREVER),)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to recompute: in this interval the state is as said here, whatever the probes said.

    EXCLUDED takes the time out of the count; another state is put in the place of what was measured. The
    narrowest of several requests holds, of equally narrow ones the one made last.
    """

    id: str
    interval: Interval
    status: Status
    #: Whom it is about; empty: all. A request names the site or the resource at least.
    site: str = ""
    resource: str = ""
    service: str = ""
    metric: str = ""
    who: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        where = f"recomputation {self.id}"
        if self.status not in MEASURED | {Status.EXCLUDED}:
            raise InvalidInput(f"{where}: status", self.status.value, "must be a probe's answer or EXCLUDED")
        if not self.site and not self.resource:
            raise InvalidInput(where, "", "must name a site or a resource")
        if self.interval.end is None:
            raise InvalidInput(f"{where}: end", None, "needs an end")

    @property
    def span(self) -> tuple[int, int]:
        """[start, end) in seconds."""
        assert self.interval.end is not None
        return int(self.interval.start.timestamp()), int(self.interval.end.timestamp())

    @property
    def narrowness(self) -> int:
        """How many of site, resource, service and metric it names."""
        return sum(map(bool, (self.site, self.resource, self.service, self.metric)))

    def concerns(self, endpoint: Endpoint) -> bool:
        """Whether it is about this endpoint, or one of its metrics."""
        names = (self.site, self.resource, self.service)
        said = (endpoint.site, endpoint.resource, endpoint.service)
        return all(not name or name == other for name, other in zip(names, said, strict=True))


@dataclass(frozen=True, kw_only=True)
class Terms:
    """When one endpoint counts, when each of its metrics does, and what was asked to be recomputed."""

    #: When the endpoint stands at its site.
    present: Spans = ALWAYS
    #: When each metric is expected; a metric that is not named is expected throughout.
    expected: Mapping[str, Spans] = field(default_factory=dict)
    #: The stronger ones last.
    requests: tuple[Request, ...] = ()


THROUGHOUT = Terms()
