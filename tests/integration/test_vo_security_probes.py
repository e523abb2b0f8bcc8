"""The probes of a VO's token issuer and membership service, against a real TLS server."""

from __future__ import annotations

import datetime
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_builtin_probes import Pages, closed_port, listening, void

from opengoc.monitoring.builtin import ISSUER, VOMS, Builtin, probes_of
from opengoc.monitoring.model import Finding, Status, Target
from opengoc.monitoring.probes.issuer import IssuerProbe
from opengoc.monitoring.probes.voms import VomsProbe
from opengoc.registry.model import VO
from opengoc.registry.reading import FIELDS
from opengoc.registry.snapshot import Registry

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a certificate for this machine, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", "/CN=voms"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return key, cert


@contextmanager
def secure_pages(
    certificates: tuple[Path, Path],
    of: dict[str, tuple[int, str]],
    *,
    wants_certificate: bool = False,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Iterator[str]:
    key, cert = certificates
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.maximum_version = newest
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cert)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, of))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def asked(url: str, *, ca: Path | None = None, days: int = 0, seconds: float = 5) -> Finding:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    return VomsProbe(url=url, ca=ca, clock=lambda: later).run(seconds)


@pytest.mark.parametrize(
    ("code", "status"), [(200, Status.OK), (403, Status.OK), (404, Status.WARNING), (503, Status.CRITICAL)]
)
def test_a_membership_service_is_told_by_its_answer(
    certificates: tuple[Path, Path], code: int, status: Status
) -> None:
    with secure_pages(certificates, {"/voms/cms?x=1": (code, "")}) as url:
        for ca in (None, certificates[1]):
            assert asked(f"{url}/voms/cms?x=1", ca=ca).status is status


def test_one_that_wants_a_certificate_is_reached(certificates: tuple[Path, Path]) -> None:
    for newest in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        with secure_pages(certificates, {}, wants_certificate=True, newest=newest) as url:
            found = asked(f"{url}/voms/cms")
            # A warning where the server's alert was lost, or says less than what it wants.
            assert found.status in (Status.OK, Status.WARNING), found
            assert "speaks TLS" in found.summary and "certificate" in found.summary, found


def test_a_certificate_that_is_over_or_that_nobody_vouches_for_is_critical(
    certificates: tuple[Path, Path], tmp_path: Path
) -> None:
    with secure_pages(certificates, {"/": (200, "")}) as url:
        assert "expired" in asked(f"{url}/", days=91).summary
        nobody = asked(f"{url}/", ca=tmp_path)
        assert (nobody.status, "CERTIFICATE_VERIFY_FAILED" in nobody.summary) == (Status.CRITICAL, True)
        issuer = IssuerProbe(url=url).run(5)
        assert (issuer.status, "CERTIFICATE_VERIFY_FAILED" in issuer.summary) == (Status.CRITICAL, True)


def test_what_cannot_be_probed_is_unknown_and_what_is_gone_or_silent_is_critical(tmp_path: Path) -> None:
    for url in ("http://voms.example.org/voms/cms", "https:///voms", "about:blank"):
        assert asked(url).status is Status.UNKNOWN
    gone = f"https://127.0.0.1:{closed_port()}"
    for found in (asked(gone, ca=tmp_path / "none"), IssuerProbe(url=gone, ca=tmp_path / "none").run(5)):
        assert found.status is Status.UNKNOWN
    assert asked(gone).status is Status.CRITICAL
    held = threading.Event()
    with listening(lambda _: void(held.wait(3))) as port:
        assert "in time" in asked(f"https://127.0.0.1:{port}", seconds=0.3).summary
        held.set()
    with listening(lambda connection: connection.sendall(b"220 ftp\r\n")) as port:
        assert "TLS" in asked(f"https://127.0.0.1:{port}").summary


def test_an_issuer_is_asked_over_tls_that_its_authorities_vouch_for(certificates: tuple[Path, Path]) -> None:
    found: dict[str, tuple[int, str]] = {"/jwk": (200, '{"keys": [{"kty": "EC"}]}')}
    with secure_pages(certificates, found) as url:
        said = {"issuer": url, "jwks_uri": f"{url}/jwk"}
        found["/.well-known/openid-configuration"] = (200, json.dumps(said))
        assert IssuerProbe(url=url, ca=certificates[1]).run(5).status is Status.OK
        found["/.well-known/openid-configuration"] = (
            200,
            json.dumps(said | {"jwks_uri": "http://127.0.0.1:1/"}),
        )
        assert IssuerProbe(url=url, ca=certificates[1]).run(5).status is Status.CRITICAL


def vo(name: str, membership: str, *issuers: str, active: bool = True) -> VO:
    credentials = {"TokenIssuers": [{"URL": url} for url in issuers]}
    carried = {"MembershipServicesURL": membership, "Credentials": credentials}
    return VO(id=f"vo-{name}", name=name, active=active, carried=carried)


def test_the_registry_says_what_is_probed() -> None:
    known = [
        vo(
            "CMS",
            "https://voms.example.org:8443/voms/cms",
            "https://one.example.org",
            "https://two.example.org",
        ),
        vo("People", "https://people.example.org/join"),
        vo("Gone", "https://voms.example.org:8443/voms/gone", "https://gone.example.org", active=False),
    ]
    empty: dict[str, dict[str, Any]] = {name: {} for name in FIELDS.values() if name != "vos"}
    registry = Registry(known_at=None, vos={each.name: each for each in known}, **empty)

    def probed(**table: object) -> list[tuple[str, Target]]:
        return [(metric, target) for metric, target, _ in probes_of(Builtin.model_validate(table), registry)]

    assert probed(kind="voms") == [("voms", Target("CMS", VOMS))]
    assert probed(kind="voms", vos=["people"]) == [("voms", Target("People", VOMS))]
    assert [metric for metric, _ in probed(kind="issuer")] == ["issuer:1", "issuer:2"]
    assert {target for _, target in probed(kind="issuer")} == {Target("CMS", ISSUER)}
