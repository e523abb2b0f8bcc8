"""Probe ``voms``: can the membership service of a VO be reached, over TLS, with a certificate that holds.

Asked as nobody: that it wants a certificate of who asks is a good answer.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes import http
from opengoc.monitoring.probes.answers import could_not_probe
from opengoc.monitoring.probes.certificate import validity
from opengoc.monitoring.probes.network import Deadline, encrypted, failed, trusting

METRIC = "voms"
#: Alerts of TLS by which a server says that it wants a certificate (RFC 8446, section 6.2).
_WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE")
#: TLS 1.2 says only that it could not agree, mostly for the same reason.
_NOT_AGREED = "HANDSHAKE_FAILURE"


@dataclass(frozen=True, kw_only=True)
class VomsProbe:
    """Sets TLS up, looks at the certificate, and asks for the page."""

    url: str
    #: File or folder of the authorities that must have signed; None: whoever signed.
    ca: Path | None = None
    clock: Callable[[], datetime] = utc_now

    def run(self, timeout_seconds: float, /) -> Finding:
        """One handshake, one GET."""
        parts, deadline, began = urlsplit(self.url), Deadline(timeout_seconds), time.monotonic()
        if parts.scheme != "https" or not parts.hostname:
            return could_not_probe(f"the registry names no https address for it: {self.url!r}")
        try:
            context = None if self.ca is None else trusting(self.ca)
        except OSError as error:
            return could_not_probe(f"{self.ca} cannot be read: {error.strerror or error}")
        try:
            with encrypted(parts.hostname, parts.port or 443, deadline.left(), context) as connection:
                if (expired := self._expired(connection)) is not None:
                    return expired
                connection.settimeout(deadline.left())
                try:
                    return _ask(connection, parts, began)
                except (ssl.SSLError, ConnectionError) as error:
                    return self._ended(error)
        except ssl.SSLError as error:
            return self._refused(error)
        except OSError as error:
            return failed(self.url, error)
        except HTTPException as error:
            return Finding(status=Status.CRITICAL, summary=f"{self.url} does not speak HTTP: {error!r}")

    def _expired(self, connection: ssl.SSLSocket) -> Finding | None:
        try:
            _, end = validity(connection.getpeercert(binary_form=True) or b"")
        except InvalidInput as error:
            return Finding(status=Status.CRITICAL, summary=f"the certificate cannot be read: {error.rule}")
        if end > self.clock():
            return None
        return Finding(status=Status.CRITICAL, summary=f"its certificate expired on {end:%Y-%m-%d %H:%M} UTC")

    def _ended(self, error: OSError) -> Finding:
        """TLS stands, then there is no answer: TLS 1.3 so refuses who shows no certificate.

        The alert that says so may be lost with the connection.
        """
        if isinstance(error, ssl.SSLError) and any(
            alert in (error.reason or "") for alert in _WANTS_CERTIFICATE
        ):
            return self._refused(error)
        said = f"{self.url} speaks TLS, and ends the connection of who shows no certificate"
        return Finding(status=Status.WARNING, summary=said)

    def _refused(self, error: ssl.SSLError) -> Finding:
        reason = error.reason or ""
        if any(alert in reason for alert in _WANTS_CERTIFICATE):
            return Finding(status=Status.OK, summary="speaks TLS and wants a certificate of who asks")
        if _NOT_AGREED in reason:
            said = f"{self.url} speaks TLS, and refuses who shows no certificate, or what we offer"
            return Finding(status=Status.WARNING, summary=said)
        return failed(self.url, error)


def _ask(connection: ssl.SSLSocket, parts: SplitResult, began: float) -> Finding:
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    lines = (f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "User-Agent: OpenGOC", "Connection: close")
    connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii", "replace"))
    answer = HTTPResponse(connection, method="GET")
    answer.begin()
    return http.judge(answer.status, answer.reason, time.monotonic() - began)
