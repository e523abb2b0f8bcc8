"""Probe ``certificate``: how long the certificate of a TLS service is valid.

Only the validity is read; who signed it is the business of those who trust it (RFC 5280, section 4.1.2.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.monitoring.model import Finding, Status
from opengoc.monitoring.probes.asn1 import element
from opengoc.monitoring.probes.network import encrypted, failed

METRIC = "certificate"

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


@dataclass(frozen=True, kw_only=True)
class CertificateProbe:
    """Asks a service for its certificate."""

    host: str
    port: int
    warn: timedelta = timedelta(days=21)
    critical: timedelta = timedelta(days=7)
    clock: Callable[[], datetime] = utc_now

    def run(self, timeout_seconds: float, /) -> Finding:
        """One handshake."""
        try:
            with encrypted(self.host, self.port, timeout_seconds) as connection:
                der = connection.getpeercert(binary_form=True) or b""
        except OSError as error:
            return failed(f"{self.host}:{self.port}", error)
        try:
            start, end = validity(der)
        except InvalidInput as error:
            return Finding(status=Status.CRITICAL, summary=f"the certificate cannot be read: {error.rule}")
        return judge(start, end, self.clock(), warn=self.warn, critical=self.critical)


def judge(start: datetime, end: datetime, now: datetime, *, warn: timedelta, critical: timedelta) -> Finding:
    """What its validity says of a certificate at ``now``."""
    left = end - now
    until = f"valid until {end:%Y-%m-%d %H:%M} UTC, {left.days} days"
    if now < start:
        return Finding(status=Status.CRITICAL, summary=f"valid only from {start:%Y-%m-%d %H:%M} UTC on")
    if left <= timedelta(0):
        return Finding(status=Status.CRITICAL, summary=f"expired on {end:%Y-%m-%d %H:%M} UTC")
    if left < warn:
        return Finding(status=Status.CRITICAL if left < critical else Status.WARNING, summary=until)
    return Finding(status=Status.OK, summary=until)


def validity(der: bytes) -> tuple[datetime, datetime]:
    """notBefore and notAfter of a certificate in DER. Raises InvalidInput."""
    try:
        # Certificate → TBSCertificate → [version] serial signature issuer validity
        _, outer, _ = element(der)
        _, body, _ = element(outer)
        tag, _, rest = element(body)
        if tag == _VERSION:
            _, _, rest = element(rest)
        for _ in ("signature", "issuer"):
            _, _, rest = element(rest)
        tag, times, _ = element(rest)
        if tag != _SEQUENCE:
            raise InvalidInput("certificate", tag, "has no validity where it must stand")
        first_tag, first, rest = element(times)
        last_tag, last, _ = element(rest)
        return _time(first_tag, first), _time(last_tag, last)
    except (IndexError, ValueError) as error:
        raise InvalidInput("certificate", len(der), "is cut off, or is no certificate") from error


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        # Two digits of the year: 50 to 99 are of the century before.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"tag {tag:#x} is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
