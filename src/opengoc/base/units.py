"""Units: seconds, core-seconds, mebibytes. Names of variables carry them; the conversions are here."""

from __future__ import annotations

SECONDS_PER_HOUR = 3600
SECONDS_PER_DAY = 86_400


def hours(seconds: float) -> float:
    """Seconds as hours."""
    return seconds / SECONDS_PER_HOUR


def percent(part: float, whole: float) -> float | None:
    """100 × part / whole; None where the whole is 0 (undefined is not zero)."""
    return 100.0 * part / whole if whole else None
