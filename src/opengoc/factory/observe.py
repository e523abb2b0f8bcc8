"""Asking HTCondor what waits, what runs and what is free; every answer says whether it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from opengoc.condor.classads import Ad, literal
from opengoc.condor.observation import Observation
from opengoc.condor.session import Session
from opengoc.factory.carried import Carried
from opengoc.factory.model import (
    Payload,
    PayloadState,
    Pilot,
    PilotState,
    Slot,
    Snapshot,
    Submission,
)

T = TypeVar("T")

# JobStatus: 1 idle, 2 running, 3 removed, 4 completed, 5 held, 6 transferring output, 7 suspended
# (https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html).
_PAYLOAD_STATES = {1: PayloadState.IDLE, 2: PayloadState.RUNNING, 6: PayloadState.RUNNING}
_PILOT_STATES = {
    1: PilotState.IDLE,
    2: PilotState.RUNNING,
    3: PilotState.REMOVED,
    4: PilotState.COMPLETED,
    5: PilotState.HELD,
    6: PilotState.RUNNING,
    7: PilotState.RUNNING,
}

#: Jobs that pilots can run: those of the vanilla universe, containers among them.
_PAYLOADS = "JobUniverse == 5 && (JobStatus == 1 || JobStatus == 2 || JobStatus == 6)"
# Where it runs: what SYSTEM_JOB_MACHINE_ATTRS has the schedd keep of the startd.
_WHERE = {
    "pilot_id": "MachineAttrGOC_PilotId0",
    "entry": "MachineAttrGLIDEIN_Entry_Name0",
    "digest": "MachineAttrGOC_Digest0",
}
_PAYLOAD_NAMES = ("ClusterId", "ProcId", "JobStatus", *_WHERE.values())

_PILOT_NAMES = (
    "ClusterId",
    "ProcId",
    "JobStatus",
    "EnteredCurrentStatus",
    "HoldReason",
    "HoldReasonCode",
    "HoldReasonSubCode",
    "NumSystemHolds",
    "ExitCode",
    "SUBMIT_Iwd",
    "GOC_PilotId",
    "GOC_Entry",
    "GOC_VO",
    "GOC_Digest",
)

#: What can still be claimed: dynamic slots are parts that are claimed already.
_SLOTS = 'GOC_PilotId isnt undefined && SlotType isnt "Dynamic"'
_SLOT_NAMES = (
    "Name",
    "State",
    "SlotType",
    "Cpus",
    "Memory",
    "GOC_PilotId",
    "GOC_VO",
    "GOC_Digest",
    "GOC_Accepting",
    "GLIDEIN_Entry_Name",
    "GLIDEIN_Factory",
    "NumDynamicSlots",
)
#: Of these the text counts, not what it comes to.
_SLOT_TEXTS = ("Start", "GOC_Start")


def observe(
    *,
    pool: Session,
    schedds: Sequence[str],
    factory: Session,
    factory_schedd: str,
    factory_name: str,
    job_attributes: Iterable[str],
    submissions: Sequence[Submission],
    carried: Carried | None = None,
) -> Snapshot:
    """The snapshot of now. Never raises for a daemon that does not answer: its part is incomplete then.

    With ``carried``, the attributes of a job that did not change are the object of the snapshot before.
    """
    carried = carried or Carried()
    carried.begin()
    asked = dict.fromkeys(("VO", *job_attributes))
    names = [*_PAYLOAD_NAMES, *(name for name in asked if name not in _PAYLOAD_NAMES)]
    # The pilots first, the pool after: a pilot that joins meanwhile is then seen twice, never missed.
    pilots = observe_pilots(factory, schedd=factory_schedd, factory_name=factory_name)
    queues = [(schedd, pool.jobs(schedd, _PAYLOADS, names)) for schedd in schedds]
    slots = observe_slots(pool)
    in_queue = {pilot.id for pilot in pilots.items}
    return Snapshot(
        queues=tuple(
            _each(queue, partial(_payload, schedd=schedd, carried=carried)) for schedd, queue in queues
        ),
        pilots=pilots,
        slots=slots,
        submissions=tuple(each for each in submissions if each.pilot_id not in in_queue),
    )


def observe_slots(pool: Session, pilots: Iterable[str] = ()) -> Observation[Slot]:
    """What the pilots of any factory offer in the pool; of ``pilots`` alone, when named. Never raises."""
    named = " || ".join(f"GOC_PilotId is {literal(each)}" for each in pilots)
    constraint = f"{_SLOTS} && ({named})" if named else _SLOTS
    return _each(pool.slots(constraint, _SLOT_NAMES, texts=_SLOT_TEXTS), _slot)


def observe_pilots(factory: Session, *, schedd: str, factory_name: str) -> Observation[Pilot]:
    """The pilots of a factory in its schedd's queue. Never raises, as ``observe``."""
    mine = f"GLIDEIN_Factory is {literal(factory_name)}"
    return _each(factory.jobs(schedd, mine, _PILOT_NAMES), _pilot)


def taken_up(pool: Session, pilots: Sequence[Pilot]) -> frozenset[str]:
    """Which of them joined the pool, of those that wait, or got a job, of those that run.

    All of them when the pool does not say. Never raises.
    """
    if not pilots:
        return frozenset()
    slots = observe_slots(pool, [pilot.id for pilot in pilots])
    joined = {slot.pilot_id for slot in slots.items}
    busy = {slot.pilot_id for slot in slots.items if slot.is_busy}
    return frozenset(
        pilot.id
        for pilot in pilots
        if not slots.complete or pilot.id in (joined if pilot.state is PilotState.IDLE else busy)
    )


def _each(found: Observation[Ad], read: Callable[[Ad], T]) -> Observation[T]:
    """The observation with its ads read; an ad that cannot be read makes it incomplete."""
    items: list[T] = []
    faults: list[str] = [found.error] if found.error else []
    for ad in found.items:
        try:
            items.append(read(ad))
        except (KeyError, TypeError, ValueError) as error:
            faults.append(f"an ad that cannot be read ({type(error).__name__}: {error})")
    return Observation(
        source=found.source,
        items=tuple(items),
        taken_at=found.taken_at,
        complete=not faults,
        error="; ".join(dict.fromkeys(faults)),
    )


def _payload(ad: Ad, *, schedd: str, carried: Carried) -> Payload:
    state = _PAYLOAD_STATES[ad["JobStatus"]]
    # One that waits again may still say where it ran.
    where = _WHERE if state is PayloadState.RUNNING else {}
    job = f"{schedd}#{ad['ClusterId']}.{ad['ProcId']}"
    return Payload(
        id=job,
        vo=str(ad.get("VO", "")),
        state=state,
        attributes=carried.carry(job, {name: ad[name] for name in ad if name not in _PAYLOAD_NAMES}),
        **{field: str(ad.get(name, "")) for field, name in where.items()},
    )


def _pilot(ad: Ad) -> Pilot:
    return Pilot(
        id=str(ad["GOC_PilotId"]),
        job=f"{ad['ClusterId']}.{ad['ProcId']}",
        entry=str(ad["GOC_Entry"]),
        vo=str(ad["GOC_VO"]),
        digest=str(ad["GOC_Digest"]),
        state=_PILOT_STATES[ad["JobStatus"]],
        since=datetime.fromtimestamp(ad["EnteredCurrentStatus"], UTC),
        hold_reason=str(ad.get("HoldReason", "")),
        hold_code=ad.get("HoldReasonCode"),
        hold_subcode=ad.get("HoldReasonSubCode"),
        holds=int(ad.get("NumSystemHolds", 0)),
        exit_code=ad.get("ExitCode"),
        folder=str(ad.get("SUBMIT_Iwd", "")),
    )


def _slot(ad: Ad) -> Slot:
    # A slot that cannot be divided is free or not; one that can shows what is left of it.
    is_free = ad["SlotType"] == "Partitionable" or ad["State"] == "Unclaimed"
    return Slot(
        name=str(ad["Name"]),
        pilot_id=str(ad["GOC_PilotId"]),
        # One that does not say whose it is is no reason to know nothing of the others: the guard sees it.
        entry=str(ad.get("GLIDEIN_Entry_Name", "")),
        vos=tuple(str(ad.get("GOC_VO", "")).split(",")),
        digest=str(ad.get("GOC_Digest", "")),
        factory=str(ad.get("GLIDEIN_Factory", "")),
        cores=int(ad["Cpus"]) if is_free else 0,
        memory_mib=int(ad["Memory"]) if is_free else 0,
        accepting=ad.get("GOC_Accepting", True) is True,
        start=str(ad.get("Start", "")),
        policy_start=str(ad.get("GOC_Start", "")),
        is_busy=ad["State"] != "Unclaimed" or bool(ad.get("NumDynamicSlots", 0)),
    )
