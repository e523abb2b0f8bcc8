"""The process that talks to HTCondor lives as long as its Session's process: neither longer nor shorter."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.integration.testbed_grid import wait_for

from opengoc.condor.session import Pool, Session

pytestmark = pytest.mark.integration

# A query that nobody answers; the client says its worker's process id before it asks.
_CLIENT = """
import sys
from opengoc.condor.session import Pool, Session
session = Session(Pool(name="silent", collector=sys.argv[1], timeout_seconds=60))
session._worker = session._start_worker()
print(session._worker.pid, flush=True)
session.schedds()
"""


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_outlives_the_thread_that_started_it() -> None:
    with Session(Pool(name="gone", collector="127.0.0.1:9")) as session:
        first = threading.Thread(target=session.schedds)
        first.start()
        first.join()
        assert session._worker is not None
        pid = session._worker.pid
        # Idle, busy and idle again: one process serves all three.
        for _ in range(2):
            assert "Failed communication" in session.schedds().error
            assert session._worker.pid == pid
            assert lives(pid)
    assert not lives(pid)


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_worker_ends_with_a_client_that_was_killed(is_busy: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if is_busy else 9
        script = _CLIENT if is_busy else _CLIENT + "\nsys.stdin.read()\n"
        client = subprocess.Popen(
            [sys.executable, "-c", script, f"127.0.0.1:{port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert client.stdout is not None
            pid = int(client.stdout.readline())
            if is_busy:
                # The worker has connected: it waits within HTCondor's library.
                silent.settimeout(30)
                connection, _ = silent.accept()
                connection.settimeout(30)
                assert connection.recv(1)
            assert lives(pid)
            client.kill()
            client.wait()
            wait_for(lambda: not lives(pid), "the worker ended", seconds=5)
        finally:
            client.kill()
            client.communicate()
