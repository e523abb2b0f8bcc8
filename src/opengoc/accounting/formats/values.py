"""Values as foreign formats write them: numbers, times, durations, sizes. Pure.

Each function takes ``where``, the name of the field, and raises InvalidInput for what it cannot read.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from opengoc.accounting.formats.piece import text
from opengoc.base.errors import InvalidInput

_NUMBER = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,3})?")
#: ISO 8601 durations, GFD.98 section 3: years of 365 days and months of 30, as Gratia counts them.
_PERIOD = re.compile(
    r"(-)?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_PERIOD_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)
#: [days-]hours:minutes:seconds[.fraction], or minutes:seconds.fraction.
_CLOCK = re.compile(r"(?:(\d{1,6})-)?(?:(\d{1,6}):)?(\d{1,6}):(\d{1,2}(?:\.\d{1,9})?)")
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([kKmMgGtTpP]?)(?:i?[bB])?")
_MIB = {"": 1 / 2**20, "k": 1 / 2**10, "m": 1.0, "g": 2.0**10, "t": 2.0**20, "p": 2.0**30}
_YEAR_10000 = 253_402_300_800


def number(raw: str, where: str) -> float:
    """A finite number."""
    found = _NUMBER.fullmatch(raw.strip())
    value = float(found[0]) if found else math.nan
    if not math.isfinite(value):
        raise InvalidInput(where, raw, "must be a number")
    return value


def whole(raw: str, where: str) -> int:
    """A whole number of 64 bits; one written with a fraction of zeros counts as whole."""
    stripped = raw.strip()
    if stripped.isascii() and stripped.isdigit() and len(stripped) < 19:
        return int(stripped)
    value = number(stripped, where)
    if value != int(value) or abs(value) >= 2**63:
        raise InvalidInput(where, raw, "must be a whole number of 64 bits")
    return int(value)


def epoch(raw: str, where: str) -> datetime | None:
    """Seconds since 1970 as UTC; None for 0, which is how many formats say that it never happened."""
    return epoch_instant(number(raw, where), where)


def epoch_instant(seconds: float, where: str) -> datetime | None:
    """Seconds since 1970 as UTC; None for 0."""
    if not 0 <= seconds < _YEAR_10000:
        raise InvalidInput(where, seconds, "must be seconds since 1970")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def iso_instant(raw: str, where: str) -> datetime:
    """An ISO 8601 time; one without a zone is UTC, as OGF usage records require."""
    return local_instant(raw, where, _UTC)


def local_instant(raw: str, where: str, zone: ZoneInfo, *, fold: int = 0) -> datetime:
    """An ISO 8601 time; one without a zone is local to ``zone``. ``fold`` as in PEP 495."""
    try:
        moment = datetime.fromisoformat(raw.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone, fold=fold)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(where, raw, "must be an ISO 8601 time such as 2026-11-16T00:00:00Z") from error


_UTC = ZoneInfo("UTC")


def period_seconds(raw: str, where: str) -> float:
    """An ISO 8601 duration such as ``P1DT2H3M21.2S``, or plain seconds."""
    stripped = raw.strip()
    found = _PERIOD.fullmatch(stripped)
    if found is None or not any(found.groups()[1:]):
        return number(stripped, where)
    total = sum(float(n) * each for n, each in zip(found.groups()[1:], _PERIOD_SECONDS, strict=True) if n)
    if not math.isfinite(total):
        raise InvalidInput(where, raw, "must be a duration")
    return -total if found[1] else total


def clock_seconds(raw: str, where: str) -> float:
    """A duration such as ``1-06:51:32`` or ``01:05.753``, or plain seconds."""
    stripped = raw.strip()
    found = _CLOCK.fullmatch(stripped)
    if found is None:
        return number(stripped, where)
    days, hours, minutes, seconds = found.groups()
    return int(days or 0) * 86400 + int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def size_mib(raw: str, where: str) -> int:
    """A size such as ``12756K`` or ``2574308kb``, bytes where it has no unit, as MiB rounded up."""
    found = _SIZE.fullmatch(raw.strip())
    if found is None:
        raise InvalidInput(where, raw, "must be a size such as 12756K")
    return math.ceil(float(found[1]) * _MIB[found[2].lower()])


def known(raw: bytes | str | None) -> str | None:
    """A text that says something; None for an empty one and for the words formats use for none."""
    if raw is None:
        return None
    stripped = (text(raw) if isinstance(raw, bytes) else raw).strip()
    return None if stripped.lower() in ("", "none", "null", "unknown", "n/a", "(null)") else stripped
