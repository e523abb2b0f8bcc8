"""What to do about the pilots of a snapshot that are held, and which ones prove an entry well. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from opengoc.factory.configuration import Configuration
from opengoc.factory.model import Pace, Pilot, PilotState, ReleasePilot, RemovePilot, Snapshot
from opengoc.factory.protection import Alive
from opengoc.factory.protection_holds import Hold, Treatment, treat


def held_actions(
    snapshot: Snapshot, configuration: Configuration, *, now: datetime, pace: Pace
) -> tuple[list[RemovePilot], list[ReleasePilot]]:
    """Held pilots to take back, and to let try again, by the reasons of their holds."""
    given_up = now - timedelta(seconds=pace.held_seconds)
    removals: list[RemovePilot] = []
    releases: list[ReleasePilot] = []
    for pilot in snapshot.pilots_in(PilotState.HELD):
        treated = treat(_hold(pilot, configuration), now=now)
        reason = f"held: {treated.reason}"
        if treated.treatment is Treatment.PAUSE:
            removals.append(RemovePilot(pilot=pilot, reason=reason, is_bad_end=True, fails_entry=True))
        elif treated.treatment is Treatment.KILL and pilot.since <= given_up:
            removals.append(RemovePilot(pilot=pilot, reason=reason, is_bad_end=treated.is_of_entry))
        elif treated.treatment is Treatment.RETRY and treated.is_due:
            releases.append(ReleasePilot(pilot=pilot, reason=reason))
    return removals, releases


def alive(snapshot: Snapshot, joined: frozenset[str]) -> list[Alive]:
    """Pilots that run and were seen in the pool."""
    return [
        Alive(pilot_id=pilot.id, entry=pilot.entry, since=pilot.since)
        for pilot in snapshot.pilots_in(PilotState.RUNNING)
        if pilot.id in joined
    ]


def _hold(pilot: Pilot, configuration: Configuration) -> Hold:
    entry = configuration.entries.get(pilot.entry)
    return Hold(
        grid_type=entry.grid_resource.split()[0] if entry is not None else "",
        reason=pilot.hold_reason,
        code=pilot.hold_code,
        subcode=pilot.hold_subcode,
        since=pilot.since,
        times=max(1, pilot.holds),
    )
