"""Our own JSON lines: everything a record says, one object a line. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from opengoc.accounting.model import UsageRecord
from opengoc.accounting.table import FIELDS
from opengoc.base.instant import format_instant


def write(records: Iterable[UsageRecord]) -> Iterator[str]:
    """One line a record."""
    for record in records:
        told = {column: _value(getattr(record, name)) for column, name in FIELDS.items()}
        known = {column: value for column, value in told.items() if value is not None}
        yield json.dumps(known, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def _value(value: Any) -> Any:
    return format_instant(value) if isinstance(value, datetime) else value
