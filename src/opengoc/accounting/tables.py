"""Files that hold records as columns: Parquet and Arrow, with the columns of ``table.RECORD``. Pure.

A column may be of any type that becomes the declared one without a loss; what is lacking is not known. The
place of a record is its row, counted from 0; as bytes it has none of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy
import pyarrow
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet

from opengoc.accounting.columns import assembled, plain
from opengoc.accounting.reading import Fault, Reading, without_future
from opengoc.accounting.seen import without_separator
from opengoc.accounting.source import Source
from opengoc.accounting.table import RECORD, records_of
from opengoc.base.errors import InvalidInput

#: Rows that are stored in one commit.
_ROWS = 100_000
_NEEDED = ("global_job_id", "ended_at", "wall_seconds", "processors")
_PARQUET, _ARROW = b"PAR1", b"ARROW1"


def recognise(head: bytes) -> str | None:
    """``parquet`` or ``arrow`` for a file that begins so, None for one without columns."""
    return "parquet" if head.startswith(_PARQUET) else "arrow" if head.startswith(_ARROW) else None


def readings(content: bytes, *, source: Source, known_from: datetime) -> Iterator[Reading]:
    """The records of a file, some rows at a time. Raises InvalidInput for one that is damaged."""
    try:
        row = 0
        for batch in _batches(content, source):
            yield _reading(batch, row, source, known_from)
            row += len(batch)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        raise InvalidInput(str(source.path), source.format, f"cannot be read: {error}") from error


def _batches(content: bytes, source: Source) -> Iterator[pyarrow.RecordBatch]:
    if recognise(content) == "parquet":
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        names = [name for name in file.schema_arrow.names if name in RECORD.names]
        _check(file.schema_arrow.names, source)
        yield from file.iter_batches(_ROWS, columns=names)
        return
    reader = pyarrow.ipc.open_file(pyarrow.BufferReader(content))
    _check(reader.schema.names, source)
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def _check(names: list[str], source: Source) -> None:
    lacking = set(_NEEDED) - set(names)
    if lacking:
        raise InvalidInput(str(source.path), sorted(names)[:8], f"has no column {', '.join(sorted(lacking))}")


def _reading(batch: pyarrow.RecordBatch, row: int, source: Source, known_from: datetime) -> Reading:
    count = len(batch)
    columns = {name: pyarrow.chunked_array([batch[name]]) for name in batch.schema.names}
    columns["raw_offset"] = pyarrow.array(numpy.arange(row, row + count))
    columns["raw_length"] = pyarrow.repeat(1, count)
    made = without_separator(assembled(columns, count, source))
    mask = plain(made)
    faults: list[Fault] = []
    if not pc.all(mask).as_py():
        faults = _faults(made.filter(pc.invert(mask)))
        made = made.filter(mask)
    return without_future(Reading(records=made, faults=tuple(faults), end=row + count), known_from)


def _faults(rows: pyarrow.Table) -> list[Fault]:
    """Why no record can be made of each of these rows."""
    found = []
    for at in range(len(rows)):
        row = rows.slice(at, 1)
        place = row["raw_offset"][0].as_py()
        lacking = [name for name in (*_NEEDED, "status") if row[name].null_count]
        found.append(Fault(start=place, end=place + 1, reason=_missing(lacking) or _reason(row)))
    return found


def _missing(names: list[str]) -> str:
    return f"{', '.join(names)}: is missing" if names else ""


def _reason(row: pyarrow.Table) -> str:
    try:
        records_of(row)
    except (InvalidInput, ValueError) as error:
        return str(error)
    return "is no record"
