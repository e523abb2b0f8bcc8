"""Usage records that stand, out of the lake: as records of a format of others, or as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import pyarrow
import pyarrow.parquet

from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.table import RECORD, TABLE, declare, records_of
from opengoc.accounting.usage import standing
from opengoc.accounting.writing import WRITERS
from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.base.output import plain_file
from opengoc.store.lake import Lake

#: Formats that records are written in.
FORMATS = (*WRITERS, "parquet")
_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which records are exported: those that stood at ``as_of`` and ended within the window."""

    window: Interval
    kind: Kind | None = None
    source: str | None = None
    as_of: datetime


def export(lake: Lake, wanted: Wanted, form: str, to: Path) -> int:
    """Write records to a file, which is there whole or not at all; gives how many were read.

    Records are as their sources sent them: corrections are applied to sums alone. Raises InvalidInput for an
    unknown format, and for a file that cannot be written.
    """
    if form not in FORMATS:
        raise InvalidInput("format", form, f"must be one of {', '.join(FORMATS)}")
    target = plain_file(to)
    rows = standing(lake, window=wanted.window, as_of=wanted.as_of, kind=wanted.kind, source=wanted.source)
    aside = target.with_name(f".{target.name}.part")
    try:
        with aside.open("wb") as file:
            _write(rows, form, file)
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InvalidInput(str(to), error.strerror, "cannot be written") from error
    return len(rows)


def has_source(lake: Lake, source: str) -> bool:
    """Whether a record of a source of that name was ever stored, whatever the settings name now."""
    declare(lake)
    sql = f"SELECT 1 FROM {TABLE} WHERE source = ? LIMIT 1"
    return len(lake.query(sql, [source], tables=[TABLE])) > 0


def _write(rows: pyarrow.Table, form: str, file: IO[bytes]) -> None:
    if form == "parquet":
        pyarrow.parquet.write_table(rows.cast(RECORD), file, compression="zstd")
        return
    for text in WRITERS[form](_records(rows)):
        file.write(text.encode())


def _records(rows: pyarrow.Table) -> Iterator[UsageRecord]:
    for batch in rows.to_batches(_ROWS):
        yield from records_of(pyarrow.Table.from_batches([batch]))
