"""The lake's table of usage: one row a version of a record, never changed.

Which version of a record stands is decided when it is read, see ``usage``. Rows are made in columns, for
single objects cost more than all the rest of storing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow
import pyarrow.compute as pc

from opengoc.accounting.model import Kind, UsageRecord
from opengoc.store.lake import Lake

TABLE = "accounting_usage"
#: Partitions of the table: UTC day of the end.
PARTITION = "ended_on"

#: Batch systems number their jobs 4711; HTCondor's global id holds that as host#4711.0#time.
BATCH_ID = r"^(?:[^#]*#)?([0-9]+)[.][0-9]+#.*$"

_TIME = pyarrow.timestamp("us", tz="UTC")
#: What a record says: a column for each field of ``UsageRecord``.
RECORD = pyarrow.schema(
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
        ("jobs", pyarrow.int64()),
        ("fqan", pyarrow.string()),
        ("node_count", pyarrow.int64()),
        ("submit_host", pyarrow.string()),
        ("benchmark", pyarrow.string()),
        ("benchmark_value", pyarrow.float64()),
        ("bytes", pyarrow.int64()),
        ("files", pyarrow.int64()),
        ("protocol", pyarrow.string()),
        ("source_host", pyarrow.string()),
        ("destination_host", pyarrow.string()),
        ("estimated", pyarrow.bool_()),
    ]
)
#: Where the bytes of a record are in their batch.
PLACE = pyarrow.schema([("raw_offset", pyarrow.int64()), ("raw_length", pyarrow.int64())])
#: A record, and where its bytes are: what formats are read into.
READ = pyarrow.schema([*RECORD, *PLACE])
SCHEMA = pyarrow.schema(
    [
        *READ,
        ("suspect", pyarrow.bool_()),
        (PARTITION, pyarrow.date32()),
        # Digests of what makes the record one, and of all it says: see ``seen``.
        ("identity", pyarrow.int64()),
        ("content", pyarrow.int64()),
        # What follows is ours: which version this is, when it was learned, and from which bytes.
        ("version", pyarrow.int32()),
        ("known_from", _TIME),
        ("source", pyarrow.string()),
        ("batch_id", pyarrow.string()),
        ("raw_sha256", pyarrow.string()),
    ]
)
#: Column → field of UsageRecord.
FIELDS = {column: "user" if column == "user_name" else column for column in RECORD.names}


def declare(lake: Lake) -> None:
    """Tell the lake what the table looks like, so that it reads as empty before the first record."""
    lake.declare(TABLE, SCHEMA)


def read_columns(records: Sequence[UsageRecord], places: Sequence[tuple[int, int]]) -> pyarrow.Table:
    """Records as columns; ``places`` are the offset and length of each."""
    columns = {column: [getattr(record, name) for record in records] for column, name in FIELDS.items()}
    columns["raw_offset"] = [offset for offset, _ in places]
    columns["raw_length"] = [length for _, length in places]
    return pyarrow.table(columns, schema=READ)


def records_of(rows: pyarrow.Table) -> list[UsageRecord]:
    """The records that rows tell of. Raises InvalidInput for a row that no record can be made of."""
    made = []
    for row in rows.select(RECORD.names).to_pylist():
        values: dict[str, Any] = {name: _utc(row[column]) for column, name in FIELDS.items()}
        values["kind"] = Kind(values["kind"])
        made.append(UsageRecord(**values))
    return made


def _utc(value: Any) -> Any:
    """Times as records hold them: the zone itself, not one of its name."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def rows_to_store(
    read: pyarrow.Table,
    stamps: pyarrow.Table,
    *,
    source: str,
    batch_id: str,
    known_from: datetime,
    sha256: str,
) -> pyarrow.Table:
    """Rows as the lake takes them; ``stamps`` holds identity, content and version of each."""
    cpu = pc.add(pc.fill_null(read["cpu_user_seconds"], 0.0), pc.fill_null(read["cpu_system_seconds"], 0.0))
    core = pc.multiply(read["wall_seconds"], pc.cast(read["processors"], pyarrow.float64()))
    count = len(read)
    ours = {
        "suspect": pc.greater(cpu, core),
        PARTITION: pc.cast(read["ended_at"], pyarrow.date32()),
        "identity": stamps["identity"],
        "content": stamps["content"],
        "version": stamps["version"],
        "known_from": pyarrow.repeat(pyarrow.scalar(known_from, _TIME), count),
        "source": pyarrow.repeat(source, count),
        "batch_id": pyarrow.repeat(batch_id, count),
        "raw_sha256": pyarrow.repeat(sha256, count),
    }
    columns = {name: ours[name] if name in ours else read[name] for name in SCHEMA.names}
    return pyarrow.table(columns).cast(SCHEMA)
