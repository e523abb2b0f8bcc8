"""The TCP ports of a testbed: free ones chosen once, then kept, so that addresses outlive a restart."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from opengoc.base.errors import Temporary
from opengoc.testbed.files import write_atomically
from opengoc.testbed.layout import SLURM_NODES

#: Below the kernel's range for outgoing connections, or a passing client could hold a port at restart.
_RANGE = range(20_000, 32_000)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Listening ports on 127.0.0.1."""

    #: Shared port of the VO pool: collector and schedd.
    pool: int
    #: Shared port of the factory's schedd and collector.
    factory: int
    #: Shared port of the HTCondor site.
    site_condor: int
    slurmctld: int
    #: One slurmd each, in the order of ``SLURM_NODES``.
    slurmds: tuple[int, ...]

    def all(self) -> tuple[int, ...]:
        """Every port."""
        return (self.pool, self.factory, self.site_condor, self.slurmctld, *self.slurmds)


def load_or_choose(path: Path) -> Ports:
    """The ports kept in ``path``; at the first call free ones are chosen and kept."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        with ExitStack() as held:
            return _chosen(path, held)
    return Ports(**{**kept, "slurmds": tuple(kept["slurmds"])})


@contextmanager
def reserved(path: Path) -> Iterator[Ports]:
    """The ports of ``load_or_choose``, which no other testbed chooses before their daemons listen.

    Raises Temporary when somebody else listens on one of the ports.
    """
    with ExitStack() as held:
        if path.exists():
            ports = load_or_choose(path)
            _require_free(ports.all(), path)
            for port in ports.all():
                # A connection of the last run may linger on it: whoever chooses sees that as well.
                with suppress(OSError):
                    held.enter_context(_held(port))
        else:
            ports = _chosen(path, held)
        yield ports


def _require_free(ports: Iterable[int], kept_in: Path) -> None:
    """Raises Temporary when somebody else listens on one of the ports."""
    taken = [port for port in ports if not is_free(port)]
    if taken:
        names = ", ".join(map(str, taken))
        raise Temporary(
            f"port {names} of the testbed is in use by another program; end that program, or remove "
            f"{kept_in} and the settings made from it to have new ports chosen"
        )


def _chosen(path: Path, held: ExitStack) -> Ports:
    """Free ports, kept in ``path``, and each ``held``."""
    chosen: set[int] = set()
    while len(chosen) < 4 + len(SLURM_NODES):
        port = secrets.choice(_RANGE)
        with suppress(OSError):
            held.enter_context(_held(port))
            chosen.add(port)
    pool, factory, site_condor, slurmctld, *slurmds = sorted(chosen)
    ports = Ports(
        pool=pool, factory=factory, site_condor=site_condor, slurmctld=slurmctld, slurmds=tuple(slurmds)
    )
    write_atomically(path, json.dumps(asdict(ports), indent=2) + "\n")
    return ports


def _held(port: int) -> socket.socket:
    """The port of 127.0.0.1, taken by a socket that does not listen. Raises OSError when it is not free.

    A daemon may listen there all the same, another call of this cannot take it: the option that lets two
    share a port until one listens is set after the port was taken alone.
    """
    place = socket.socket()
    try:
        place.bind(("127.0.0.1", port))
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        place.close()
        raise
    return place


def is_free(port: int) -> bool:
    """Whether a daemon could listen on the port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # A port in TIME_WAIT is free for a daemon: they all set this option.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
