"""What a plan and a cycle of the factory cost the factory itself, beside waiting for daemons. Prints figures.

- Plan: production entries as ``goc factory import`` writes them (made up ones where the files are not there),
  471 of them, against what is in force, on 10,000 kinds of recent jobs and 10,000 pilots. Goal: 2 s.
- Cycle: the same entries, 10,000 pilots that run, 20,000 jobs in them and 10,000 that wait: what is observed
  read, guard, decision, recent jobs. Goal: 1 s of CPU.

Run: python -m bench.factory
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.match import FOLDER, machine, made_up_entries

from opengoc.base.interval import Interval
from opengoc.condor.observation import Observation
from opengoc.factory.bundles import Sources
from opengoc.factory.carried import Carried
from opengoc.factory.change import Desk
from opengoc.factory.configuration import Configuration
from opengoc.factory.decide import decide
from opengoc.factory.first_seen import FirstSeen
from opengoc.factory.force import Force, in_force
from opengoc.factory.formats.convert import Converted, convert
from opengoc.factory.formats.entries_toml import entry_toml
from opengoc.factory.formats.glideinwms import read_files
from opengoc.factory.formats.policy_toml import policy_toml
from opengoc.factory.guard import SourceState, guard
from opengoc.factory.match import Matching
from opengoc.factory.model import Memory, Payload, PayloadState, Pilot, PilotState, Slot, Snapshot
from opengoc.factory.recent import RecentJobs
from opengoc.registry.model import Facility, Resource, ResourceGroup, Service, Site
from opengoc.registry.rows import encode
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import load_registry
from opengoc.store import facts
from opengoc.store.database import Database, open_database

ENTRIES, KINDS, PILOTS, RUNNING, IDLE = 471, 10_000, 10_000, 20_000, 10_000
RUNS = 5
NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


class _Named(dict[str, str]):
    """A registry that knows whatever an entry calls its resource."""

    def __contains__(self, name: object) -> bool:
        return bool(name)

    def __missing__(self, name: str) -> str:
        return name


def converted() -> Converted:
    """Entries in force, so many as there are to be: those that can be converted, more than once."""
    files = read_files(sorted(FOLDER.glob("*.xml")))
    found = convert([entry for file in files for entry in file.entries], resources=_Named())
    tables = dict(found.tables) or {f"made-{n}": _table(each) for n, each in enumerate(made_up_entries())}
    chosen = {}
    for number in range(ENTRIES):
        turn, place = divmod(number, len(tables))
        name, table = list(tables.items())[place]
        table = {key: value for key, value in table.items() if key not in ("reason", "submit")}
        chosen[f"{name}-{turn}"] = table | {
            "name": f"{name}-{turn}",
            # Whatever reaches it and lets it in.
            "grid_resource": f"condor ce{number}.example.org ce{number}.example.org:9619",
            "vos": ["cms", "osg"],
            "enabled": True,
        }
    return Converted(tables=chosen, types=found.types, left_out=())


def _table(made_up: dict[str, Any]) -> dict[str, Any]:
    return {
        "resource": made_up["Site"],
        "cores": made_up["Cores"],
        "memory_mib": made_up["MemoryMiB"],
        "walltime_seconds": made_up["WalltimeSeconds"],
        "max_pilots": 200,
        "max_idle": 50,
        "attributes": {},
    }


def register(database: Database, resources: set[str]) -> None:
    """A site for every four resources."""
    sites = {name: f"SITE-{number // 4}" for number, name in enumerate(sorted(resources))}
    values: dict[str, list[Any]] = {
        "facility": [Facility(id="u", name="U")],
        "site": [Site(id=f"s-{name}", name=name, facility="U") for name in set(sites.values())],
        "group": [ResourceGroup(id=f"g-{name}", name=name, site=name) for name in set(sites.values())],
        "resource": [
            Resource(
                id=f"r-{name}",
                name=name,
                group=site,
                site=site,
                fqdn=f"ce.{site.lower()}.example.org",
                services=(Service(kind="CE"),),
            )
            for name, site in sites.items()
        ],
    }
    ids = {kind: {each.name: each.id for each in several} for kind, several in values.items()}
    valid = Interval(NOW - timedelta(days=365))
    with database.begin() as conn:
        for kind, several in values.items():
            for each in several:
                value = encode(kind, each, ids)
                facts.assert_fact(conn, kind=kind, key=each.id, value=value, valid=valid, who="bench")


def payloads(count: int, sites: list[str], *, anywhere: bool = False) -> list[Payload]:
    """Jobs, all of another kind; with ``anywhere``, such as every entry takes."""
    chance = random.Random(1)
    found = []
    for number in range(count):
        attributes = {
            "VO": "cms" if anywhere else chance.choice(("cms", "osg")),
            "RequestCpus": 1 if anywhere else chance.choice((1, 1, 1, 2, 4)),
            "RequestMemory": 100 + number % (397 if anywhere else 1997),
            "RequestDisk": chance.randrange(1000, 1_000_000),
        }
        if not anywhere and chance.random() < 0.1:
            attributes["DESIRED_Sites"] = ", ".join(chance.sample(sites, 3))
        found.append(
            Payload(
                id=f"{'r' if anywhere else 'q'}#{number}.0",
                vo=str(attributes["VO"]),
                state=PayloadState.IDLE,
                attributes=attributes,
            )
        )
    return found


def pilots(configuration: Configuration) -> list[Pilot]:
    """Pilots that run, spread over the entries."""
    names = list(configuration.entries)
    return [
        Pilot(
            id=f"plt-{number}",
            job=f"{number}.0",
            entry=names[number % len(names)],
            vo="cms",
            digest=configuration.digest,
            state=PilotState.RUNNING,
            since=NOW - timedelta(hours=1),
        )
        for number in range(PILOTS)
    ]


def snapshot(configuration: Configuration, jobs: list[Payload], carried: Carried) -> Snapshot:
    """One observation of them all: every job runs in its pilot, or waits."""
    sent = pilots(configuration)
    starts = {name: configuration.start(entry, "cms") for name, entry in configuration.entries.items()}
    carried.begin()
    seen = [replace(job, attributes=carried.carry(job.id, dict(job.attributes))) for job in jobs]
    running = [
        replace(
            job,
            state=PayloadState.RUNNING,
            pilot_id=sent[number % PILOTS].id,
            entry=sent[number % PILOTS].entry,
            digest=configuration.digest,
        )
        for number, job in enumerate(seen[:RUNNING])
    ]
    slots = tuple(
        Slot(
            name=f"slot1@{pilot.id}",
            pilot_id=pilot.id,
            entry=pilot.entry,
            vos=("cms",),
            digest=pilot.digest,
            cores=1,
            memory_mib=2000,
            accepting=True,
            start="GOC_Start && GOC_Accepting",
            policy_start=starts[pilot.entry],
        )
        for pilot in sent
    )
    return Snapshot(
        queues=(_whole("jobs of q", (*running, *seen[RUNNING:])),),
        pilots=_whole("pilots", tuple(sent)),
        slots=_whole("slots", slots),
    )


def _whole(source: str, items: tuple[Any, ...]) -> Observation[Any]:
    return Observation(source=source, items=items, taken_at=NOW, complete=True)


def costs(work: Callable[[], object]) -> str:
    """Wall and CPU time, medians."""
    wall, cpu = [], []
    for _ in range(RUNS):
        begun, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    return f"CPU {statistics.median(cpu):.2f} s, wall {statistics.median(wall):.2f} s"


class Rounds:
    """The cycles of one loop, without daemons."""

    def __init__(self, force: Force, registry: Registry, folder: Path) -> None:
        self._force = force
        self._registry = registry
        self._memory, self._matching, self._first_seen = Memory(), Matching(), FirstSeen()
        self._recent = RecentJobs(folder)

    def cycle(self, seen: Snapshot) -> int:
        """One cycle; how many findings the guard has."""
        verdict = guard(
            seen,
            self._force,
            SourceState(digest=self._force.configuration.digest),
            factory="factory",
            changed=self._first_seen.changed(seen.payloads),
        )
        decision = decide(
            seen,
            self._force.configuration,
            self._registry,
            now=NOW,
            memory=self._memory,
            matching=self._matching,
            stops=verdict.stops,
        )
        self._memory = decision.memory
        self._recent.see(seen.payloads, now=NOW)
        return len(verdict.findings)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        found = converted()
        sources = Sources(entries=home / "entries.toml", policy=home / "policy.toml")
        sources.entries.write_text("\n".join(map(entry_toml, found.tables.values())))
        sources.policy.write_text(policy_toml(found))
        database = open_database(f"sqlite:///{home / 'goc.db'}")
        register(database, {table["resource"] for table in found.tables.values()})
        desk = Desk(database=database, factory="bench", folder=home / "factory", sources=sources)
        nobody: Observation[Pilot] = _whole("pilots", ())
        desk.apply(desk.plan(nobody, now=NOW), accept=True, who="bench", why="", now=NOW)
        with database.read() as conn:
            force, registry = in_force(conn, desk.bundles, "bench"), load_registry(conn)
        sites = sorted({entry.site for entry in force.configuration.entries.values()})
        RecentJobs(desk.folder).see(payloads(KINDS, sites), now=NOW)
        sent = _whole("pilots", tuple(pilots(force.configuration)))

        text, named = sources.policy.read_text(), "job.DESIRED_Sites =="
        sources.policy.write_text(text.replace(named, f"job.RequestDisk > 2000 && {named}"))
        took = costs(lambda: desk.plan(sent, now=NOW))
        plan = desk.plan(sent, now=NOW).plan
        assert plan.replay is not None and plan.difference.redecided
        print(
            f"plan, {len(force.configuration.entries)} entries × {plan.replay.jobs:,} recent jobs,"
            f" every START changed: {took} (goal 2 s)"
        )

        jobs, carried = [*payloads(RUNNING, sites, anywhere=True), *payloads(IDLE, sites)], Carried()
        rounds = Rounds(force, registry, home / "recent")
        (home / "recent").mkdir()
        print(f"observed, read: {costs(lambda: snapshot(force.configuration, jobs, carried))}")
        seen = snapshot(force.configuration, jobs, carried)
        print(
            f"cycle, {len(force.configuration.entries)} entries, {PILOTS:,} pilots, {len(jobs):,} jobs,"
            f" {rounds.cycle(seen)} findings: {costs(lambda: rounds.cycle(seen))} (goal 1 s of CPU)"
        )
        database.dispose()
    print("machine:", machine())


if __name__ == "__main__":
    main()
