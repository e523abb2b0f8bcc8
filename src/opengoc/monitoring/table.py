"""The lake's table of probe results: its columns, and results as rows of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow

from opengoc.base.instant import require_utc
from opengoc.monitoring.model import ProbeResult
from opengoc.monitoring.timeline import GRAVITY

TABLE = "probe_results"

_UTC_MICROS = pyarrow.timestamp("us", tz="UTC")
SCHEMA = pyarrow.schema(
    [
        ("metric", pyarrow.string()),
        ("resource", pyarrow.string()),
        ("service", pyarrow.string()),
        ("status", pyarrow.string()),
        # The result's ``at``, which is a word of SQL.
        ("probed_at", _UTC_MICROS),
        ("summary", pyarrow.string()),
        ("detail", pyarrow.string()),
        ("duration_seconds", pyarrow.float64()),
        ("agent", pyarrow.string()),
        ("outcome", pyarrow.string()),
        # When the house learned it: what ``as_of`` is compared with.
        ("known_at", _UTC_MICROS),
        # UTC day of ``probed_at``; the table is partitioned by it.
        ("day", pyarrow.date32()),
    ]
)

#: A status in SQL as its gravity.
GRAVITY_SQL = "CASE status " + " ".join(f"WHEN '{s}' THEN {g}" for s, g in GRAVITY.items()) + " END"


def rows(batch: Sequence[ProbeResult], known_at: datetime) -> pyarrow.Table:
    """Results as rows of the table."""
    known_at = require_utc(known_at, "known_at")
    columns: dict[str, list[Any]] = {
        "metric": [r.metric for r in batch],
        "resource": [r.resource for r in batch],
        "service": [r.service for r in batch],
        "status": [r.status.value for r in batch],
        "probed_at": [r.at for r in batch],
        "summary": [r.summary for r in batch],
        "detail": [r.detail for r in batch],
        "duration_seconds": [r.duration_seconds for r in batch],
        "agent": [r.agent for r in batch],
        "outcome": [r.outcome.value for r in batch],
        "known_at": [known_at] * len(batch),
        "day": [r.at.date() for r in batch],
    }
    return pyarrow.table(columns, schema=SCHEMA)
