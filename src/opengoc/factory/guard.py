"""The guard: does what runs agree with what was applied? Pure, and run in every cycle.

1. Files, configuration in force and submitted pilots have one digest, or an earlier one that drains.
2. Every startd has a digest that is in force or drains, and the START that was rendered for it.
3. Every running job may run behind its entry, by the policy in force.

What is found was seen, not missed: it is acted on even when another part of the snapshot is incomplete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from opengoc.factory.finding import OF_ENDS, Action, Finding, FindingKind
from opengoc.factory.force import Force
from opengoc.factory.model import (
    Payload,
    PayloadState,
    Pilot,
    PilotState,
    RemovePilot,
    Slot,
    Snapshot,
    StopStartd,
)
from opengoc.factory.rules import is_allowed
from opengoc.factory.starts import CLOSED, WHOLE, same_start, same_tree


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """What the operator's files say now."""

    #: Their digest; empty where they cannot be read or have faults.
    digest: str
    faults: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the guard found and wants done."""

    findings: tuple[Finding, ...] = ()
    stops: tuple[RemovePilot | StopStartd, ...] = ()
    #: Entry → why it gets no more pilots.
    pauses: Mapping[str, str] = field(default_factory=dict)


def guard(
    snapshot: Snapshot,
    force: Force,
    source: SourceState,
    *,
    factory: str,
    changed: Collection[str] = (),
) -> Verdict:
    """Compare what is there with what is in force, for the factory of this name.

    ``changed`` are jobs that were seen to change.
    """
    pilots = {pilot.id: pilot for pilot in snapshot.pilots.items}
    findings = [*_source(force, source), *_pilots(snapshot, force)]
    as_rendered: set[str] = set()
    for slot in snapshot.slots.items:
        # Another factory may serve the same pool: what says that it is of that one is left to it.
        is_stray = snapshot.pilots.complete and slot.factory in ("", factory)
        found = _slot(slot, force, is_ours=slot.pilot_id in pilots, is_stray=is_stray)
        if found is None:
            as_rendered.add(slot.pilot_id)
        else:
            findings.append(found)
    findings += _jobs(snapshot, force, pilots, as_rendered, changed)
    return Verdict(
        findings=tuple(findings),
        stops=tuple(_stops(findings, snapshot, pilots)),
        pauses={
            each.entry: f"{each.kind.value}: {each.subject}"
            for each in findings
            if each.action in (Action.STOP_AND_PAUSE, Action.PAUSE) and each.entry
        },
    )


def _source(force: Force, source: SourceState) -> Iterator[Finding]:
    in_force = force.configuration.digest
    if source.digest == in_force:
        return
    said = f"digest {source.digest[:12]}" if source.digest else f"faults: {source.faults}"
    yield Finding(
        kind=FindingKind.SOURCE,
        subject="files",
        action=Action.ALARM,
        evidence=f"in force {in_force[:12]}, the files have {said}",
        digest=source.digest,
    )


def _pilots(snapshot: Snapshot, force: Force) -> Iterator[Finding]:
    for pilot in snapshot.pilots.items:
        is_there = pilot.state in (PilotState.IDLE, PilotState.RUNNING, PilotState.HELD)
        if is_there and not force.knows(pilot.digest):
            yield Finding(
                kind=FindingKind.PILOT_DIGEST,
                subject=pilot.id,
                action=Action.STOP,
                evidence=f"job {pilot.job} has digest {pilot.digest[:12]}, which was never in force",
                entry=pilot.entry,
                vo=pilot.vo,
                digest=pilot.digest,
            )


def _slot(slot: Slot, force: Force, *, is_ours: bool, is_stray: bool) -> Finding | None:
    """What is wrong with a startd; None where it decides as it was told.

    ``is_stray``: if it is none of ours, it is nobody's.
    """
    vo = ",".join(slot.vos)
    rendered = force.start_of(slot.digest, slot.entry, vo)
    if not force.knows(slot.digest):
        kind = FindingKind.STARTD_DIGEST
        evidence = f"{slot.name} has digest {slot.digest[:12]}, which was never in force"
    elif rendered is None:
        kind = FindingKind.STARTD_DIGEST
        evidence = f"digest {slot.digest[:12]} of {slot.name} has no entry {slot.entry} for {vo}"
    else:
        kind, evidence = FindingKind.START, _wrong_start(slot, rendered, force)
    if not evidence:
        return None
    # A wrong START was made at the site: the next pilot there would get it as well.
    if kind is FindingKind.START:
        action = Action.STOP_AND_PAUSE if is_ours else Action.PAUSE
    elif is_ours:
        action = Action.STOP
    else:
        action = Action.TOLD if is_stray else Action.NOBODY
    return Finding(
        kind=kind,
        subject=slot.pilot_id,
        action=action,
        evidence=evidence,
        entry=slot.entry,
        vo=vo,
        digest=slot.digest,
    )


def _wrong_start(slot: Slot, rendered: str, force: Force) -> str:
    """What is wrong with START, in words; empty where nothing is."""
    job = force.configuration.policy.vocabulary.job
    # A startd that ends takes its START back; without one it accepts no job.
    if slot.start and not (same_tree(slot.start, WHOLE) or same_tree(slot.start, CLOSED)):
        return f"{slot.name} has Start = {slot.start}, not {WHOLE}"
    if not slot.policy_start or not same_start(slot.policy_start, rendered, job):
        return f"{slot.name} has GOC_Start = {slot.policy_start or 'nothing'}, not {rendered}"
    return ""


def _jobs(
    snapshot: Snapshot,
    force: Force,
    pilots: Mapping[str, Pilot],
    as_rendered: set[str],
    changed: Collection[str],
) -> Iterator[Finding]:
    known = force.configuration.entries
    running = [
        payload
        for payload in snapshot.payloads
        # Behind an entry that was taken away since, it was sent by an earlier digest and may end.
        if payload.state is PayloadState.RUNNING and payload.entry in known
    ]
    for payload, may_run in zip(running, is_allowed(force.configuration, running), strict=True):
        if not may_run:
            yield _job(
                payload,
                force,
                is_ours=payload.pilot_id in pilots,
                is_as_rendered=payload.pilot_id in as_rendered,
                is_changed=payload.id in changed,
            )


def _job(payload: Payload, force: Force, *, is_ours: bool, is_as_rendered: bool, is_changed: bool) -> Finding:
    kind = FindingKind.JOB
    if is_as_rendered and is_changed:
        # START may have let it in. Jobs change while they run: what they ask for, and by their users' hands.
        kind, action = FindingKind.JOB_CHANGED, Action.ALARM
    elif is_as_rendered and payload.digest != force.configuration.digest:
        # The policy changed: the entry's next pilots have the new one.
        action = Action.STOP if is_ours else Action.NOBODY
    # Even where START is as it was rendered: its startd may read the same text otherwise than this HTCondor.
    else:
        action = Action.STOP_AND_PAUSE if is_ours else Action.PAUSE
    values = ", ".join(f"{name} = {value!r}" for name, value in sorted(payload.attributes.items()))
    return Finding(
        kind=kind,
        subject=payload.id,
        action=action,
        evidence=f"runs in pilot {payload.pilot_id} behind {payload.entry}; the policy in force does not "
        f"allow it there ({values})",
        entry=payload.entry,
        vo=payload.vo,
        digest=payload.digest,
    )


def _stops(
    findings: list[Finding], snapshot: Snapshot, pilots: Mapping[str, Pilot]
) -> Iterator[RemovePilot | StopStartd]:
    """Each pilot, and each startd without one, once, with the first reason."""
    carriers = {payload.id: payload.pilot_id for payload in snapshot.payloads}
    seen: set[str] = set()
    for each in findings:
        if each.action not in (Action.STOP, Action.STOP_AND_PAUSE):
            continue
        pilot = pilots.get(carriers.get(each.subject, each.subject))
        if pilot is None or pilot.id in seen or pilot.state in (PilotState.COMPLETED, PilotState.REMOVED):
            continue
        seen.add(pilot.id)
        yield RemovePilot(pilot=pilot, reason=f"guard: {each.kind.value}")
    # Last: they may not obey, and only so many are stopped in one cycle.
    strays = {each.subject: each for each in findings if each.action is Action.TOLD}
    for slot in snapshot.slots.items:
        if (stray := strays.pop(slot.pilot_id, None)) is not None:
            yield StopStartd(slot=slot.name, entry=slot.entry, reason=f"guard: {stray.kind.value}")


def seen_whole(snapshot: Snapshot) -> frozenset[FindingKind]:
    """The kinds whose evidence the snapshot shows whole: what it does not show is over."""
    # The files, and what ended pilots left, are here.
    kinds = {FindingKind.SOURCE, *OF_ENDS}
    if snapshot.pilots.complete:
        kinds.add(FindingKind.PILOT_DIGEST)
    if snapshot.slots.complete:
        kinds |= {FindingKind.STARTD_DIGEST, FindingKind.START}
    if all(queue.complete for queue in snapshot.queues):
        kinds |= {FindingKind.JOB, FindingKind.JOB_CHANGED}
    return frozenset(kinds)
