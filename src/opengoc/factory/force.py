"""What is in force: the applied configuration, and what earlier ones that still have pilots decided by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy import Connection

from opengoc.base.errors import Permanent
from opengoc.factory.applied import Applied, applied_now, log_of
from opengoc.factory.bundles import Bundles
from opengoc.factory.configuration import Configuration

#: START by entry and VO.
Starts = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Force:
    """What is in force."""

    applied: Applied
    configuration: Configuration
    #: Digest of each earlier bundle → its STARTs; None where the bundle is lost. Its pilots drain.
    former: Mapping[str, Starts | None]

    def start_of(self, digest: str, entry: str, vo: str) -> str | None:
        """The START that a pilot of this digest was sent with; None where nobody knows."""
        starts = self._starts if digest == self.configuration.digest else self.former.get(digest)
        return (starts or {}).get(entry, {}).get(vo)

    @cached_property
    def _starts(self) -> Starts:
        return self.configuration.starts()

    def knows(self, digest: str) -> bool:
        """Whether pilots were ever sent under this digest by an apply."""
        return digest == self.configuration.digest or digest in self.former


def in_force(conn: Connection, bundles: Bundles, factory: str) -> Force:
    """What is in force. Raises Permanent before the first apply, and where the bundle does not stand."""
    applied = applied_now(conn, factory)
    if applied is None:
        raise Permanent(
            "no entries and policy are in force yet: `goc factory plan` shows what the files would do, "
            "`goc factory apply` puts them in force"
        )
    configuration = bundles.load(applied.digest)
    digests = {each.digest for each in log_of(conn, factory)} - {applied.digest}
    former = {digest: bundles.starts(digest) for digest in sorted(digests)}
    return Force(
        applied=applied,
        configuration=replace(configuration, alike=_alike(configuration, former)),
        former=former,
    )


def _alike(
    configuration: Configuration, former: Mapping[str, Starts | None]
) -> frozenset[tuple[str, str, str]]:
    """(digest, entry, VO) of earlier pilots that decide as those sent now: they need not be replaced."""
    now = configuration.starts()
    return frozenset(
        (digest, entry, vo)
        for digest, starts in former.items()
        for entry, by_vo in (starts or {}).items()
        for vo, start in by_vo.items()
        if now.get(entry, {}).get(vo) == start
    )
