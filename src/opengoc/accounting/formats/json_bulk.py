"""Our own JSON lines, many at once. Pure.

Arrow's reader takes lines that hold one object each, of known keys and types. A stretch that it refuses is
halved until it takes the halves; what is left of a few lines is read line by line.
"""

from __future__ import annotations

import io

import numpy
import pyarrow
import pyarrow.compute as pc
import pyarrow.json

from opengoc.accounting.columns import assembled, plain
from opengoc.accounting.formats.json_records import is_closed
from opengoc.accounting.formats.piece import Made, Tail
from opengoc.accounting.source import Source
from opengoc.accounting.table import READ, RECORD

_OPTIONS = pyarrow.json.ParseOptions(explicit_schema=RECORD, unexpected_field_behavior="error")
#: What one thread parses at a time.
_BLOCK_BYTES = 2 * 1024 * 1024
#: Fewer lines than this are read one by one.
_FEW = 64
_NEWLINE, _OPEN, _CLOSE = b"\n{}"
_OURS = b'"global_job_id"'


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Made | None:  # noqa: ARG001
    """The lines of ``data``; None where they are not ours."""
    # A zero byte and a separator are spelt out by the slow way.
    if _OURS not in data[:4096] or b"\\u00" in data:
        return None
    if not _is_utf8(data):
        return None
    text = numpy.frombuffer(data, dtype=numpy.uint8)
    ends = numpy.flatnonzero(text == _NEWLINE) + 1
    if not len(ends):
        return None
    starts = numpy.concatenate(([0], ends[:-1]))
    if ((text[starts] != _OPEN) | (text[numpy.maximum(ends - 2, 0)] != _CLOSE)).any():
        return None
    found: list[pyarrow.Table] = []
    rest: list[tuple[int, int]] = []
    _read(data, starts, ends, source, found, rest)
    if not all(is_closed(line) for start, end in rest for line in data[start:end].splitlines()):
        # An object over several lines: where it ends only the slow way can tell.
        return None
    if ends[-1] < len(data):
        rest.append((int(ends[-1]), len(data)))
    return Made(records=pyarrow.concat_tables([READ.empty_table(), *found]), rest=tuple(sorted(rest)))


def _is_utf8(data: bytes) -> bool:
    """Whether the bytes are text: Arrow takes others as they come."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read(
    data: bytes,
    starts: numpy.ndarray,
    ends: numpy.ndarray,
    source: Source,
    found: list[pyarrow.Table],
    rest: list[tuple[int, int]],
) -> None:
    first, last = int(starts[0]), int(ends[-1])
    longest = int((ends - starts).max())
    options = pyarrow.json.ReadOptions(block_size=max(_BLOCK_BYTES, longest + 1))
    try:
        raw = pyarrow.json.read_json(
            io.BytesIO(data[first:last]), read_options=options, parse_options=_OPTIONS
        )
        if len(raw) != len(starts):
            raise pyarrow.ArrowInvalid("lines and objects do not go together")
        columns = {name: raw[name] for name in raw.column_names}
        columns["raw_offset"], columns["raw_length"] = pyarrow.array(starts), pyarrow.array(ends - starts)
        made = assembled(columns, len(raw), source)
    except pyarrow.ArrowInvalid:
        if len(starts) <= _FEW:
            rest.append((first, last))
            return
        half = len(starts) // 2
        _read(data, starts[:half], ends[:half], source, found, rest)
        _read(data, starts[half:], ends[half:], source, found, rest)
        return
    mask = plain(made)
    if not pc.all(mask).as_py():
        strange = numpy.flatnonzero(~numpy.asarray(mask))
        rest.extend((int(starts[at]), int(ends[at])) for at in strange)
        made = made.filter(mask)
    found.append(made)
