"""Probe ``http``: does a web service answer a GET, and with what."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.network import failed

METRIC = "http"
#: An answer that takes longer is slow.
SLOW_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class HttpProbe:
    """Asks for one page; nobody is followed elsewhere, and certificates are checked."""

    url: str

    def run(self, timeout_seconds: float, /) -> Finding:
        """One GET."""
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        began = time.monotonic()
        connection = kind(parts.hostname or "", parts.port, timeout=timeout_seconds)
        try:
            target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            connection.request("GET", target, headers={"User-Agent": "OpenGOC"})
            answer = connection.getresponse()
            return judge(answer.status, answer.reason, time.monotonic() - began)
        except OSError as error:
            return failed(self.url, error)
        except HTTPException as error:
            return Finding(status=Status.CRITICAL, summary=f"{self.url} does not speak HTTP: {error!r}")
        finally:
            connection.close()


def judge(code: int, reason: str, seconds: float) -> Finding:
    """What an answer says: that it wants to know who asks (401, 403) is an answer like any other."""
    said = f"{code} {reason} after {seconds:.1f} s"
    if code >= 500:
        return Finding(status=Status.CRITICAL, summary=said)
    if (code >= 400 and code not in (401, 403)) or seconds > SLOW_SECONDS:
        return Finding(status=Status.WARNING, summary=said)
    return Finding(status=Status.OK, summary=said)
