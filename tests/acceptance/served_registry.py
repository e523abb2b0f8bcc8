"""The registry of the Open Science Grid behind ``goc serve``, with the clock of the stored answers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from tests.acceptance.shared_data import SHARED_DATA
from tests.command import goc

#: When the answers of topology-answers/ were given.
CLOCK = "2026-08-15T12:00:00Z"


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(home: Path, port: int | None = None) -> Iterator[httpx2.Client]:
    """``goc serve`` over a home, for the length of a block."""
    port = port or free_port()
    command = [sys.executable, "-m", "opengoc", "--home", str(home), "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=os.environ | {"GOC_TEST_CLOCK": CLOCK}, stderr=subprocess.PIPE)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=180) as client:
            _wait(server, client)
            yield client
    finally:
        server.terminate()
        server.communicate(timeout=30)


@contextmanager
def served_registry(home: Path) -> Iterator[httpx2.Client]:
    """The whole registry, imported into a new home and served."""
    done = goc(home, "registry", "import", str(SHARED_DATA / "topology"), "--json")
    assert done.returncode == 0, done.stderr
    with served(home) as client:
        yield client


def _wait(server: subprocess.Popen[bytes], client: httpx2.Client) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert server.poll() is None, server.stderr.read() if server.stderr else "goc serve ended"
        try:
            client.get("/miscfacility/json")
            return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError("goc serve does not answer")
