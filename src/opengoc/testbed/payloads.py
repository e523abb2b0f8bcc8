"""Payload jobs of the VOs: real work for the pilots, queued as each VO's own user would queue it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.ids import new_id
from opengoc.testbed.configuration import client_environment, render
from opengoc.testbed.files import write_atomically
from opengoc.testbed.layout import VO_USERS, Layout
from opengoc.testbed.machines import login_sandbox
from opengoc.testbed.ports import Ports


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What the jobs of one submission do."""

    cpu_seconds: float = 1.1
    wall_seconds: float = 2.5


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What one kind of job asks for."""

    cores: int = 1
    memory_mib: int = 128
    #: Registry site it is bound to; empty: any.
    site: str = ""


#: Jobs take these in turn: most are small and go anywhere, some need two cores, memory, or one site.
MIX = (
    Shape(),
    Shape(),
    Shape(cores=2),
    Shape(site="ITB-CONDOR"),
    Shape(),
    Shape(memory_mib=1024),
    Shape(site="ITB-SLURM"),
    Shape(),
)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Jobs queued by one call of condor_submit."""

    vo: str
    owner: str
    cluster: int
    jobs: int


def submit_payloads(
    layout: Layout,
    root: Path,
    ports: Ports,
    *,
    jobs: int,
    vos: Sequence[str] = tuple(VO_USERS),
    payload: Payload | None = None,
    sites: Sequence[str] | None = None,
) -> list[Cluster]:
    """Queue ``jobs`` jobs in the pool's schedd, shared evenly among the VOs; one cluster for each VO.

    ``sites`` binds every job to one of these sites in turn, instead of the usual mix. Raises InvalidInput,
    Temporary (no schedd), Permanent (refused).
    """
    if jobs < 1:
        raise InvalidInput("jobs", jobs, "must be at least 1")
    for vo in vos:
        if vo not in VO_USERS:
            raise InvalidInput("vo", vo, f"must be one of {', '.join(VO_USERS)}")
    mix = tuple(Shape(site=site) for site in sites) if sites else MIX
    clusters = []
    for number, vo in enumerate(vos):
        share = len(range(number, jobs, len(vos)))
        if share:
            # Each VO begins elsewhere in the mix, so that a few jobs already are of many shapes.
            first = number * len(mix) // len(vos)
            shapes = [mix[(first + job) % len(mix)] for job in range(share)]
            clusters.append(_submit(layout, root, ports, vo, payload or Payload(), shapes))
    return clusters


def _submit(
    layout: Layout, root: Path, ports: Ports, vo: str, payload: Payload, shapes: Sequence[Shape]
) -> Cluster:
    folder = layout.jobs / new_id(vo)
    folder.mkdir(parents=True)
    script = folder / "payload.py"
    write_atomically(script, render("payload"), mode=0o755)
    text = render("payload.sub", vo=vo, script=script, folder=folder, payload=payload, shapes=shapes)
    description = folder / "payload.sub"
    write_atomically(description, text)
    said = login_sandbox(layout, root).run(
        [
            "condor_submit",
            "-pool",
            f"127.0.0.1:{ports.pool}",
            "-name",
            "pool-schedd@itb.example.org",
            "-terse",
            str(description),
        ],
        client_environment(layout.condor_config("pool"), layout.tokens / vo),
        timeout=120,
    )
    # 12.0 - 12.29
    found = re.search(r"(\d+)\.0 - \d+\.(\d+)", said)
    if found is None:
        raise Permanent(f"condor_submit answered {said.strip()!r}, which names no cluster")
    return Cluster(vo=vo, owner=VO_USERS[vo], cluster=int(found[1]), jobs=int(found[2]) + 1)
