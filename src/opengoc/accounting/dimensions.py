"""What usage can be asked by, and how its values are written. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from opengoc.accounting.table import PARTITION
from opengoc.base.interval import week_name

#: What a dimension says of records that do not tell.
UNKNOWN = "unknown"
#: Dimension → the column that tells it.
DIMENSIONS = {
    "vo": "vo",
    "site": "site",
    "country": "country",
    "resource": "resource",
    "user": "user_name",
    "project": "project",
    "queue": "queue",
    "kind": "kind",
    "entry": "entry",
    "status": "status",
    "source": "source",
    "week": PARTITION,
    "month": PARTITION,
    "day": PARTITION,
}
#: Dimensions that are a time: unit that days are cut to, in the words of Ibis.
CUT_TO = {"week": "W", "month": "M", "day": "D"}


def written(dimension: str, value: str | date) -> str:
    """A value as it is shown: ``2026-W47``, ``2026-11``, ``2026-11-22``; texts as they are."""
    if isinstance(value, str):
        return value
    if dimension == "week":
        return week_name(datetime.combine(value, time(), UTC))
    return value.isoformat()[:7] if dimension == "month" else value.isoformat()
