"""Probe ``supported-vos``: the VOs that a compute element lets in, against those it is to let in.

Asked of the site's information system: the rules of its GLUE 2 policies (GLUE 2.0, section 5.9, ``VO:cms``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.ldap import PORT, search
from opengoc.monitoring.probes.network import connected, failed
from opengoc.registry.model import ANY_VO

METRIC = "supported-vos"
_RULE = "GLUE2PolicyRule"


@dataclass(frozen=True, kw_only=True)
class SupportedVosProbe:
    """Compares what an information system says with the registry."""

    host: str
    port: int = PORT
    base: str = "o=glue"
    #: AllowedVOs of the resource.
    allowed: frozenset[str]

    def run(self, timeout_seconds: float, /) -> Finding:
        """Bind and search."""
        try:
            with connected(self.host, self.port, timeout_seconds) as connection:
                entries = search(connection, self.base, [_RULE], object_class="GLUE2Policy")
                rules = [rule for entry in entries for rule in entry.get(_RULE, ())]
        except OSError as error:
            return failed(f"{self.host}:{self.port}", error)
        return judge(rules, self.allowed)


def judge(rules: Iterable[str], allowed: frozenset[str]) -> Finding:
    """What the published rules say: a VO too many is a hole, one too few a fault."""
    supported = {
        rule.partition(":")[2].strip().casefold() for rule in rules if rule[:3].casefold() in ("vo:",)
    }
    if not supported:
        return Finding(status=Status.UNKNOWN, summary="no policy names a VO")
    wanted = {vo.casefold() for vo in allowed} - {vo.casefold() for vo in ANY_VO}
    too_many = supported - wanted if not allowed & ANY_VO and allowed else set()
    too_few = wanted - supported
    if too_many:
        said = f"lets in VOs that the registry does not allow: {', '.join(sorted(too_many))}"
        return Finding(status=Status.CRITICAL, summary=said)
    if too_few:
        return Finding(status=Status.WARNING, summary=f"does not let in: {', '.join(sorted(too_few))}")
    return Finding(status=Status.OK, summary=f"lets in {', '.join(sorted(supported))}")
