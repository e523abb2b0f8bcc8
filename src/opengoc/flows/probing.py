"""What the house probes: pools, schedds and entries as configured, plugins as listed, named by the registry.

Probes look at what others own: condor sessions, the factory's entries, the registry's resources. They meet
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from opengoc.condor.session import Pool, Session
from opengoc.factory.entries import Entry
from opengoc.monitoring import commands, expectation
from opengoc.monitoring.loop import run_checks
from opengoc.monitoring.model import ProbeResult, Target
from opengoc.monitoring.probes import ce, pool, schedd
from opengoc.monitoring.probes.check import Check, Probe
from opengoc.monitoring.spool import Spool, put_in
from opengoc.registry.snapshot import Registry
from opengoc.store.database import Database
from opengoc.store.lake import Lake

COLLECTOR, SCHEDD, FACTORY, CE = "Condor Collector", "Submit Node", "Glidein factory", "CE"

#: Checks that run at once; a test job's check mostly waits.
WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What there is to probe."""

    #: Each VO pool with the names of its schedds.
    pools: Sequence[tuple[Pool, Sequence[str]]] = ()
    #: The factory's pool and schedd; None: neither it nor a compute element is probed.
    factory: tuple[Pool, str] | None = None
    #: The factory's entries; those that are not enabled are not probed.
    entries: Sequence[Entry] = ()
    registry: Registry
    #: The file of plugins.
    commands_file: Path
    interval_seconds: float
    timeout_seconds: float


@contextmanager
def open_checks(grid: Grid) -> Iterator[list[Check]]:
    """Every check of the grid, for the length of a block: its sessions to HTCondor close with it.

    No daemon is asked anything before a check runs. Raises InvalidInput for a faulty file of plugins.
    """
    with ExitStack() as open_sessions:
        checks = []
        for access, schedds in grid.pools:
            session = open_sessions.enter_context(Session(access))
            target = _target(grid.registry, COLLECTOR, access.collector, access.name)
            checks.append(_check(grid, pool.METRIC, target, pool.PoolProbe(session=session)))
            for name in schedds:
                target = _target(grid.registry, SCHEDD, name, name.partition("@")[0])
                probe = schedd.ScheddProbe(session=session, schedd=name)
                checks.append(_check(grid, schedd.METRIC, target, probe))
        if grid.factory is not None:
            access, name = grid.factory
            session = open_sessions.enter_context(Session(access))
            target = _target(grid.registry, FACTORY, access.collector, access.name)
            checks.append(
                _check(grid, schedd.METRIC, target, schedd.ScheddProbe(session=session, schedd=name))
            )
            for entry in grid.entries:
                if entry.enabled:
                    checks.append(_ce_check(grid, entry, session, name))
        checks += commands.command_checks(
            grid.commands_file,
            grid.registry,
            interval_seconds=grid.interval_seconds,
            timeout_seconds=grid.timeout_seconds,
        )
        yield checks


def expect_checks(
    database: Database, checks: Sequence[Check], *, complete: bool, now: datetime, who: str
) -> int:
    """Expect what these checks are for, from now on: all checks of the house. Gives how many facts changed.

    ``complete`` False: some of the configuration could not be read, so nothing is retired.
    """
    keys = {(check.target.resource, check.target.service, check.metric) for check in checks}
    with database.begin() as conn:
        return expectation.follow_checks(conn, keys, complete=complete, now=now, who=who)


def probe(
    lake: Lake,
    database: Database,
    checks: Sequence[Check],
    *,
    folder: Path,
    agent: str,
    who: str,
    clock: Callable[[], datetime],
    tell: Callable[[ProbeResult], None] = lambda _: None,
) -> list[ProbeResult]:
    """Run these checks now; each result is on disk as it comes, and all go into the lake as one batch.

    ``folder``: where results wait for the end of the run; one run at a time works on it.
    """
    with Spool(folder) as spool:

        def keep(result: ProbeResult) -> None:
            spool.add(result)
            tell(result)

        results = run_checks(checks, workers=WORKERS, agent=agent, clock=clock, tell=keep)
    put_in(lake, database, folder, known_at=clock(), who=who)
    return results


def _check(grid: Grid, metric: str, target: Target, probe: Probe) -> Check:
    return Check(
        metric=metric,
        target=target,
        probe=probe,
        interval_seconds=grid.interval_seconds,
        timeout_seconds=grid.timeout_seconds,
    )


def _ce_check(grid: Grid, entry: Entry, session: Session, factory_schedd: str) -> Check:
    probe = ce.CeProbe(
        session=session,
        schedd=factory_schedd,
        entry=entry.name,
        grid_resource=entry.grid_resource,
        submit=entry.submit,
    )
    # One metric an entry: a resource may have several ways in, and all of them are expected to work.
    return _check(grid, f"{ce.METRIC}:{entry.name}", Target(entry.resource, CE), probe)


def _target(registry: Registry, kind: str, address: str, name: str) -> Target:
    """The registry's resource that offers this service, by address or name; else one of that name."""
    offering = [resource for resource in registry.resources.values() if resource.offers(kind)]
    for resource in sorted(offering, key=lambda resource: resource.name):
        if resource.name == name or address in (resource.endpoint(kind), resource.fqdn):
            return Target(resource.name, kind)
    return Target(name, kind)
