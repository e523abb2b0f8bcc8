"""Probe ``xrootd``: does an XRootD server take its first handshake.

Source: XRootD Protocol Reference, "Initial Handshake": the client sends five 32-bit numbers 0 0 0 4 2012, the
server answers with a header (stream id, status 0, length 8), its protocol version and its role.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.network import connected, failed, received

METRIC = "xrootd"
PORT = 1094

_HANDSHAKE = struct.pack(">5i", 0, 0, 0, 4, 2012)
_ROLES = {0: "a load balancer", 1: "a data server"}


@dataclass(frozen=True, kw_only=True)
class XrootdProbe:
    """Greets one server."""

    host: str
    port: int = PORT

    def run(self, timeout_seconds: float, /) -> Finding:
        """One handshake."""
        try:
            with connected(self.host, self.port, timeout_seconds) as connection:
                connection.sendall(_HANDSHAKE)
                return judge(received(connection, 16))
        except OSError as error:
            return failed(f"{self.host}:{self.port}", error)


def judge(answer: bytes) -> Finding:
    """What the server's answer to the handshake says."""
    _, status, length, version, role = struct.unpack(">HHiii", answer)
    if status != 0 or length != 8:
        said = f"answers with status {status} and length {length}: no XRootD server"
        return Finding(status=Status.CRITICAL, summary=said)
    return Finding(
        status=Status.OK, summary=f"{_ROLES.get(role, f'role {role}')}, protocol version {version:#x}"
    )
