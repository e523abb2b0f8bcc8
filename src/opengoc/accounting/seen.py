"""Which records are new, which were read before, and which say something else than before.

Two digests of 63 bits stand for a record: its identity, and its content, which is all that it says. The lake
keeps both with every row, and a run asks for them once. Should two identities ever share a digest, the later
record is counted as a restatement, and still summed as the record of its own that it is: readers go by the
identity itself. A record is taken for known only when both digests are equal.

Fields that are not known do not enter the content: a field that a later release adds changes no digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import duckdb
import numpy
import pyarrow
import pyarrow.compute as pc

from opengoc.accounting.table import RECORD, TABLE
from opengoc.store.lake import Lake, asking

#: Rows that one thread works on at a time.
_ROWS_A_THREAD = 16_384
#: Stands between the fields under a digest; texts of records hold none, see ``without_separator``.
_SEPARATOR = "\x1f"
#: Texts that usage is summed up by.
_NAMES = ("site", "vo", "project")


def _digest(*texts: str) -> str:
    return f"(md5_number_lower(concat_ws(chr(31), {', '.join(texts)})) >> 1)::BIGINT"


def _said(field: pyarrow.Field) -> str:
    """A field of a record as text: null where it is not known."""
    name = f'"{field.name}"'
    if pyarrow.types.is_timestamp(field.type):
        return f"'{field.name}=' || epoch_us({name})"
    if pyarrow.types.is_floating(field.type):
        # Thousandths, for the text of a number with a fraction is not the same everywhere.
        return f"'{field.name}=' || ({name} * 1000)::BIGINT"
    if pyarrow.types.is_boolean(field.type):
        return f"CASE WHEN {name} THEN '{field.name}' END"
    if field.name == "jobs":
        return f"CASE WHEN {name} <> 1 THEN 'jobs=' || {name} END"
    return f"'{field.name}=' || {name}"


IDENTITY = _digest("instance", "global_job_id", "attempt::VARCHAR")
CONTENT = _digest(*(_said(field) for field in RECORD), "''")

# Tables of an earlier release hold no digests: they are worked out.
_LOAD = f"""
    CREATE TABLE known AS
    SELECT coalesce(identity, {IDENTITY}) AS identity, coalesce(content, {CONTENT}) AS content, version
    FROM {TABLE} WHERE batch_id <> $without
"""
_ALL_NEW = """
    SELECT count(*) = count(DISTINCT identity)
        AND NOT EXISTS (SELECT 1 FROM known SEMI JOIN stamp USING (identity))
    FROM stamp
"""
_EVERY = "SELECT nth, identity, content, 1 AS version FROM stamp ORDER BY nth"
_ONLY_NEW = """
    WITH first AS (
        SELECT * FROM stamp ANTI JOIN known USING (identity, content)
        QUALIFY row_number() OVER (PARTITION BY identity, content ORDER BY nth) = 1
    ),
    highest AS (
        SELECT identity, max(version) AS version FROM known SEMI JOIN first USING (identity) GROUP BY identity
    )
    SELECT nth, identity, content, (coalesce(highest.version, 0)
        + row_number() OVER (PARTITION BY identity ORDER BY nth))::INTEGER AS version
    FROM first LEFT JOIN highest USING (identity) ORDER BY nth
"""


def _stamp(read: pyarrow.Table) -> str:
    """SQL of both digests; columns that hold nothing are left out, for nothing they would say."""
    said = [_said(field) for field in RECORD if read[field.name].null_count < len(read)]
    return f"""
        CREATE OR REPLACE TEMP TABLE stamp AS
        SELECT nth, {IDENTITY} AS identity, {_digest(*said, "''")} AS content FROM incoming
    """


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """A batch, compared with what is known."""

    #: New records, and restatements: as they were read.
    rows: pyarrow.Table
    #: Identity, content and version of each of them.
    stamps: pyarrow.Table
    stored: int
    restated: int
    duplicate: int


class Known:
    """What the lake holds, as digests; to be told what is added. Close it after use.

    Raises Temporary when memory or disk run out, Permanent for a damaged file of the lake.
    """

    def __init__(self, lake: Lake, *, without: str = "") -> None:
        """The lake is asked when it is needed, leaving out the rows of the batch ``without``."""
        self._lake = lake
        self._without = without
        self._version: int | None = None
        self._opened: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Known:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._opened is None:
            self._version = self._lake.version(TABLE)
            self._opened = self._lake.connection(TABLE, as_of_version=self._version)
            with asking():
                self._opened.execute(_LOAD, {"without": self._without})
        return self._opened

    def renew(self) -> None:
        """Forget what is known if somebody else wrote to the table meanwhile."""
        if self._version != self._lake.version(TABLE):
            self.close()

    def in_step(self) -> None:
        """The table stands as it is known: what was written to it was told, or changes no row."""
        self._version = self._lake.version(TABLE)

    def sort_out(self, read: pyarrow.Table) -> Sorted:
        """Compare records with all that is known, and with one another.

        A record whose very content was stored under its identity at any time is a duplicate; one with other
        content is a restatement.
        """
        numbered = read.append_column("nth", pyarrow.array(numpy.arange(len(read))))
        # In pieces: each is one thread's work.
        pieces = pyarrow.Table.from_batches(
            numbered.to_batches(max_chunksize=_ROWS_A_THREAD), numbered.schema
        )
        self._connection.register("incoming", pieces)
        self._ask(_stamp(read))
        self._connection.unregister("incoming")
        (all_new,) = self._ask(_ALL_NEW).fetchall()[0]
        stamps = self._rows(_EVERY if all_new else _ONLY_NEW)
        rows = read if len(stamps) == len(read) else read.take(stamps["nth"])
        restated = pc.sum(pc.greater(stamps["version"], 1)).as_py() or 0
        return Sorted(
            rows=rows,
            stamps=stamps,
            stored=len(rows) - restated,
            restated=restated,
            duplicate=len(read) - len(rows),
        )

    def add(self, compared: Sorted) -> None:
        """Know what was stored."""
        self._connection.register("added", compared.stamps)
        self._ask("INSERT INTO known SELECT identity, content, version FROM added")
        self._connection.unregister("added")
        self.in_step()

    def _ask(self, sql: str, params: object = None) -> duckdb.DuckDBPyConnection:
        with asking():
            return self._connection.execute(sql, params)

    def _rows(self, sql: str) -> pyarrow.Table:
        with asking():
            return self._connection.sql(sql).to_arrow_table()


def without_separator(read: pyarrow.Table) -> pyarrow.Table:
    r"""The same records with ``\x1f`` spelt out in their texts, and names as they are meant.

    Blanks around a name are none of it, and a name of blanks alone is not known.
    """
    for index, field in enumerate(read.schema):
        if not pyarrow.types.is_string(field.type):
            continue
        column = read.column(index)
        if pc.any(pc.match_substring(column, _SEPARATOR)).as_py():
            read = read.set_column(index, field, pc.replace_substring(column, _SEPARATOR, "\\x1f"))
        if field.name in _NAMES:
            read = _trimmed(read, index)
    return read


def _trimmed(read: pyarrow.Table, index: int) -> pyarrow.Table:
    column = read.column(index)
    names = pc.utf8_trim_whitespace(column)
    empty = pc.equal(names, "")
    if pc.all(pc.equal(names, column)).as_py() is not False and not pc.any(empty).as_py():
        return read
    return read.set_column(index, read.schema.field(index), pc.if_else(empty, None, names))
