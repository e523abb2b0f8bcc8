"""How many results a second come in over HTTP on loopback, kept when they are answered. Goal: 10,000 / s.

Four agents send batches of 5,000 results about 1,100 resources. Run: python -m bench.intake
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.availability_month import register

from opengoc.registry.tokens import Right, add_token
from opengoc.store.database import open_database

AGENTS, BATCHES, SIZE = 4, 10, 5_000


def batch(agent: int, number: int) -> bytes:
    """One batch as an agent sends it: every result another second of another metric."""
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    results = [
        {
            "metric": f"metric-{agent}",
            "resource": f"resource-{place % 1100}",
            "service": "CE",
            "status": "OK" if place % 20 else "CRITICAL",
            "at": (begin + timedelta(seconds=number * 10 + place // 1100)).isoformat(),
            "summary": "a line of some forty characters, as they are",
            "duration_seconds": 1.5,
        }
        for place in range(SIZE)
    ]
    return json.dumps({"batch": f"{agent}-{number}", "results": results}).encode()


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        database = open_database(f"sqlite:///{home / 'goc.db'}")
        register(database)
        tokens = []
        with database.begin() as conn:
            for agent in range(AGENTS):
                tokens.append(add_token(conn, f"agent-{agent}", rights=[Right.RESULTS], who="bench"))
        database.dispose()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "opengoc", "--home", str(home), "serve", "--port", str(port)]
        )
        try:
            bodies = {(a, n): batch(a, n) for a in range(AGENTS) for n in range(BATCHES)}
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)

            def send(agent: int) -> list[float]:
                took = []
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                for number in range(BATCHES):
                    begun = time.perf_counter()
                    headers = {"Authorization": f"Bearer {tokens[agent]}"}
                    connection.request("POST", "/api/results", bodies[agent, number], headers)
                    answer = connection.getresponse()
                    said = answer.read()
                    assert answer.status == 201, said
                    took.append(time.perf_counter() - begun)
                return took

            begun = time.perf_counter()
            with ThreadPoolExecutor(AGENTS) as agents:
                took = sorted(t for each in agents.map(send, range(AGENTS)) for t in each)
            seconds = time.perf_counter() - begun
            count = AGENTS * BATCHES * SIZE
            print(
                f"{count:,} results in {seconds:.1f} s: {count / seconds:,.0f} a second;"
                f" an answer after {took[len(took) // 2]:.2f} s, the slowest {took[-1]:.2f} s"
            )
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
