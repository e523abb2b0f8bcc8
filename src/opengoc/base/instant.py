"""Instants: aware UTC datetimes, read and written as ISO 8601 with a Z."""

from __future__ import annotations

from datetime import UTC, datetime

from opengoc.base.errors import InvalidInput

#: Times that people ask for or send lie in these years: a month or a year more is a time still.
YEARS = range(1900, 9900)


def utc_now() -> datetime:
    """The time now, UTC. Called at the edges only: pure modules take ``now`` as an argument."""
    return datetime.now(UTC)


def require_utc(moment: datetime, where: str) -> datetime:
    """``moment`` in UTC. Raises InvalidInput when it carries no time zone, or is in no year of UTC."""
    if moment.tzinfo is None:
        raise InvalidInput(where, moment.isoformat(), "needs a time zone, for example 2026-11-16T00:00:00Z")
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput(where, moment.isoformat(), "lies beyond the calendar") from error


def parse_instant(text: str, where: str = "time") -> datetime:
    """Read ISO 8601 with a time zone, or a bare date as its midnight UTC, in one of ``YEARS``.

    Raises InvalidInput.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidInput(where, text, "must be an ISO 8601 time such as 2026-11-16T00:00:00Z") from error
    if moment.tzinfo is None and len(text.strip()) == len("2026-11-16"):
        moment = moment.replace(tzinfo=UTC)
    if moment.year not in YEARS:
        years = f"must be of the years {YEARS.start} to {YEARS.stop - 1}"
        raise InvalidInput(where, text, f"lies beyond the calendar: {years}")
    return require_utc(moment, where)


def format_instant(moment: datetime) -> str:
    """``moment`` as ISO 8601 UTC with a Z, microseconds only where there are any."""
    return require_utc(moment, "time").isoformat().replace("+00:00", "Z")
