"""Rules about limits that contradict each other, or what the site is asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opengoc.factory.formats import convert
from opengoc.factory.formats.foreign import ForeignEntry, ForeignLimits, whole_number
from opengoc.factory.lint_scene import Hit, Scene

CAPS = ("glideins", "idle", "held")
_ARC_WALLTIME = re.compile(r"<WallTime>\s*(\d+)\s*</WallTime>")
_SECONDS_PER_MINUTE = 60


def no_numbers(scene: Scene) -> Iterator[Hit]:
    """A cap that is not given, or is no number of 0 or more."""
    for entry in scene.entries:
        if entry.per_entry is None:
            yield Hit(entry=entry, value="no per_entry", advice="say how many pilots it may have")
        for limits in entry.limits:
            for cap in CAPS:
                number = limits.cap(cap)
                if number is None or number < 0:
                    given = repr(limits.caps[cap]) if cap in limits.caps else "not given"
                    yield _hit(entry, limits, f"{cap} {given}")


def zeros(scene: Scene) -> Iterator[Hit]:
    """An entry that may have no pilot."""
    for entry in scene.entries:
        for limits in (entry.per_entry, entry.default_per_frontend):
            for cap in ("glideins", "idle"):
                if limits is not None and limits.cap(cap) == 0:
                    yield _hit(entry, limits, f"{cap} 0")


def over_total(scene: Scene, cap: str) -> Iterator[Hit]:
    """A cap on a part of the pilots above the cap on all of them."""
    for entry in scene.entries:
        for limits in entry.limits:
            part, total = limits.cap(cap), limits.cap("glideins")
            if part is not None and total is not None and part > total:
                yield _hit(entry, limits, f"{cap} {part} > glideins {total}")


def frontends_over_entry(scene: Scene) -> Iterator[Hit]:
    """A cap on one frontend above that of the whole entry."""
    for entry in scene.entries:
        if entry.per_entry is None:
            continue
        for limits in entry.limits:
            for cap in CAPS if limits is not entry.per_entry else ():
                one, whole = limits.cap(cap), entry.per_entry.cap(cap)
                if one is not None and whole is not None and one > whole >= 0:
                    yield _hit(entry, limits, f"{cap} {one} > per_entry {cap} {whole}")


def walltimes(scene: Scene) -> Iterator[Hit]:
    """The site is asked for less time than the pilot believes to have."""
    for entry in scene.entries:
        believed = whole_number(entry.value(convert.WALLTIME))
        minutes = whole_number(entry.submit_value("+maxWallTime"))
        asked = minutes * _SECONDS_PER_MINUTE if minutes is not None else None
        if arc := _ARC_WALLTIME.search(entry.submit_value("arc_resources")):
            asked = int(arc[1])
        if believed is not None and asked is not None and asked < believed:
            yield _disagreement(entry, convert.WALLTIME, believed, asked, "s")


def memories(scene: Scene) -> Iterator[Hit]:
    """The site is asked for less memory than the pilot advertises."""
    for entry in scene.entries:
        advertised = whole_number(entry.value(convert.MEMORY))
        asked = whole_number(entry.submit_value("+maxMemory"))
        if advertised is not None and asked is not None and asked < advertised:
            yield _disagreement(entry, convert.MEMORY, advertised, asked, "MiB")


def cores(scene: Scene) -> Iterator[Hit]:
    """The site is asked for fewer cores than the pilot advertises."""
    for entry in scene.entries:
        advertised = whole_number(entry.value(convert.CORES))
        asked = whole_number(entry.submit_value("+xcount", "request_cpus", "RequestCpus"))
        if advertised is not None and asked is not None and asked < advertised:
            yield _disagreement(entry, convert.CORES, advertised, asked, "cores")


def _disagreement(entry: ForeignEntry, attribute: str, said: int, asked: int, unit: str) -> Hit:
    found = entry.attribute(attribute)
    value = f"{attribute} {said} {unit}, and the site is asked for {asked} {unit}"
    return Hit(entry=entry, line=found.line if found else 0, value=value)


def _hit(entry: ForeignEntry, limits: ForeignLimits, value: str) -> Hit:
    return Hit(entry=entry, line=limits.line, value=f"{limits.scope}: {value}")
