"""The lake's table of partial sums of usage: see ``summary``."""

from __future__ import annotations

import pyarrow

from opengoc.accounting.table import PARTITION

SUMMARY_TABLE = "accounting_summary"
#: What summed records are told apart by, before factory and registry are asked what they know.
KEY = pyarrow.schema(
    [
        (PARTITION, pyarrow.date32()),
        *((name, pyarrow.string()) for name in ("source", "kind", "site", "resource", "vo", "granted_vo")),
        *((name, pyarrow.string()) for name in ("project", "queue", "entry", "status", "pilot_id")),
    ]
)
#: What is counted of records, and adds up; null where none of them tells.
COUNTS = pyarrow.schema(
    [
        ("jobs", pyarrow.int64()),
        ("wall_seconds", pyarrow.float64()),
        ("core_seconds", pyarrow.float64()),
        ("cpu_seconds", pyarrow.float64()),
        ("cpu_core_seconds", pyarrow.float64()),
        ("jobs_without_cpu", pyarrow.int64()),
        ("suspects", pyarrow.int64()),
        ("records", pyarrow.int64()),
        ("estimated", pyarrow.int64()),
        # A grid moves more than 2^63 bytes, 8 EiB, in a few years.
        ("bytes", pyarrow.decimal128(38, 0)),
        ("hs06_seconds", pyarrow.float64()),
        ("hepscore23_seconds", pyarrow.float64()),
        ("jobs_without_hs06", pyarrow.int64()),
        ("jobs_without_hepscore23", pyarrow.int64()),
    ]
)
SUMMARY = pyarrow.schema([*KEY, *COUNTS])
