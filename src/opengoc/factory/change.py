"""Changing what is in force: plan, apply, rollback. Cut off at any line, all is as it was before or after.

1. The files are read, checked against the registry and compared with what is in force.
2. The new bundle is kept; nothing looks at it yet.
3. One transaction puts its digest in force, if what it was planned against still is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.condor.observation import Observation
from opengoc.factory.applied import Applied, applied_now, log_of, record
from opengoc.factory.bundles import Bundles, Sources
from opengoc.factory.configuration import Configuration, load_configuration
from opengoc.factory.model import Pilot
from opengoc.factory.plan import Plan, plan
from opengoc.factory.recent import recent_jobs
from opengoc.registry.store import load_registry
from opengoc.store.database import Database


class Refused(Permanent):
    """What was planned may not be applied as it is."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A plan and what it was made from."""

    plan: Plan
    configuration: Configuration
    #: Version in force when it was planned; None: nothing was.
    expect: int | None


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where one factory's configuration is changed."""

    database: Database
    #: Name of the factory, or the one that it shares with its mirrors.
    factory: str
    #: Where the loop keeps its files.
    folder: Path
    sources: Sources

    @property
    def bundles(self) -> Bundles:
        """What was applied, whole."""
        return Bundles(self.folder / "bundles", self.database)

    def plan(self, pilots: Observation[Pilot], *, now: datetime) -> Change:
        """What applying the files would do. Raises InvalidInput naming every fault of them."""
        with self.database.read() as connection:
            registry = load_registry(connection)
            applied = applied_now(connection, self.factory)
        configuration = load_configuration(self.sources.entries, self.sources.policy, registry)
        return self._change(configuration, applied, pilots, now=now)

    def plan_rollback(self, name: str | None, pilots: Observation[Pilot], *, now: datetime) -> Change:
        """What going back would do: to a digest (or how it begins), else to the one before.

        Raises InvalidInput for one that was never applied, Permanent where its bundle does not stand.
        """
        with self.database.read() as connection:
            log = log_of(connection, self.factory)
        if not log:
            raise Permanent("nothing was ever applied here: there is nothing to go back to")
        digest = _digest_before(log) if name is None else _digest_named(log, name)
        return self._change(self.bundles.load(digest), log[-1], pilots, now=now)

    def apply(self, change: Change, *, accept: bool, who: str, why: str, now: datetime) -> Applied:
        """Put a plan in force.

        Raises Refused with every reason, InvalidInput when the files changed since it was planned, Conflict
        when something else was applied meanwhile; nothing has changed then.
        """
        reasons = list(change.plan.refusals)
        if not accept:
            reasons += [f"{doubt} (--accept takes it)" for doubt in change.plan.doubts]
        if reasons:
            raise Refused("not applied: " + "; ".join(reasons))
        self.bundles.keep(change.configuration, self.sources)
        return self._record(change, "apply", who=who, why=why, now=now)

    def rollback(self, change: Change, *, who: str, why: str, now: datetime) -> Applied:
        """Put an earlier bundle in force again. Raises Conflict when something else was applied meanwhile."""
        return self._record(change, "rollback", who=who, why=why, now=now)

    def log(self) -> list[Applied]:
        """Everything that was ever applied, oldest first."""
        with self.database.read() as connection:
            return log_of(connection, self.factory)

    def _change(
        self,
        configuration: Configuration,
        applied: Applied | None,
        pilots: Observation[Pilot],
        *,
        now: datetime,
    ) -> Change:
        before = self.bundles.load(applied.digest) if applied is not None else None
        planned = plan(before, configuration, payloads=recent_jobs(self.folder, now=now), pilots=pilots)
        expect = applied.version if applied is not None else None
        return Change(plan=planned, configuration=configuration, expect=expect)

    def _record(self, change: Change, action: str, *, who: str, why: str, now: datetime) -> Applied:
        with self.database.begin() as connection:
            # In the same transaction: who sees that it is in force can fetch it.
            self.bundles.share(connection, [change.plan.after])
            return record(
                connection,
                self.factory,
                digest=change.plan.after,
                action=action,
                difference=_kept(change.plan),
                who=who,
                why=why,
                now=now,
                expect=change.expect,
            )


def _kept(planned: Plan) -> Mapping[str, Any]:
    """What of a plan is kept with the apply."""
    said = planned.to_json()
    return {
        "before": planned.before or None,
        **{name: said[name] for name in ("entries", "pairs", "replay")},
        "accepted": list(planned.doubts),
    }


def _digest_before(log: list[Applied]) -> str:
    for applied in reversed(log):
        if applied.digest != log[-1].digest:
            return applied.digest
    raise Permanent("only one digest was ever applied: there is nothing to go back to")


def _digest_named(log: list[Applied], name: str) -> str:
    found = {applied.digest for applied in log if name and applied.digest.startswith(name)}
    if len(found) != 1:
        rule = "begins several digests" if found else "was never applied; see `goc factory log`"
        raise InvalidInput("DIGEST", name, rule)
    return found.pop()
