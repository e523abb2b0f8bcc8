"""Attributes that requirements name and nobody supplies: a clause over them decides nothing. Pure.

What entries supply is known: such a clause is a fault. What jobs supply is known of those that were there of
late alone: a plan warns of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opengoc.factory.check import dead_clauses
from opengoc.factory.entries import Entry
from opengoc.factory.faults import Fault
from opengoc.factory.model import Payload
from opengoc.factory.policy import Policy, fault_of


def unsupplied_by_entries(policy: Policy, entries: Sequence[Entry]) -> tuple[Fault, ...]:
    """Every place where a VO names an attribute that no entry has; none where there is no entry.

    A disabled entry counts: it may come back.
    """
    if not entries:
        return ()
    supplied = {name for entry in entries for name in entry.values()}
    return tuple(
        fault_of(vo, own.line, dead)
        for vo, own in policy.own.items()
        for dead in dead_clauses(own.written, "entry", supplied)
    )


def unsupplied_by_jobs(
    policy: Policy, payloads: Iterable[Payload], *, fetched: Iterable[str]
) -> tuple[str, ...]:
    """Every place where a VO names an attribute that none of its jobs has, in words.

    ``fetched`` are the attributes that jobs were asked for: of others nothing is known. VOs without a job
    are left out.
    """
    jobs: dict[str, set[str]] = {}
    for payload in payloads:
        jobs.setdefault(payload.vo, set()).update(payload.attributes)
    declared = policy.vocabulary.job.values()
    unknown = {each.name for each in declared} - set(fetched)
    with_default = {each.name for each in declared if each.default is not None}
    return tuple(
        f"{vo}, requirements, {dead.at}: {dead.part}: no recent job of {vo} has it, and it has no default"
        for vo, own in policy.own.items()
        if vo in jobs
        for dead in dead_clauses(own.written, "job", jobs[vo] | unknown | with_default)
    )
