"""Doing what was decided, so that it can be killed at any line and run again.

A pilot's id is decided and kept in the ledger before the pilot is submitted, and each id is submitted once
at most. Whether a submission that was cut off arrived is answered by the queue alone: found there, it is
settled; not found when its lease has run out, it is abandoned, and the next decision sees what is wanted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from opengoc.base.errors import Conflict, GocError, Permanent, Temporary
from opengoc.base.ids import new_id
from opengoc.base.instant import utc_now
from opengoc.condor.classads import literal
from opengoc.condor.observation import Observation
from opengoc.condor.session import Session
from opengoc.factory import mirror_store
from opengoc.factory.applied import applied_now
from opengoc.factory.configuration import Configuration
from opengoc.factory.mirror_store import Permit
from opengoc.factory.model import SUBMISSION as SUBMISSION
from opengoc.factory.model import (
    CollectPilot,
    Pilot,
    PilotState,
    ReleasePilot,
    RemovePilot,
    Submission,
    SubmitPilots,
)
from opengoc.factory.pilot_report import keep_report
from opengoc.factory.pilots import CONFIG_FILE, Premises, pilot_config, submit_description
from opengoc.factory.protection_ends import PilotEnd
from opengoc.factory.protection_reports import keep_end
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.ledger import Effect, EffectState

log = logging.getLogger(__name__)

#: Added to the time a submission may take; after both the queue tells the truth about it.
_GRACE_SECONDS = 20.0
_AT_ONCE = 1000
_IS_WAITING = "JobStatus == 1"


class Actor:
    """Acts for one factory, with the configuration that it was handed last."""

    def __init__(
        self, *, database: Database, session: Session, premises: Premises, configuration: Configuration
    ) -> None:
        self._database = database
        self._session = session
        self._premises = premises
        self._configuration = configuration
        self._lease_seconds = session.pool.timeout_seconds + _GRACE_SECONDS

    def take(self, configuration: Configuration) -> None:
        """Act with another configuration from now on."""
        self._configuration = configuration

    def submissions(self) -> tuple[Submission, ...]:
        """Pilots decided on whose arrival in the queue is not settled."""
        with self._database.read() as connection:
            return tuple(_submission(effect) for effect in self._open(connection))

    def reconcile(self, pilots: Observation[Pilot], *, now: datetime) -> None:
        """Settle what arrived and abandon what did not; nothing when the queue was not seen whole."""
        if not pilots.complete:
            return
        arrived = {pilot.id for pilot in pilots.items}
        with self._database.begin() as connection:
            # What is there is settled at once: a pilot may have ended before the lease of its claim does.
            missing = set()
            for effect in self._open(connection):
                if effect.key not in arrived:
                    missing.add(effect.key)
                    continue
                with suppress(Conflict):
                    ledger.settle(connection, effect, now=now)
            # Only claims whose lease ran out are handed out again.
            for effect in self._claim(connection, missing, now=now):
                ledger.abandon(connection, effect, error="not in the factory's queue")
                log.warning("action=abandon pilot=%s reason=not in the queue", effect.key)

    def submit(self, action: SubmitPilots, *, now: datetime, permit: Permit | None = None) -> int:
        """Submit the pilots; how many arrived. Raises Temporary or Permanent when one did not.

        Raises Conflict, and submits none, when the configuration is not the one that is applied, or others
        took this mirror for ended; and submits no further ones once its permit runs out.
        """
        effects = self._decide_ids(action, permit, now=now)
        done: list[Effect] = []
        try:
            for effect in effects:
                self._require_time(permit)
                self._submit_one(effect.key, action, now=now)
                done.append(effect)
                log.info("action=submit pilot=%s entry=%s vo=%s", effect.key, action.entry, action.vo)
        except Temporary:
            # This one may have arrived: the queue will tell. The others were not tried.
            self._end(done, not_tried=effects[len(done) + 1 :], now=now)
            raise
        except GocError:
            self._end(done, not_tried=effects[len(done) :], now=now)
            raise
        self._end(done, not_tried=(), now=now)
        return len(done)

    def remove(self, action: RemovePilot, *, now: datetime) -> PilotEnd | None:
        """Take the pilot back; how it ended, where that says something. Raises Temporary or Permanent."""
        reason = f"factory: {action.reason}"
        end = None
        # Kept first: once its job is gone nobody else knows.
        if action.is_bad_end and self._is_ours(folder := Path(action.pilot.folder)) and folder.is_dir():
            end = keep_end(folder, ended_at=now, hold_reason=action.reason, pauses=action.fails_entry)
        waits = action.is_unneeded and action.pilot.state is PilotState.IDLE
        which = _only(action.pilot) + (f" && {_IS_WAITING}" if waits else "")
        if self._session.remove(self._premises.schedd, which, reason=reason) == 0:
            log.info("action=spare pilot=%s reason=started or gone meanwhile", action.pilot.id)
        else:
            log.info("action=remove pilot=%s reason=%s", action.pilot.id, action.reason)
        return end

    def release(self, action: ReleasePilot) -> None:
        """Let the pilot try again. Raises Temporary or Permanent."""
        reason = f"factory: {action.reason}"
        self._session.release(self._premises.schedd, _only(action.pilot), reason=reason)
        log.info("action=release pilot=%s reason=%s", action.pilot.id, action.reason)

    def _is_ours(self, folder: Path) -> bool:
        """Whether a pilot was submitted from this home."""
        return folder.is_relative_to(self._premises.folder) and folder != self._premises.folder

    def collect(self, action: CollectPilot) -> PilotEnd | None:
        """Fetch the pilot's output into its folder, then let its job leave the queue; how it ended.

        Killed in between, the next run fetches it again. Raises Temporary or Permanent.
        """
        folder = Path(action.pilot.folder)
        if not action.pilot.folder or not self._is_ours(folder):
            raise Permanent(
                f"pilot {action.pilot.id} was submitted from {folder}, outside of this home: "
                f"collect it there, or remove job {action.pilot.job} by hand"
            )
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._session.retrieve(self._premises.schedd, _only(action.pilot))
        except GocError as error:
            if not action.is_last_try:
                raise
            log.error("action=give-up-output pilot=%s reason=%s", action.pilot.id, error)
        keep_report(folder)
        end = keep_end(folder, ended_at=action.pilot.since, exit_code=action.pilot.exit_code)
        self._session.remove(self._premises.schedd, _only(action.pilot), reason="factory: output collected")
        log.info("action=collect pilot=%s folder=%s", action.pilot.id, folder)
        return end

    def _open(self, connection: Connection) -> list[Effect]:
        """Submissions of this factory that are not settled: its mirrors settle their own."""
        name = self._premises.name
        found = ledger.effects(connection, SUBMISSION, EffectState.CLAIMED)
        return [effect for effect in found if effect.payload.get("factory", name) == name]

    def _claim(self, connection: Connection, ids: Collection[str], *, now: datetime) -> list[Effect]:
        return ledger.claim(
            connection,
            SUBMISSION,
            now=now,
            limit=_AT_ONCE,
            lease_seconds=self._lease_seconds,
            keys=ids,
        )

    def _require_time(self, permit: Permit | None) -> None:
        """Raises Conflict where a submission might arrive when others take this mirror for ended."""
        done_by = utc_now() + timedelta(seconds=self._lease_seconds)
        if permit is not None and done_by > permit.expires_at:
            raise Conflict("the submissions of this cycle took too long: the next cycle goes on")

    def _decide_ids(self, action: SubmitPilots, permit: Permit | None, *, now: datetime) -> Sequence[Effect]:
        premises = self._premises
        ids = {new_id("plt") for _ in range(action.count)}
        payload = {
            "factory": premises.name,
            "entry": action.entry,
            "vo": action.vo,
            "digest": self._configuration.digest,
        }
        with self._database.begin() as connection:
            if permit is not None:
                mirror_store.require(connection, permit)
            # In the transaction that decides on the pilots: an apply comes before or after it.
            applied = applied_now(connection, premises.group)
            if applied is None or applied.digest != self._configuration.digest:
                in_force = applied.digest[:12] if applied is not None else "nothing"
                digest = self._configuration.digest[:12]
                raise Conflict(f"{in_force} is in force: nothing is submitted under digest {digest}")
            for pilot_id in sorted(ids):
                ledger.owe(connection, kind=SUBMISSION, key=pilot_id, payload=payload, due_at=now)
            return self._claim(connection, ids, now=now)

    def _submit_one(self, pilot_id: str, action: SubmitPilots, *, now: datetime) -> None:
        premises, configuration = self._premises, self._configuration
        entry = configuration.entries[action.entry]
        folder = premises.pilot_folder(pilot_id, now)
        config = pilot_config(premises, configuration, entry, vo=action.vo, pilot_id=pilot_id, now=now)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise Permanent(f"cannot write {folder}: {error}; free space or mend its rights") from error
        description = submit_description(
            premises, configuration, entry, vo=action.vo, pilot_id=pilot_id, folder=folder
        )
        self._session.submit(premises.schedd, description, spool=True)

    def _end(self, done: Iterable[Effect], *, not_tried: Iterable[Effect], now: datetime) -> None:
        with self._database.begin() as connection:
            # A claim that another took over is settled by it.
            for effect in done:
                with suppress(Conflict):
                    ledger.settle(connection, effect, now=now)
            for effect in not_tried:
                with suppress(Conflict):
                    ledger.abandon(connection, effect, error="an earlier one of the same batch failed")


def _only(pilot: Pilot) -> str:
    # By its own id too: a job number comes again when a queue is made anew.
    return f"GOC_PilotId is {literal(pilot.id)}"


def _submission(effect: Effect) -> Submission:
    return Submission(pilot_id=effect.key, entry=effect.payload["entry"], vo=effect.payload["vo"])
