"""``goc serve`` with many visitors who say nothing."""

import resource
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.acceptance.served_registry import served
from tests.command import goc

pytestmark = pytest.mark.acceptance

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx2.Client]:
    """The example registry behind ``goc serve``."""
    shutil.copytree(EXAMPLE, tmp_path / "home" / "registry")
    assert goc(tmp_path / "home", "registry", "import").returncode == 0
    with served(tmp_path / "home") as client:
        yield client


#: What dawdling visitors send: half a request, or whole ones whose answers they do not read.
HALF = b"GET /rgsummary/xml HTTP/1.1\r\nHost: x\r\n"
WHOLE = HALF + b"\r\n"


def test_a_thousand_open_connections_do_not_keep_others_out(client: httpx2.Client) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    address = (client.base_url.host, client.base_url.port or 80)
    idle = []
    try:
        for number in range(1000):
            connection = socket.create_connection(address, timeout=10)
            connection.sendall(HALF if number % 2 else WHOLE * 5)
            idle.append(connection)
        for path in ("/rgdowntime/xml", "/api/sites", "/healthz"):
            assert client.get(path, timeout=10).status_code == 200
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert client.get("/rgsummary/xml").status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        "/api/sites/..%2F..%2Fetc%2Fpasswd",
        "/api/sites/%00",
        "/api/resources?site=%27%3B%20DROP%20TABLE%20facts%3B--",
        "/api/downtimes?from=9999-12-31T23:59:59Z",
        "/api/downtimes?as_of=9999-12-31T23:59:59Z",
        "/api/downtimes?as_of=0001-01-01T00:00:00%2B14:00",
        "/api/changes?cursor=99999999999999999999999",
        "/rgsummary/xml?site=on&site_sel[]=1%20UNION%20SELECT%201",
    ],
)
def test_a_hostile_request_is_answered_in_words(client: httpx2.Client, request_: str) -> None:
    response = client.get(request_)
    assert response.status_code in (200, 400, 404, 422)
    assert "Traceback" not in response.text
    assert client.get("/api/sites").json()["items"]
