"""Times as the report and the configuration write them: ISO 8601, UTC, with a Z."""

import datetime
import re
from typing import Optional

# datetime.fromisoformat came with Python 3.7.
_INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?Z")


def format_epoch(epoch_seconds: Optional[float]) -> Optional[str]:
    """Seconds since 1970 as ``2026-11-16T00:00:00Z``; None stays None."""
    if epoch_seconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(int(epoch_seconds), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_epoch(text: str) -> float:
    """The seconds since 1970 of ``2026-11-16T00:00:00Z``. Raises ValueError."""
    found = _INSTANT.match(text)
    if found is None or found.end() != len(text):
        raise ValueError("must be a UTC time such as 2026-11-16T00:00:00Z")
    fields = [int(part) for part in found.groups()[:6]]
    return datetime.datetime(*fields, tzinfo=datetime.timezone.utc).timestamp()  # type: ignore[misc,arg-type]
