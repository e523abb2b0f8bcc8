"""A small registry for tests: two CEs at ALPHA, a CE and an SE at BETA."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from opengoc.registry.downtime import Downtime
from opengoc.registry.model import Facility, Resource, ResourceGroup, Service, Site
from opengoc.registry.snapshot import Registry


def resource(name: str, site: str, kind: str = "CE", endpoint: str = "", *, active: bool = True) -> Resource:
    return Resource(
        id=f"r-{name}",
        name=name,
        group=site,
        site=site,
        fqdn=f"{name.lower()}.example.org",
        services=(Service(kind=kind, endpoint=endpoint),),
        active=active,
    )


RESOURCES = (
    resource("alpha-ce1", "ALPHA", endpoint="alpha-ce1.example.org:9619"),
    resource("alpha-ce2", "ALPHA", active=False),
    resource("beta-ce", "BETA"),
    resource("beta-se", "BETA", "XRootD component"),
)


def registry(downtimes: Iterable[Downtime] = (), resources: Iterable[Resource] = RESOURCES) -> Registry:
    held: dict[str, Any] = {item.name: {} for item in fields(Registry)}
    held |= {
        "known_at": None,
        "facilities": {"U": Facility(id="f", name="U")},
        "sites": {name: Site(id=name, name=name, facility="U") for name in ("ALPHA", "BETA")},
        "groups": {name: ResourceGroup(id=name, name=name, site=name) for name in ("ALPHA", "BETA")},
        "resources": {r.name: r for r in resources},
        "downtimes": {downtime.id: downtime for downtime in downtimes},
    }
    return Registry(**held)
