"""How many usage records a second come in over HTTP on loopback, stored when they are answered. Goal: 20,000.

One source sends batches of 10,000 JSON lines, packed with gzip, one after the other, as ``goc accounting
send`` does. Run: python -m bench.receive [RECORDS]
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from http import HTTPStatus
from itertools import islice
from pathlib import Path

from bench.records import jobs, json_line

BATCH = 10_000
TOKEN = "a-token-of-one-source-only"


def main(count: int = 200_000) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "token").write_text(TOKEN + "\n")
        (home / "goc.toml").write_text('[[received]]\nname = "a"\ntoken_file = "token"\nsite = "SITE-A"\n')
        made = jobs(count)
        bodies = []
        while lines := "".join(map(json_line, islice(made, BATCH))):
            bodies.append(gzip.compress(lines.encode(), 1))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "opengoc", "--home", str(home), "serve", "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait(port)
            for step in ("first", "again, as other batches"):
                begun, used, stored = time.perf_counter(), _cpu_seconds(server.pid), 0
                for number, body in enumerate(bodies):
                    stored += _send(port, f"{step[:5]}-{number}", body)
                rate = count / (time.perf_counter() - begun)
                a_cpu_second = count / (_cpu_seconds(server.pid) - used)
                print(
                    f"{step:24} {stored:8} of {count} stored, {rate:.0f} records a second (20,000),"
                    f" {a_cpu_second:.0f} a CPU second of the receiver"
                )
        finally:
            server.terminate()
            server.wait(30)


def _send(port: int, batch: str, body: bytes) -> int:
    headers = {"Authorization": f"Bearer {TOKEN}", "Goc-Batch": batch, "Content-Encoding": "gzip"}
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/accounting/batches", body, headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
            break
        # The receiver is at its own accounting; a sender waits, too.
        time.sleep(0.1)
    assert answer.status == HTTPStatus.OK, said
    return int(said["stored"])


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing listens at port {port}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
