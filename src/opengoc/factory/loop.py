"""The factory's control loop: observe, decide, act, and again.

State is the queue of the factory's schedd and the ledger. What the loop remembers from one cycle to the next
only makes it more careful, so it may be killed at any line.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from opengoc.base.errors import GocError, Permanent
from opengoc.base.instant import utc_now
from opengoc.condor.session import Pool, Session
from opengoc.factory import findings
from opengoc.factory.act import Actor
from opengoc.factory.applied import applied_now, log_of
from opengoc.factory.bundles import Bundles, Sources
from opengoc.factory.carried import Carried
from opengoc.factory.cycle import Cycle, History, Queue, Source, write_status
from opengoc.factory.decide import decide
from opengoc.factory.findings import Known
from opengoc.factory.first_seen import FirstSeen
from opengoc.factory.force import Force, in_force
from opengoc.factory.guard import Verdict, guard, seen_whole
from opengoc.factory.match import Matching
from opengoc.factory.mirror import Reading
from opengoc.factory.mirror_bundles import shelved
from opengoc.factory.mirror_store import Overtaken, Permit
from opengoc.factory.mirroring import LEASE_SECONDS, Identity, Mirroring, overtaken
from opengoc.factory.model import (
    CollectPilot,
    Decision,
    Memory,
    Pace,
    PayloadState,
    ReleasePilot,
    RemovePilot,
    Snapshot,
    StopStartd,
    SubmitPilots,
)
from opengoc.factory.observe import observe, taken_up
from opengoc.factory.pilot_findings import pilot_findings
from opengoc.factory.pilots import Premises
from opengoc.factory.protection_reports import Ends
from opengoc.factory.ramp import Ramp
from opengoc.factory.recent import RecentJobs
from opengoc.factory.sent import sent_of_late
from opengoc.factory.source_watch import SourceWatch
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import load_registry
from opengoc.store.database import Database
from opengoc.store.hold import hold
from opengoc.store.lake import Lake

log = logging.getLogger(__name__)

#: Name of the lock: one factory loop a home.
ROLE = "factory"
#: So often a cycle decides again when a mirror took pilots meanwhile.
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class FactoryLoop:
    """Everything one factory needs to run."""

    home: Path
    database: Database
    lake: Lake
    #: The VOs' pool, and the schedds in it whose jobs are served.
    pool: Pool
    schedds: Sequence[str]
    #: The pool of the factory's own schedd.
    factory: Pool
    premises: Premises
    #: Where what was applied is kept; the loop runs nothing else.
    bundles: Bundles
    #: The files that it was applied from: only looked at, for the guard.
    sources: Sources
    cycle_seconds: float
    pace: Pace = field(default_factory=Pace)
    #: Set it to end the loop after the cycle under way.
    stop: threading.Event = field(default_factory=threading.Event)

    def force(self) -> Force:
        """What is in force now. Raises Permanent before the first apply."""
        with self.database.read() as connection:
            return in_force(connection, self.bundles, self.premises.group)

    def once(self) -> Cycle:
        """One cycle. Raises Temporary when a loop runs already in this home."""
        with hold(self.home, ROLE), ExitStack() as stack:
            return self._at_work(stack).cycle()

    def dry_run(self) -> tuple[Snapshot, Decision]:
        """What the next cycle would do; nothing is done, kept or locked."""
        with ExitStack() as stack:
            return self._runner(stack).look()

    def run(self, *, until_done: bool = False, watch: Callable[[Cycle], None] | None = None) -> None:
        """Cycles until ``stop`` is set; with ``until_done`` until no job can run and no pilot is left.

        ``watch`` is shown every cycle. Raises Temporary when a loop runs already in this home, and with
        ``until_done`` Permanent when the jobs that are left match no entry.
        """
        with hold(self.home, ROLE), ExitStack() as stack:
            runner = self._at_work(stack)
            while not self.stop.is_set():
                began = time.monotonic()
                cycle = self._guarded(runner)
                if cycle is not None and watch is not None:
                    watch(cycle)
                if until_done and cycle is not None and is_done(cycle):
                    return
                self.stop.wait(max(0.0, self.cycle_seconds - (time.monotonic() - began)))

    def _guarded(self, runner: Runner) -> Cycle | None:
        """One cycle; what goes wrong in it is logged, and the next one starts afresh."""
        try:
            return runner.cycle()
        except GocError as error:
            log.error("action=cycle failed=%s", error)
        except Exception:
            # The one broad except: the loop outlives whatever a cycle meets.
            log.exception("action=cycle failed=defect")
        return None

    def _at_work(self, stack: ExitStack) -> Runner:
        """A runner that its mirrors know of until the stack is closed."""
        runner = self._runner(stack)
        with self.database.begin() as connection:
            digests = {each.digest for each in log_of(connection, self.premises.group)}
            self.bundles.share(connection, digests - shelved(connection, digests))
        stack.callback(runner.leave)
        return runner

    def _runner(self, stack: ExitStack) -> Runner:
        pool = stack.enter_context(Session(self.pool))
        factory = stack.enter_context(Session(self.factory))
        own = Identity(
            group=self.premises.group,
            name=self.premises.name,
            holder=f"{socket.gethostname()}:{self.home}",
            schedd=self.premises.schedd,
            pool=self.factory,
            lease_seconds=max(LEASE_SECONDS, 3 * self.cycle_seconds),
        )
        mirroring = Mirroring(database=self.database, own=own, pace=self.pace, stack=stack)
        return Runner(self, pool=pool, factory=factory, mirroring=mirroring)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What one cycle rests on."""

    snapshot: Snapshot
    verdict: Verdict
    registry: Registry
    #: Entries that get nothing, with the reason.
    paused: Mapping[str, str]
    #: The mirrors, ahead of the snapshot.
    mirrors: Reading


class Runner:
    """The cycles of one run."""

    def __init__(self, loop: FactoryLoop, *, pool: Session, factory: Session, mirroring: Mirroring) -> None:
        self._loop = loop
        self._mirroring = mirroring
        self._pool = pool
        self._factory = factory
        # A schedd that was started anew beside it may show an empty queue: then it looks twice.
        self._memory = Memory(pilots=mirroring.pilots_before())
        self._matching = Matching()
        self._history = History(loop.lake)
        self._recent = RecentJobs(loop.premises.folder)
        self._ends = Ends(loop.premises.folder, now=utc_now())
        self._first_seen = FirstSeen()
        self._carried = Carried()
        self._source = SourceWatch(loop.sources)
        self._force = loop.force()
        self._actor = Actor(
            database=loop.database,
            session=factory,
            premises=loop.premises,
            configuration=self._force.configuration,
        )

    def look(self) -> tuple[Snapshot, Decision]:
        """What a cycle would rest on, and do."""
        seen = self._see()
        return seen.snapshot, self._decide(seen, self._mirroring.read())

    def leave(self) -> None:
        """This run ends; the mirrors may look into its queue once nothing more can arrive there."""
        try:
            if not self._actor.submissions():
                self._mirroring.leave(now=utc_now())
        except GocError as error:
            log.warning("action=leave failed=%s", error)

    def _see(self) -> _Seen:
        """Observe, and let the guard compare."""
        loop = self._loop
        self._take_what_is_in_force()
        mirrors = self._mirroring.read()
        snapshot = observe(
            pool=self._pool,
            schedds=loop.schedds,
            factory=self._factory,
            factory_schedd=loop.premises.schedd,
            factory_name=loop.premises.name,
            # All that are declared: a plan may name what the policy in force does not.
            job_attributes=sorted(
                each.name for each in self._force.configuration.policy.vocabulary.job.values()
            ),
            submissions=self._actor.submissions(),
            carried=self._carried,
        )
        with loop.database.read() as connection:
            registry = load_registry(connection)
            paused = {each.entry: each.why for each in findings.pauses(connection, loop.premises.group)}
        changed = self._first_seen.changed(snapshot.payloads)
        source = self._source.look(registry)
        verdict = guard(snapshot, self._force, source, factory=loop.premises.name, changed=changed)
        return _Seen(
            snapshot=snapshot,
            verdict=verdict,
            registry=registry,
            paused={**verdict.pauses, **paused},
            mirrors=mirrors,
        )

    def _decide(self, seen: _Seen, mirrors: Reading) -> Decision:
        now = utc_now()
        return decide(
            seen.snapshot,
            self._force.configuration,
            seen.registry,
            now=now,
            memory=self._memory,
            pace=self._loop.pace,
            matching=self._matching,
            paused=seen.paused,
            stops=seen.verdict.stops,
            ends=self._ends.judged,
            ramp=self._ramp(),
            mirrors=self._mirroring.held(mirrors, before=seen.mirrors, now=now),
        )

    def _agree(self, seen: _Seen) -> tuple[Decision, Permit | None]:
        """Decide, and write down what that takes up before it is done; again where a mirror was faster."""
        configuration = self._force.configuration
        for _ in range(_TRIES):
            mirrors = self._mirroring.read()
            decision = self._decide(seen, mirrors)
            with suppress(Overtaken):
                return decision, self._mirroring.write_down(
                    seen.snapshot, decision, configuration, expect=mirrors.version, now=utc_now()
                )
        decision = overtaken(decision)
        log.warning("action=submit failed=mirrors were faster, %d times", _TRIES)
        return decision, self._mirroring.write_down(
            seen.snapshot, decision, configuration, expect=mirrors.version, now=utc_now()
        )

    def _ramp(self) -> Ramp:
        """What was sent of late, where a rate asks; a bucket has to hold what comes between two cycles."""
        configuration = self._force.configuration
        rates = [configuration.limits.max_per_minute]
        rates += [entry.max_per_minute for entry in configuration.entries.values()]
        if rates.count(None) == len(rates):
            return Ramp()
        seconds = max(Ramp.burst_seconds, self._loop.cycle_seconds)
        with self._loop.database.read() as connection:
            return Ramp(sent=sent_of_late(connection, now=utc_now()), burst_seconds=seconds)

    def _take_what_is_in_force(self) -> None:
        """Follow an apply or a rollback. Raises Permanent where its bundle does not stand."""
        loop = self._loop
        with loop.database.read() as connection:
            applied = applied_now(connection, loop.premises.group)
        if applied is None or applied.version != self._force.applied.version:
            self._force = loop.force()
            self._actor.take(self._force.configuration)
            # Other attributes may be asked of the jobs from now on.
            self._first_seen = FirstSeen()
            log.warning("action=take digest=%s", self._force.configuration.digest)

    def cycle(self) -> Cycle:
        """Observe, decide, act, and keep what happened."""
        at, began = utc_now(), time.monotonic()
        seen = self._see()
        snapshot = seen.snapshot
        ended = pilot_findings(self._ends.judged, now=at)
        verdict = replace(seen.verdict, findings=(*seen.verdict.findings, *ended))
        known = self._keep(verdict, snapshot, now=at)
        self._actor.reconcile(snapshot.pilots, now=at)
        self._mirroring.look_after_silent(seen.mirrors, snapshot, self._force.configuration, now=utc_now())
        decision, permit = self._agree(seen)
        done, failures = self._act(decision, permit)
        self._memory = decision.memory
        cycle = _record(
            snapshot,
            decision,
            at=at,
            seconds=round(time.monotonic() - began, 3),
            digest=self._force.configuration.digest,
            done=done,
            failures=failures,
            findings=known,
        )
        self._recent.see(snapshot.payloads, now=at)
        write_status(self._loop.premises.folder, cycle)
        self._history.write(cycle)
        if decision.frozen:
            log.warning("action=freeze reason=%s", decision.frozen)
        for vo, reason in decision.frozen_vos.items():
            log.warning("action=freeze vo=%s reason=%s", vo, reason)
        return cycle

    def _keep(self, verdict: Verdict, snapshot: Snapshot, *, now: datetime) -> tuple[Known, ...]:
        """Write down what was found and what is to be paused, before anything is done about it."""
        name, group = self._loop.premises.name, self._loop.premises.group
        with self._loop.database.read() as connection:
            before = findings.findings(connection, name)
            paused = {each.entry for each in findings.pauses(connection, group)}
        is_news = {each.finding for each in before} != set(verdict.findings)
        if not is_news and verdict.pauses.keys() <= paused:
            return tuple(before)
        with self._loop.database.begin() as connection:
            findings.pause(connection, group, verdict.pauses, now=now)
            findings.keep_findings(
                connection, name, verdict.findings, seen_whole=seen_whole(snapshot), now=now
            )
            known = findings.findings(connection, name)
        for each in {each.finding for each in known} - {each.finding for each in before}:
            log.error(
                "action=alarm finding=%s subject=%s entry=%s done=%s evidence=%s",
                each.kind.value,
                each.subject,
                each.entry,
                each.action.value,
                each.evidence,
            )
        return tuple(known)

    def _act(
        self, decision: Decision, permit: Permit | None
    ) -> tuple[Counter[tuple[str, ...]], tuple[str, ...]]:
        """Do what was decided: counts by ("submit", entry, VO), ("remove",), ("collect",); failures."""
        done: Counter[tuple[str, ...]] = Counter()
        failures: list[str] = []
        removals = [each for each in decision.actions if isinstance(each, RemovePilot)]
        # The snapshot has aged: a job that came meanwhile would be lost with its pilot.
        spared = taken_up(self._pool, [each.pilot for each in removals if each.is_unneeded])
        for action in decision.actions:
            try:
                match action:
                    case SubmitPilots():
                        arrived = self._actor.submit(action, now=utc_now(), permit=permit)
                        done[("submit", action.entry, action.vo)] += arrived
                    case RemovePilot() if action.pilot.id in spared:
                        log.info("action=spare pilot=%s reason=the pool has it now", action.pilot.id)
                    case RemovePilot():
                        self._ends.see(self._actor.remove(action, now=utc_now()), now=utc_now())
                        done[("remove",)] += 1
                    case StopStartd():
                        self._pool.stop_startd(action.slot)
                        log.warning("action=stop-startd slot=%s reason=%s", action.slot, action.reason)
                    case ReleasePilot():
                        self._actor.release(action)
                        done[("release",)] += 1
                    case CollectPilot():
                        self._ends.see(self._actor.collect(action), now=utc_now())
                        done[("collect",)] += 1
            except GocError as error:
                failures.append(str(error))
                log.error("action=%s failed=%s", type(action).__name__, error)
        return done, tuple(dict.fromkeys(failures))


def is_done(cycle: Cycle) -> bool:
    """Whether nothing is left to do: no job that could run, no pilot.

    Raises Permanent when jobs are left that no entry takes.
    """
    if not cycle.is_complete or cycle.frozen or cycle.pilots or any(cycle.submitted.values()):
        return False
    if cycle.running_jobs or cycle.idle_jobs > cycle.unmatched_jobs:
        return False
    if cycle.unmatched_jobs:
        raise Permanent(
            f"{cycle.unmatched_jobs} idle jobs match no enabled entry: "
            "change the jobs, the entries or the policy"
        )
    return True


def _record(
    snapshot: Snapshot,
    decision: Decision,
    *,
    at: datetime,
    seconds: float,
    digest: str,
    done: Counter[tuple[str, ...]],
    failures: tuple[str, ...],
    findings: tuple[Known, ...],
) -> Cycle:
    states = Counter(payload.state for payload in snapshot.payloads)
    return Cycle(
        at=at,
        seconds=seconds,
        digest=digest,
        frozen=decision.frozen,
        frozen_vos=decision.frozen_vos,
        findings=findings,
        sources=tuple(
            Source(
                name=each.source,
                taken_at=each.taken_at,
                complete=each.complete,
                error=each.error,
                count=len(each.items),
            )
            for each in snapshot.observations
        ),
        rows=decision.rows,
        submitted={(key[1], key[2]): count for key, count in done.items() if key[0] == "submit"},
        removed=done[("remove",)],
        collected=done[("collect",)],
        idle_jobs=states[PayloadState.IDLE],
        running_jobs=states[PayloadState.RUNNING],
        unmatched_jobs=decision.unmatched_jobs,
        pilots=len(snapshot.pilots.items) + len(snapshot.submissions),
        failures=failures,
        queues=_queues(snapshot, decision),
        queues_complete=all(queue.complete for queue in snapshot.queues),
    )


def _queues(snapshot: Snapshot, decision: Decision) -> tuple[Queue, ...]:
    """Jobs by VO; a VO that an entry serves is named even without a job, unless a queue kept silent."""
    counts = Counter((payload.vo, payload.state) for payload in snapshot.payloads)
    vos = {vo for vo, _ in counts}
    if all(queue.complete for queue in snapshot.queues):
        vos |= {row.vo for row in decision.rows}
    return tuple(
        Queue(
            vo=vo,
            idle=counts[vo, PayloadState.IDLE],
            running=counts[vo, PayloadState.RUNNING],
        )
        for vo in sorted(vos)
    )
