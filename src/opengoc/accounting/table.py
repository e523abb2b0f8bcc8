"""The lake's table of usage: one row a version of a record, never changed.

Which version of a record stands is decided when it is read, see ``usage``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow

from opengoc.accounting.model import RawReference, UsageRecord
from opengoc.store.lake import Lake

TABLE = "accounting_usage"

_TIME = pyarrow.timestamp("us", tz="UTC")
SCHEMA = pyarrow.schema(
    [
        ("instance", pyarrow.string()),
        ("global_job_id", pyarrow.string()),
        ("attempt", pyarrow.int64()),
        ("kind", pyarrow.string()),
        ("site", pyarrow.string()),
        ("resource", pyarrow.string()),
        ("vo", pyarrow.string()),
        ("user_name", pyarrow.string()),
        ("project", pyarrow.string()),
        ("queue", pyarrow.string()),
        ("submitted_at", _TIME),
        ("started_at", _TIME),
        ("ended_at", _TIME),
        ("wall_seconds", pyarrow.float64()),
        ("cpu_user_seconds", pyarrow.float64()),
        ("cpu_system_seconds", pyarrow.float64()),
        ("processors", pyarrow.int32()),
        ("memory_mib", pyarrow.int64()),
        ("status", pyarrow.string()),
        ("exit_code", pyarrow.int32()),
        ("exit_signal", pyarrow.int32()),
        ("policy_digest", pyarrow.string()),
        ("pilot_id", pyarrow.string()),
        ("entry", pyarrow.string()),
        ("sequence", pyarrow.int64()),
        ("suspect", pyarrow.bool_()),
        # What follows is ours: which version this is, when it was learned, and from which bytes.
        ("fingerprint", pyarrow.string()),
        ("version", pyarrow.int32()),
        ("known_from", _TIME),
        ("source", pyarrow.string()),
        ("batch_id", pyarrow.string()),
        ("raw_sha256", pyarrow.string()),
        ("raw_offset", pyarrow.int64()),
        ("raw_length", pyarrow.int64()),
    ]
)
_FROM_RECORD = [
    (column, "user" if column == "user_name" else column)
    for column in SCHEMA.names[: SCHEMA.get_field_index("suspect") + 1]
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One version of a record, about to be stored."""

    record: UsageRecord
    raw: RawReference
    fingerprint: str
    version: int


def declare(lake: Lake) -> None:
    """Tell the lake what the table looks like, so that it reads as empty before the first record."""
    lake.declare(TABLE, SCHEMA)


def rows_to_arrow(rows: Sequence[Row], *, source: str, batch_id: str, known_from: datetime) -> pyarrow.Table:
    """Rows as the lake takes them."""
    columns = {column: [getattr(row.record, name) for row in rows] for column, name in _FROM_RECORD}
    columns["fingerprint"] = [row.fingerprint for row in rows]
    columns["version"] = [row.version for row in rows]
    columns["known_from"] = [known_from] * len(rows)
    columns["source"] = [source] * len(rows)
    columns["batch_id"] = [batch_id] * len(rows)
    columns["raw_sha256"] = [row.raw.sha256 for row in rows]
    columns["raw_offset"] = [row.raw.offset for row in rows]
    columns["raw_length"] = [row.raw.length for row in rows]
    return pyarrow.table(columns, schema=SCHEMA)
