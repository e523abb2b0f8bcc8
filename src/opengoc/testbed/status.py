"""The state of a testbed for the person who runs it: machines, services, queues, memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opengoc.testbed.layout import Layout
from opengoc.testbed.lifecycle import supervisor_status
from opengoc.testbed.ports import Ports, load_or_choose
from opengoc.testbed.processes import descendants, proportional_memory
from opengoc.testbed.services import Services, ask


@dataclass(frozen=True, kw_only=True)
class MachineStatus:
    """One machine now."""

    name: str
    #: None while it is down.
    pid: int | None
    restarts: int
    processes: int
    #: PSS; None while it is down.
    memory_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """The whole testbed now."""

    home: Path
    running: bool
    machines: tuple[MachineStatus, ...]
    #: None while nothing runs.
    services: Services | None
    ports: Ports | None
    #: PSS of every process, supervisor included; None while nothing runs.
    memory_bytes: int | None

    @property
    def up(self) -> bool:
        """Whether every service answers."""
        return self.services is not None and not self.services.lacking

    def to_json(self) -> dict[str, Any]:
        """The status as JSON values."""
        services = self.services
        return {
            "home": str(self.home),
            "running": self.running,
            "up": self.up,
            "lacking": [] if services is None else services.lacking,
            "machines": [vars(machine) for machine in self.machines],
            "nodes": {} if services is None else dict(services.nodes),
            "pilot_slots": None if services is None else services.pilot_slots,
            "jobs": {} if services is None else {name: dict(jobs) for name, jobs in services.jobs.items()},
            "ports": None if self.ports is None else vars(self.ports),
            "memory_bytes": self.memory_bytes,
        }


def status_of(layout: Layout, root: Path) -> Status:
    """Look at processes and ask every service. Raises Temporary when asking takes too long."""
    supervised = supervisor_status(layout)
    if supervised is None:
        return Status(
            home=layout.home, running=False, machines=(), services=None, ports=None, memory_bytes=None
        )
    ports = load_or_choose(layout.ports)
    return Status(
        home=layout.home,
        running=True,
        machines=tuple(_machine(one) for one in supervised["machines"]),
        services=ask(layout, root, ports, jobs=True),
        ports=ports,
        memory_bytes=proportional_memory(one.pid for one in descendants([supervised["pid"]])),
    )


def _machine(supervised: dict[str, Any]) -> MachineStatus:
    pid = supervised["pid"]
    below = [] if pid is None else descendants([pid])
    return MachineStatus(
        name=supervised["name"],
        pid=pid,
        restarts=supervised["restarts"],
        processes=len(below),
        memory_bytes=proportional_memory(one.pid for one in below),
    )
