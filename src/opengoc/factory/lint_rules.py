"""The rules of ``goc factory lint``, one row each, in the order that they are documented in.

What each means and why it hurts: docs/reference/glideinwms.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from opengoc.factory import lint_limits as limits
from opengoc.factory import lint_places as places
from opengoc.factory import lint_values as values
from opengoc.factory.formats import convert
from opengoc.factory.lint_scene import Hit, Level, Scene

__all__ = ["RULES", "Hit", "Level", "Rule", "Scene"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing to look at."""

    name: str
    level: Level
    #: What to do, where a finding does not say something better.
    advice: str
    check: Callable[[Scene], Iterator[Hit]]
    needs_registry: bool = False
    #: Whether a finding in a disabled entry counts like any other; else it is a note.
    of_disabled: bool = False


def _missing(name: str, attribute: str, advice: str) -> Rule:
    return Rule(
        name=f"missing-{name}",
        level=Level.ERROR,
        advice=advice,
        check=lambda scene: values.missing(scene, attribute),
    )


RULES: tuple[Rule, ...] = (
    Rule(
        name="duplicate-name",
        level=Level.ERROR,
        advice="remove one of them",
        check=values.duplicate_names,
        of_disabled=True,
    ),
    Rule(
        name="duplicate-attribute",
        level=Level.WARNING,
        advice="remove one: the last one counts",
        check=values.duplicate_attributes,
    ),
    Rule(
        name="attribute-types",
        level=Level.WARNING,
        advice="give it the type that the other entries give it",
        check=values.attribute_types,
    ),
    Rule(
        name="attribute-value",
        level=Level.ERROR,
        advice="write an integer, or another type",
        check=values.attribute_values,
    ),
    Rule(
        name="list-repeats",
        level=Level.WARNING,
        advice="name each once",
        check=values.list_repeats,
    ),
    Rule(
        name="list-blanks",
        level=Level.WARNING,
        advice="remove the blanks: not every reader of the list does",
        check=values.list_blanks,
    ),
    _missing("memory", convert.MEMORY, "say how much memory a pilot may use, in MiB"),
    _missing("site", convert.SITE, "name the site"),
    _missing("cores", convert.CORES, "say how many cores a pilot has: without it glideinWMS takes 1"),
    _missing("resource", convert.RESOURCE, "name the registry's resource: downtimes and usage go by it"),
    _missing("walltime", convert.WALLTIME, "say after how many seconds the site ends a pilot"),
    _missing("vos", convert.VOS, "name the VOs that it serves"),
    Rule(
        name="estimated-memory",
        level=Level.NOTE,
        advice="no job can be matched with it before a pilot is there: say how much, where it is known",
        check=values.estimated_memory,
    ),
    Rule(
        name="unknown-grid-type",
        level=Level.ERROR,
        advice="HTCondor submits to condor, arc and batch SYSTEM",
        check=places.grid_types,
    ),
    Rule(
        name="gatekeeper-form",
        level=Level.ERROR,
        advice='write "SCHEDD COLLECTOR:PORT"',
        check=places.gatekeepers,
    ),
    Rule(
        name="unknown-resource",
        level=Level.ERROR,
        advice="register it, or name another: no downtime of the site reaches this entry",
        check=places.unknown_resources,
        needs_registry=True,
    ),
    Rule(
        name="unusable-resource",
        level=Level.ERROR,
        advice="disable the entry, or mend the registry",
        check=places.unusable_resources,
        needs_registry=True,
    ),
    Rule(
        name="other-host",
        level=Level.WARNING,
        advice="name the resource that this host belongs to, or mend the registry",
        check=places.other_hosts,
        needs_registry=True,
    ),
    Rule(
        name="disabled",
        level=Level.NOTE,
        advice="enable it when the reason is gone, or remove it",
        check=values.disabled_with_reason,
        of_disabled=True,
    ),
    Rule(
        name="disabled-without-reason",
        level=Level.WARNING,
        advice="say why in its comment, or remove it",
        check=values.disabled_without_reason,
        of_disabled=True,
    ),
    Rule(
        name="limit-value",
        level=Level.ERROR,
        advice="write an integer of 0 or more",
        check=limits.no_numbers,
    ),
    Rule(
        name="limit-zero",
        level=Level.ERROR,
        advice="no pilot can be sent: disable the entry and say why, or raise the cap",
        check=limits.zeros,
    ),
    Rule(
        name="idle-over-total",
        level=Level.WARNING,
        advice="the idle cap can never bind: lower it, or raise glideins",
        check=lambda scene: limits.over_total(scene, "idle"),
    ),
    Rule(
        name="held-over-total",
        level=Level.WARNING,
        advice="the held cap can never bind: lower it, or raise glideins",
        check=lambda scene: limits.over_total(scene, "held"),
    ),
    Rule(
        name="frontend-over-entry",
        level=Level.WARNING,
        advice="a frontend's cap above the entry's can never bind: lower it",
        check=limits.frontends_over_entry,
    ),
    Rule(
        name="walltime-contradicts",
        level=Level.ERROR,
        advice="the site ends the pilot before it expects it: ask for as much as is advertised",
        check=limits.walltimes,
    ),
    Rule(
        name="memory-contradicts",
        level=Level.ERROR,
        advice="the site ends a pilot that uses what it advertises: ask for as much as is advertised",
        check=limits.memories,
    ),
    Rule(
        name="cores-contradict",
        level=Level.ERROR,
        advice="the pilot advertises cores that it was not given: ask for as many as are advertised",
        check=limits.cores,
    ),
)
