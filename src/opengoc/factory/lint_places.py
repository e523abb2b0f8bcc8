"""Rules about where an entry leads: grid type, gatekeeper, and the registry's resource. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from opengoc.factory.configuration import known_resources
from opengoc.factory.formats import convert
from opengoc.factory.formats.foreign import ForeignEntry
from opengoc.factory.lint_scene import Hit, Scene

#: What the grid universe of HTCondor submits to
#: (https://htcondor.readthedocs.io/en/latest/grid-computing/grid-universe.html), first word.
_GRID_TYPES = frozenset({"arc", "azure", "batch", "condor", "ec2", "gce"})
#: Batch systems that its ``batch`` type has submit programs of (blahp).
_BATCH_SYSTEMS = frozenset({"condor", "kubernetes", "lsf", "nqs", "pbs", "sge", "slurm"})
#: Types that it had once.
_RETIRED = {
    "cream": "CREAM is gone: ask the site for its HTCondor-CE or ARC-CE",
    "gt2": "GRAM is gone: ask the site for its HTCondor-CE",
    "gt5": "GRAM is gone: ask the site for its HTCondor-CE",
    "nordugrid": "the GridFTP interface of ARC is gone: write arc, which speaks its REST interface",
    "unicore": "UNICORE is gone: ask the site for its HTCondor-CE",
}


def grid_types(scene: Scene) -> Iterator[Hit]:
    """A grid type that HTCondor does not know, or knows no more."""
    for entry in scene.entries:
        kind, _, system = entry.grid_type.partition(" ")
        is_known = kind in _GRID_TYPES and (kind != "batch" or system in _BATCH_SYSTEMS)
        if not is_known:
            yield Hit(entry=entry, value=entry.grid_type, advice=_RETIRED.get(kind, ""))


def gatekeepers(scene: Scene) -> Iterator[Hit]:
    """An HTCondor-CE that is not addressed by schedd and collector."""
    for entry in scene.entries:
        if entry.grid_type == "condor" and len(entry.gatekeeper.split()) != 2:
            yield Hit(entry=entry, value=entry.gatekeeper)


def unknown_resources(scene: Scene) -> Iterator[Hit]:
    """A resource that the registry does not know."""
    if scene.registry is None:
        return
    names = list(scene.registry.resources)
    for entry in scene.entries:
        name = entry.value(convert.RESOURCE)
        if not name or name in names:
            continue
        by_host = convert.resource_of(entry, scene.resources)
        alike = get_close_matches(name, names, n=1, cutoff=0.85)
        advice = ""
        if by_host:
            advice = f"{entry.hosts[0]} belongs to {by_host}, says the registry: write that"
        elif name in scene.registry.groups or name in scene.registry.sites:
            kind = "resource group" if name in scene.registry.groups else "site"
            advice = f"is a {kind} of the registry: name one of its resources"
        elif alike:
            advice = f"is {alike[0]} meant?"
        yield Hit(entry=entry, line=_line(entry), value=name, advice=advice)


def unusable_resources(scene: Scene) -> Iterator[Hit]:
    """A resource that takes no pilots."""
    known = known_resources(scene.registry) if scene.registry is not None else {}
    for entry in scene.entries:
        name = entry.value(convert.RESOURCE)
        if name in known and known[name].unusable:
            yield Hit(entry=entry, line=_line(entry), value=f"{name} {known[name].unusable}")


def other_hosts(scene: Scene) -> Iterator[Hit]:
    """A gatekeeper at a host that is not the resource's."""
    for entry in scene.entries:
        name = entry.value(convert.RESOURCE)
        resource = scene.registry.resources.get(name) if scene.registry is not None else None
        if resource is None or not entry.hosts:
            continue
        hosts = {host.lower() for host in (resource.fqdn, *resource.aliases)}
        if hosts.isdisjoint(entry.hosts):
            owner = next((scene.resources[host] for host in entry.hosts if host in scene.resources), "")
            value = f"{entry.hosts[0]}, and {name} is {resource.fqdn}"
            yield Hit(
                entry=entry,
                value=value,
                advice=f"{entry.hosts[0]} belongs to {owner}, says the registry" if owner else "",
            )


def _line(entry: ForeignEntry) -> int:
    found = entry.attribute(convert.RESOURCE)
    return found.line if found else 0
