"""Records of many rows at once: defaults filled in, and rows that surely are records told from the others.

What a record must be is said once, by ``UsageRecord``. Here stands a mask that lets pass only what it
accepts; rows that are not let pass are read one by one, and so get their reason from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, reduce
from typing import Any

import pyarrow
import pyarrow.compute as pc

from opengoc.accounting.model import EARLIEST, MAX_BENCHMARK, MAX_BYTES, MAX_JOBS, MAX_SECONDS, Kind
from opengoc.accounting.source import Source
from opengoc.accounting.table import READ, RECORD

_COUNTS = ("memory_mib", "node_count", "bytes", "files", "attempt", "sequence")


def assembled(columns: Mapping[str, Any], count: int, source: Source) -> pyarrow.Table:
    """Columns of ``table.READ``: those given, defaults and nulls for the others. Raises ArrowInvalid."""
    made = {name: columns.get(name) for name in READ.names}
    ended = made["ended_at"]
    defaults: dict[str, Any] = {
        "instance": source.instance or source.name,
        "attempt": 0,
        "kind": source.kind.value,
        "site": source.site,
        "status": "unknown",
        "jobs": 1,
        "estimated": False,
    }
    for name, default in defaults.items():
        if made[name] is not None and default is not None:
            made[name] = pc.fill_null(made[name], default)
        elif made[name] is None:
            made[name] = pyarrow.repeat(pyarrow.scalar(default, READ.field(name).type), count)
    seconds = whole_seconds(ended)
    made["sequence"] = seconds if made["sequence"] is None else pc.coalesce(made["sequence"], seconds)
    arrays = [
        pyarrow.nulls(count, field.type) if made[field.name] is None else _cast(made[field.name], field.type)
        for field in READ
    ]
    return pyarrow.table(arrays, schema=READ)


@cache
def _kinds() -> pyarrow.Array:
    # Not at import: the first array of a process loads pandas where that is installed.
    return pyarrow.array([kind.value for kind in Kind])


def _cast(column: Any, type_: pyarrow.DataType) -> Any:
    return column if column.type == type_ else pc.cast(column, type_)


def whole_seconds(instants: Any) -> Any:
    """Instants as whole seconds since 1970."""
    return pc.cast(pc.cast(instants, pyarrow.timestamp("s", tz="UTC"), safe=False), pyarrow.int64())


def plain(read: pyarrow.Table) -> Any:
    """Which rows surely are records: a mask without nulls."""
    checks = [
        _not_empty(read["instance"]),
        _not_empty(read["global_job_id"]),
        pc.is_in(read["kind"], value_set=_kinds()),
        pc.greater(read["processors"], 0),
        pc.greater_equal(read["ended_at"], pyarrow.scalar(EARLIEST, RECORD.field("ended_at").type)),
        _or_null(read["started_at"], pc.less_equal(read["started_at"], read["ended_at"])),
        _within(read["wall_seconds"], MAX_SECONDS),
        pc.greater(read["jobs"], 0),
        pc.less_equal(read["jobs"], MAX_JOBS),
        _or_null(read["bytes"], pc.less_equal(read["bytes"], MAX_BYTES)),
        pc.is_valid(read["status"]),
        *(
            _or_null(read[name], _within(read[name], MAX_SECONDS))
            for name in ("cpu_user_seconds", "cpu_system_seconds")
        ),
        _or_null(read["benchmark_value"], _within(read["benchmark_value"], MAX_BENCHMARK)),
        *(_or_null(read[name], pc.greater_equal(read[name], 0)) for name in _COUNTS),
    ]
    return pc.fill_null(reduce(pc.and_, checks), False)


def _not_empty(column: Any) -> Any:
    return pc.greater(pc.binary_length(column), 0)


def _within(column: Any, highest: float) -> Any:
    return pc.and_(pc.greater_equal(column, 0), pc.less_equal(column, highest))


def _or_null(column: Any, check: Any) -> Any:
    return pc.or_kleene(pc.is_null(column), check)
