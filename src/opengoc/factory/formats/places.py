"""The registry as foreign entries are looked up in it: by name of a resource, and by host. Pure."""

from __future__ import annotations

from opengoc.factory.configuration import COMPUTE_ELEMENT
from opengoc.registry.snapshot import Registry


def resource_names(registry: Registry) -> dict[str, str]:
    """Names of resources: each by its own name, and by the hosts of those that offer a CE."""
    hosts: dict[str, str] = {}
    for name, resource in sorted(registry.resources.items()):
        if resource.in_use and resource.offers(COMPUTE_ELEMENT):
            for host in (resource.fqdn, *resource.aliases):
                hosts.setdefault(host.lower(), name)
    return hosts | {name: name for name in registry.resources}
