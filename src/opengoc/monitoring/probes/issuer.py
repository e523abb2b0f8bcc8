"""Probe ``issuer``: can the token issuer of a VO be reached, and does it publish keys.

OpenID Connect Discovery 1.0, section 4, and RFC 7517: without the keys no service can check the VO's tokens.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.answers import could_not_probe
from opengoc.monitoring.probes.network import Deadline, failed, trusting

METRIC = "issuer"
_MAX_BYTES = 1024 * 1024


class _Refused(Exception):
    """The issuer answered, and not with what it must."""


@dataclass(frozen=True, kw_only=True)
class IssuerProbe:
    """Reads the issuer's metadata and its keys."""

    url: str
    #: File or folder of the authorities that must have signed; None: those that the system trusts.
    ca: Path | None = None

    def run(self, timeout_seconds: float, /) -> Finding:
        """Two GETs."""
        deadline = Deadline(timeout_seconds)
        try:
            context = None if self.ca is None else trusting(self.ca)
        except OSError as error:
            return could_not_probe(f"{self.ca} cannot be read: {error.strerror or error}")
        try:
            address = f"{self.url.rstrip('/')}/.well-known/openid-configuration"
            said = _get(address, deadline.left(), context)
            if str(said.get("issuer", "")).rstrip("/") != self.url.rstrip("/"):
                raise _Refused(f"calls itself {said.get('issuer')!r}")
            keys_url = str(said.get("jwks_uri", ""))
            if urlsplit(keys_url).scheme != urlsplit(self.url).scheme:
                raise _Refused(f"names no keys, or by another way than its own: {keys_url!r}")
            keys = _get(keys_url, deadline.left(), context).get("keys")
        except _Refused as error:
            return Finding(status=Status.CRITICAL, summary=f"{self.url} {error}")
        except OSError as error:
            reason = error.reason if isinstance(error, URLError) else error
            return failed(self.url, reason if isinstance(reason, OSError) else OSError(0, str(reason)))
        if not isinstance(keys, list) or not keys:
            return Finding(status=Status.CRITICAL, summary=f"{self.url} publishes no key")
        return Finding(status=Status.OK, summary=f"publishes {len(keys)} keys")


def _get(url: str, timeout_seconds: float, context: ssl.SSLContext | None) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise _Refused(f"is no web address: {url!r}")
    try:
        asked = Request(url, headers={"User-Agent": "OpenGOC"})
        with urlopen(asked, timeout=timeout_seconds, context=context) as answer:
            found = json.loads(answer.read(_MAX_BYTES))
    except HTTPError as error:
        raise _Refused(f"answers {url} with {error.code} {error.reason}") from error
    except ValueError as error:
        raise _Refused(f"answers {url} with what is no JSON") from error
    if not isinstance(found, dict):
        raise _Refused(f"answers {url} with no object")
    return found
