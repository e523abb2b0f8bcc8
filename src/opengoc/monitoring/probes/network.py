"""Connecting to a service, and what a connection that fails says: of the service, or only of ourselves."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.answers import could_not_probe

#: Faults of our own network: they say nothing about the service.
_OURS = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE})


@contextmanager
def connected(host: str, port: int, timeout_seconds: float) -> Iterator[socket.socket]:
    """A TCP connection for the length of a block; each step of it has the timeout. Raises OSError."""
    connection = socket.create_connection((host, port), timeout_seconds)
    with connection:
        yield connection


@contextmanager
def encrypted(
    host: str, port: int, timeout_seconds: float, context: ssl.SSLContext | None = None
) -> Iterator[ssl.SSLSocket]:
    """The same with TLS; without a context whoever signed the certificate: that is for the probe to judge."""
    if context is None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with (
        connected(host, port, timeout_seconds) as connection,
        context.wrap_socket(connection, server_hostname=host) as wrapped,
    ):
        yield wrapped


def trusting(ca: Path) -> ssl.SSLContext:
    """TLS with hosts that the authorities of a file or folder vouch for. Raises OSError."""
    if ca.is_dir():
        return ssl.create_default_context(capath=str(ca))
    return ssl.create_default_context(cafile=str(ca))


def received(connection: socket.socket, count: int) -> bytes:
    """Exactly so many bytes. Raises ConnectionError when the other side ends before."""
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise ConnectionError(f"closed the connection after {len(parts)} of {count} bytes")
        parts += part
    return parts


def failed(address: str, error: OSError) -> Finding:
    """What a connection that failed says."""
    if isinstance(error, TimeoutError):
        return Finding(status=Status.CRITICAL, summary=f"{address} does not answer in time")
    if isinstance(error, socket.gaierror):
        if error.errno == socket.EAI_AGAIN:
            return could_not_probe(f"{address} cannot be looked up now: {error.strerror}")
        return Finding(status=Status.CRITICAL, summary=f"{address}: the name does not resolve")
    if isinstance(error, ssl.SSLError):
        return Finding(
            status=Status.CRITICAL, summary=f"{address} does not speak TLS: {error.reason or error}"
        )
    if error.errno in _OURS:
        return could_not_probe(f"{address} cannot be reached from here: {error.strerror}")
    return Finding(status=Status.CRITICAL, summary=f"{address}: {error.strerror or error}")


class Deadline:
    """How much of a probe's time is left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, a tenth at least: a step that has none left fails at once by itself."""
        return max(0.1, self._end - time.monotonic())
