"""What the old addresses cost over the whole registry: CPU of ``goc serve`` a request, beside the peer's.

    python -m bench.endpoints [TREE] [--requests 200]

TREE is a registry tree, by default ``topology`` of $GOC_SHARED_DATA. The peer is OSG Topology's web
application over the same data on the same machine.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

CLOCK = "2026-08-15T12:00:00Z"
#: What is asked, how it is called here, what it may cost, what it costs the peer: CPU ms.
REQUESTS = [
    ("/rgsummary/xml", "rgsummary, all", 10, 327),
    (
        "/rgsummary/xml?gridtype=on&gridtype_1=on&voown=on&voown_35=on&active=on&active_value=1",
        "rgsummary, one VO",
        10,
        49,
    ),
    ("/rgdowntime/xml", "rgdowntime", 15, 8.3),
    ("/rgdowntime/xml?downtime_attrs_showpast=all", "rgdowntime, past=all", 15, 453),
    ("/vosummary/xml", "vosummary", None, 40),
    ("/miscproject/xml", "miscproject", None, 101),
    ("/miscresource/json", "miscresource", None, 155),
    ("/vosummary/json", "vosummary, JSON", None, None),
    ("/miscproject/json", "miscproject, JSON", None, None),
    ("/miscsite/json", "miscsite", None, None),
    ("/miscfacility/json", "miscfacility", None, None),
    ("/rgdowntime/ical", "rgdowntime, calendar", None, None),
]
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def cpu_ms(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MS


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def settle(pid: int, seconds: float = 5.0) -> None:
    """Wait until the chores of the start are over: hardly any CPU for some seconds."""
    before = cpu_ms(pid)
    while True:
        time.sleep(seconds)
        now = cpu_ms(pid)
        if now - before < 20 * seconds:
            return
        before = now


def measure(client: httpx.Client, pid: int, request: str, headers: dict[str, str], count: int) -> float:
    """CPU ms of the server a request, the first one left out."""
    client.get(request, headers=headers)
    start = cpu_ms(pid)
    for _ in range(count):
        client.get(request, headers=headers)
    return (cpu_ms(pid) - start) / count


def main() -> None:
    """Import, serve, ask, print."""
    shared = Path(os.environ.get("GOC_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path, nargs="?", default=shared / "topology")
    parser.add_argument("--requests", type=int, default=200)
    given = parser.parse_args()
    if not given.tree.is_dir():
        print(f"no registry tree in {given.tree}: name one")
        return
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        goc = [sys.executable, "-m", "opengoc", "--home", folder]
        start = time.monotonic()
        subprocess.run([*goc, "registry", "import", str(given.tree)], check=True, capture_output=True)
        print(f"import                        {time.monotonic() - start:8.2f} s      (limit 10)")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        start = time.monotonic()
        environment = os.environ | {"GOC_TEST_CLOCK": CLOCK}
        server = subprocess.Popen(
            [*goc, "serve", "--port", str(port)], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                report(client, server, start, given.requests)
        finally:
            server.terminate()
            server.wait(timeout=30)


def report(client: httpx.Client, server: subprocess.Popen[bytes], start: float, count: int) -> None:
    """Every figure, one line each."""
    while True:
        try:
            client.get("/rgsummary/xml")
            break
        except httpx.TransportError:
            time.sleep(0.05)
    print(f"start to the first whole answer {time.monotonic() - start:6.2f} s      (limit 3)")
    settle(server.pid)
    print(f"\n{'CPU ms a request':<30}{'plain':>8}{'gzip':>8}{'zstd':>8}{'304':>8}{'limit':>8}{'peer':>8}")
    for request, name, limit, peer in REQUESTS:
        plain, gzip, zstd = ({"Accept-Encoding": name} for name in ("identity", "gzip", "zstd"))
        tag = client.get(request, headers=plain).headers["etag"]
        costs = [
            measure(client, server.pid, request, headers, count)
            for headers in (plain, gzip, zstd, plain | {"If-None-Match": tag})
        ]
        print(f"{name:<30}" + "".join(f"{cost:8.2f}" for cost in costs) + f"{limit or '':>8}{peer or '':>8}")
    first = first_time(client, server.pid)
    print(f"{'rgsummary, never asked before':<30}{first:8.2f}{'':>24}{10:>8}{49:>8}")
    print(f"\nmemory {memory_mib(server.pid):.0f} MiB")


def first_time(client: httpx.Client, pid: int) -> float:
    """CPU ms of filters that nobody asked for before."""
    start = cpu_ms(pid)
    for number in range(1, 41):
        client.get(f"/rgsummary/xml?service=on&service_1=on&service_{number}=on&voown=on&voown_{number}=on")
    return (cpu_ms(pid) - start) / 40


if __name__ == "__main__":
    main()
