"""The built-in probes against real sockets: what answers, what refuses, what says nothing, what lies."""

from __future__ import annotations

import datetime
import errno
import json
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengoc.base.errors import InvalidInput
from opengoc.monitoring.model import RunOutcome, Status
from opengoc.monitoring.probes import certificate, http, issuer, ldap, network, supported_vos, xrootd
from opengoc.monitoring.probes.certificate import CertificateProbe

pytestmark = pytest.mark.integration


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which each connection is served so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        serve(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Pages(BaseHTTPRequestHandler):
    pages: dict[str, tuple[int, str]]

    def __init__(self, pages: dict[str, tuple[int, str]], *others: object) -> None:
        self.pages = pages
        super().__init__(*others)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        code, text = self.pages.get(self.path, (404, "nothing"))
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def pages(of: dict[str, tuple[int, str]]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, of))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (200, Status.OK),
        (401, Status.OK),
        (404, Status.WARNING),
        (500, Status.CRITICAL),
        (503, Status.CRITICAL),
    ],
)
def test_http_tells_by_the_answer(code: int, status: Status) -> None:
    with pages({"/": (code, "")}) as url:
        assert http.HttpProbe(url=url + "/").run(5).status is status


def test_a_service_that_is_gone_is_critical_and_one_that_is_silent_too() -> None:
    gone = closed_port()
    for probe in (
        http.HttpProbe(url=f"http://127.0.0.1:{gone}/"),
        CertificateProbe(host="127.0.0.1", port=gone),
        xrootd.XrootdProbe(host="127.0.0.1", port=gone),
        ldap.LdapProbe(host="127.0.0.1", port=gone),
        issuer.IssuerProbe(url=f"http://127.0.0.1:{gone}"),
    ):
        found = probe.run(5)
        assert (found.status, found.outcome) == (Status.CRITICAL, RunOutcome.DONE), found
    held = threading.Event()
    with listening(lambda connection: void(held.wait(3))) as port:
        silent = xrootd.XrootdProbe(host="127.0.0.1", port=port).run(0.3)
        held.set()
    assert (silent.status, "in time" in silent.summary) == (Status.CRITICAL, True)


def void(_: object) -> None:
    return None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Status.UNKNOWN),
        (OSError(errno.EMFILE, "Too many open files"), Status.UNKNOWN),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), Status.UNKNOWN),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Status.CRITICAL),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), Status.CRITICAL),
    ],
)
def test_a_fault_of_our_own_network_is_unknown(error: OSError, status: Status) -> None:
    assert network.failed("ce.example.org:9619", error).status is status


def test_xrootd_tells_its_role() -> None:
    answer = struct.pack(">HHiii", 0, 0, 8, 0x511, 1)

    def serve(connection: socket.socket) -> None:
        assert connection.recv(20) == struct.pack(">5i", 0, 0, 0, 4, 2012)
        connection.sendall(answer)

    with listening(serve) as port:
        found = xrootd.XrootdProbe(host="127.0.0.1", port=port).run(5)
    assert (found.status, found.summary) == (Status.OK, "a data server, protocol version 0x511")
    with listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")) as port:
        assert xrootd.XrootdProbe(host="127.0.0.1", port=port).run(5).status is Status.CRITICAL


@pytest.fixture
def certified(tmp_path: Path) -> Callable[[int], tuple[Path, Path]]:
    """A key and a certificate of so many days, made by openssl."""

    def make(days: int) -> tuple[Path, Path]:
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ce.example.org"]
        subprocess.run(
            [*words, "-days", str(days), "-keyout", key, "-out", cert],
            check=True,
            capture_output=True,
            timeout=60,
        )
        return key, cert

    return make


@pytest.mark.parametrize(("days", "status"), [(90, Status.OK), (15, Status.WARNING), (3, Status.CRITICAL)])
def test_a_certificate_is_told_by_the_days_it_has_left(
    certified: Callable[[int], tuple[Path, Path]], days: int, status: Status
) -> None:
    key, cert = certified(days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    with listening(serve) as port:
        found = CertificateProbe(host="127.0.0.1", port=port).run(5)
        assert found.status is status, found
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days + 1)
        expired = CertificateProbe(host="127.0.0.1", port=port, clock=lambda: later).run(5)
    assert (expired.status, "expired" in expired.summary) == (Status.CRITICAL, True)


def test_what_speaks_no_tls_is_told_so() -> None:
    with listening(lambda connection: connection.sendall(b"220 ftp ready\r\n")) as port:
        found = CertificateProbe(host="127.0.0.1", port=port).run(5)
    assert (found.status, "TLS" in found.summary) == (Status.CRITICAL, True)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_are_refused(noise: bytes) -> None:
    with pytest.raises(InvalidInput):
        certificate.validity(noise)


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def an_entry(name: str, *values: str) -> bytes:
    attribute = tlv(0x30, tlv(0x04, name.encode()), tlv(0x31, *(tlv(0x04, v.encode()) for v in values)))
    return tlv(0x30, tlv(0x02, b"\x02"), tlv(0x64, tlv(0x04, b"o=glue"), tlv(0x30, attribute)))


DONE = tlv(0x0A, b"\x00") + tlv(0x04) + tlv(0x04)


def ldap_server(*entries: bytes, bind_code: int = 0) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        bound = tlv(0x0A, bytes([bind_code])) + tlv(0x04) + tlv(0x04)
        connection.sendall(tlv(0x30, tlv(0x02, b"\x01"), tlv(0x61, bound)))
        connection.recv(4096)
        connection.sendall(b"".join(entries) + tlv(0x30, tlv(0x02, b"\x02"), tlv(0x65, DONE)))

    return serve


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (ldap_server(an_entry("objectClass", "top")), Status.OK),
        (ldap_server(), Status.CRITICAL),
        (ldap_server(bind_code=49), Status.CRITICAL),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n"), Status.CRITICAL),
        (lambda connection: connection.sendall(b"\x30\x84\xff\xff\xff\xff"), Status.CRITICAL),
    ],
)
def test_ldap_tells_by_the_entries(server: Callable[[socket.socket], None], status: Status) -> None:
    with listening(server) as port:
        assert ldap.LdapProbe(host="127.0.0.1", port=port).run(5).status is status


@pytest.mark.parametrize(
    ("rules", "allowed", "status"),
    [
        (("VO:cms", "VO:ligo"), {"CMS", "LIGO"}, Status.OK),
        (("VO:cms",), {"CMS", "LIGO"}, Status.WARNING),
        (("VO:cms", "VO:miners"), {"CMS"}, Status.CRITICAL),
        (("VO:cms", "VO:miners"), {"ANY"}, Status.OK),
        (("/cms/Role=pilot",), {"CMS"}, Status.UNKNOWN),
    ],
)
def test_a_vo_too_many_is_a_hole_and_one_too_few_a_fault(
    rules: tuple[str, ...], allowed: set[str], status: Status
) -> None:
    with listening(ldap_server(an_entry("GLUE2PolicyRule", *rules))) as port:
        probe = supported_vos.SupportedVosProbe(host="127.0.0.1", port=port, allowed=frozenset(allowed))
        assert probe.run(5).status is status


@pytest.mark.parametrize(
    ("keys", "own_name", "status"),
    [
        ('{"keys": [{"kty": "EC"}]}', True, Status.OK),
        ('{"keys": []}', True, Status.CRITICAL),
        ("no json", True, Status.CRITICAL),
        ('{"keys": [{"kty": "EC"}]}', False, Status.CRITICAL),
    ],
)
def test_an_issuer_is_told_by_its_keys(keys: str, own_name: bool, status: Status) -> None:
    found: dict[str, tuple[int, str]] = {"/jwk": (200, keys)}
    with pages(found) as url:
        said = {"issuer": url if own_name else "https://other.example.org", "jwks_uri": f"{url}/jwk"}
        found["/.well-known/openid-configuration"] = (200, json.dumps(said))
        assert issuer.IssuerProbe(url=url).run(5).status is status


def test_an_issuer_that_points_to_a_file_is_not_followed() -> None:
    found: dict[str, tuple[int, str]] = {}
    with pages(found) as url:
        said = json.dumps({"issuer": url, "jwks_uri": "file:///etc/hostname"})
        found["/.well-known/openid-configuration"] = (200, said)
        assert issuer.IssuerProbe(url=url).run(5).status is Status.CRITICAL
