"""The lake: high-volume records in Delta Lake tables, asked with SQL through DuckDB.

A batch is in a table or not, never in part: its rows and its name go into one Delta commit, as an application
transaction of the Delta protocol (https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Transaction
Identifiers"). Any engine that reads Delta reads the same tables. A process killed in the middle of an
append leaves at most a file that no version refers to.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError, TableNotFoundError

from opengoc.base.errors import InvalidInput, Permanent, Temporary
from opengoc.base.instant import utc_now

if TYPE_CHECKING:
    # Half a second to import: done where a table is asked, not for every command.
    import duckdb
    import pyarrow.dataset

_TABLE = re.compile(r"[a-z][a-z0-9_]*")
#: How DuckDB says that the fault lies with the files of a table, not with the question.
_OF_THE_FILES = re.compile(r"stream registered as|arrow_scan|get_next")
#: Tries against other writers before an append gives up as Temporary.
_COMMIT_TRIES = 20
#: Versions are the evidence behind published reports: each stays readable for a year and a month. Files that
#: compaction replaced are remembered as long, or vacuum would take them for older than they are.
_CONFIGURATION = {
    "delta.logRetentionDuration": "interval 400 days",
    "delta.deletedFileRetentionDuration": "interval 400 days",
}


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What was put into a table between two of its versions."""

    #: Names of the batches.
    batches: frozenset[str]
    #: Values of its partition that rows were put into, as the table's log writes them.
    partitions: frozenset[str]


class Lake:
    """The tables under one folder. Threads and processes may share the folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._declared: dict[str, pyarrow.Schema] = {}
        # Beside the folder, so that it is there when the folder is not.
        self._list = root.with_name(f"{root.name}.tables")
        self._listed = set[str]()

    def declare(self, table: str, schema: pyarrow.Schema) -> None:
        """Say what a table looks like: appends are held to it, views show it, and an absent table is empty.

        A column that files of an earlier release lack reads as null. Raises InvalidInput for a type that
        Delta would keep as another one, and for times without a zone.
        """
        self._path(table)
        _check_times(table, schema)
        self._declared[table] = schema

    def append(
        self, table: str, rows: pyarrow.Table, *, batch_id: str, partition_by: Sequence[str] | None = None
    ) -> bool:
        """Put a batch into a table, made where it is lacking; False when a batch of this id is in already.

        Either all rows are in when this returns, or none; a batch sent again, even at the same moment by
        another process, goes in once. ``partition_by`` counts when the table is made. Raises InvalidInput
        when the rows are not as declared, Temporary when the disk is full or other writers left no gap.
        """
        path = self._path(table)
        if not batch_id:
            raise InvalidInput("batch_id", batch_id, "must not be empty")
        rows = self._conform(table, rows)
        for attempt in range(_COMMIT_TRIES):
            try:
                standing = self._open(table) or _create(path, rows.schema, partition_by)
                if standing.transaction_version(batch_id) is not None:
                    return False
                _commit(standing, path.name, rows, batch_id)
                self._remember(table)
            except CommitFailedError:
                # Another writer was first: made the table, widened it, or sent this very batch. Look again.
                time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
            else:
                return True
        raise Temporary(f"table {table}: other writers left no gap for batch {batch_id}", retry_after=5.0)

    def changes(self, table: str, *, after: int, until: int) -> Changes | None:
        """What was appended after one version, up to and with another; compaction changes nothing.

        None where that cannot be told: the log does not reach back so far, or rows were taken away. Read from
        the table's own log, so that nothing can be forgotten or told twice.
        """
        batches, partitions = set[str](), set[str]()
        for version in range(after + 1, until + 1):
            try:
                lines = (self._path(table) / "_delta_log" / f"{version:020}.json").read_text().splitlines()
            except OSError:
                return None
            for action in map(json.loads, lines):
                if action.get("remove", {}).get("dataChange"):
                    return None
                if action.get("add", {}).get("dataChange"):
                    partitions |= set(action["add"]["partitionValues"].values())
                if "txn" in action:
                    batches.add(action["txn"]["appId"])
        return Changes(batches=frozenset(batches), partitions=frozenset(partitions))

    def replace(
        self,
        table: str,
        rows: pyarrow.Table,
        *,
        expect: int | None,
        partition: str,
        days: Collection[date] | None,
        marks: Mapping[str, int],
    ) -> None:
        """Put rows in place of all that is there of ``days`` of a partition (None: of all), in one commit.

        ``marks`` are numbers that the same commit keeps. ``expect`` is the version that the rows were made
        from, None where there was no table. Raises Temporary when another replacement came after it, or when
        the disk is full: nothing is kept then.
        """
        path = self._path(table)
        rows = self._conform(table, rows)
        named = ", ".join(f"'{day.isoformat()}'" for day in sorted(days or ()))
        kept = CommitProperties(app_transactions=[Transaction(name, mark) for name, mark in marks.items()])
        try:
            standing = self._open(table, expect) if expect is not None else None
            standing = standing or _create(path, rows.schema, [partition])
            if days is not None and not days:
                write_deltalake(standing, rows.slice(0, 0), mode="append", commit_properties=kept)
                return
            write_deltalake(
                standing,
                rows,
                mode="overwrite",
                predicate=f"{partition} IN ({named})" if days else None,
                # A later release may keep columns of other types.
                schema_mode="overwrite" if days is None else None,
                commit_properties=kept,
            )
        except CommitFailedError as error:
            raise Temporary(f"table {table} is being replaced by another process", retry_after=5.0) from error
        except (OSError, DeltaError) as error:
            raise _translate(table, error) from error

    def marks(self, table: str, names: Sequence[str], *, version: int | None = None) -> dict[str, int]:
        """The numbers that ``replace`` last kept under names, as of a version; absent where it kept none."""
        standing = self._open(table, version)
        if standing is None:
            return {}
        found = {name: standing.transaction_version(name) for name in names}
        return {name: int(number) for name, number in found.items() if number is not None}

    def tables(self) -> list[str]:
        """Names of the tables that were ever appended to, sorted."""
        if not self._root.is_dir():
            return []
        return sorted(entry.name for entry in self._root.iterdir() if self._is_table(entry.name))

    def has(self, table: str) -> bool:
        """Whether the table was ever appended to."""
        return self._is_table(table)

    def version(self, table: str) -> int | None:
        """The newest version of a table, the evidence for what is read now; None while it is absent."""
        standing = self._open(table)
        return None if standing is None else int(standing.version())

    def connection(
        self, *tables: str, as_of_version: int | Mapping[str, int] | None = None
    ) -> duckdb.DuckDBPyConnection:
        """A fresh DuckDB with one view per table, each fixed at one version; close it after use.

        ``as_of_version`` is one version for all tables or one for each; a table it leaves out is read as it
        is now. The time zone is UTC, and SQL reaches nothing but the views: no file and no network. Raises
        InvalidInput for an absent table that was not declared, and for a version that never was.
        """
        import duckdb

        views = {
            table: self._rows(
                table, as_of_version.get(table) if isinstance(as_of_version, Mapping) else as_of_version
            )
            for table in tables
        }
        connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
            }
        )
        connection.execute("SET TimeZone = 'UTC'")
        # A bar on standard output would stand among the results.
        connection.execute("SET enable_progress_bar = false")
        for table, rows in views.items():
            connection.register(table, rows)
        connection.execute("SET enable_external_access = false")
        return connection

    def query(
        self,
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] = (),
        *,
        tables: Sequence[str],
        as_of_version: int | Mapping[str, int] | None = None,
    ) -> pyarrow.Table:
        """The answer to one SQL query over ``tables``; ``params`` fill ``?`` or ``$name``.

        Raises InvalidInput when DuckDB refuses the query or its values, Temporary when memory or disk run
        out, Permanent when a file is damaged or gone.
        """
        import duckdb

        with self.connection(*tables, as_of_version=as_of_version) as connection:
            try:
                with asking():
                    answer = connection.sql(sql, params=params or None)
                    if answer is None:
                        raise InvalidInput("query", sql, "must be one query that answers rows")
                    return answer.to_arrow_table()
            except duckdb.Error as error:
                raise InvalidInput("query", sql, str(error)) from error

    def compact(self, table: str) -> int:
        """Join small files of a table into large ones; gives how many went. Earlier versions stay readable.

        Appends go on meanwhile. Raises Temporary when another compaction won or the disk is full.
        """
        standing = self._open(table)
        if standing is None:
            return 0
        try:
            return int(standing.optimize.compact()["numFilesRemoved"])
        except CommitFailedError as error:
            raise Temporary(
                f"table {table} is being compacted by another process", retry_after=60.0
            ) from error
        except (OSError, DeltaError) as error:
            raise _translate(table, error) from error

    def vacuum(
        self, table: str, *, older_than: timedelta, keep: Collection[int] = (), dry_run: bool = False
    ) -> int:
        """Remove files that the newest version lacks and that are older; gives how many went, or would go.

        Versions that need them cannot be read any more, but for those in ``keep``. What a killed process left
        goes too. Raises Temporary when another process vacuums at the same time.
        """
        standing = self._open(table)
        if standing is None:
            return 0
        try:
            gone = standing.vacuum(
                retention_hours=int(older_than.total_seconds() // 3600),
                dry_run=dry_run,
                enforce_retention_duration=False,
                full=True,
                keep_versions=sorted(each for each in keep if each <= standing.version()) or None,
            )
        except CommitFailedError as error:
            raise Temporary(
                f"table {table} is being vacuumed by another process", retry_after=60.0
            ) from error
        except (OSError, DeltaError) as error:
            raise _translate(table, error) from error
        return len(gone)

    def _path(self, table: str) -> Path:
        if _TABLE.fullmatch(table) is None:
            raise InvalidInput("table", table, "must be lower case letters, digits and _, a letter first")
        return self._root / table

    def _is_table(self, name: str) -> bool:
        return _TABLE.fullmatch(name) is not None and self._open(name) is not None

    def _open(self, table: str, version: int | None = None) -> DeltaTable | None:
        path = self._path(table)
        try:
            return DeltaTable(path, version=version)
        except TableNotFoundError:
            rows = any(path.glob("*/*.parquet")) or any(path.glob("*.parquet"))
            was_made = rows or table in self._made()
            # In this order: another writer makes the log first.
            if was_made and not DeltaTable.is_deltatable(path):
                # Taken for a table that never was, all of them would be gone in silence.
                what = (
                    f"has lost its log {path / '_delta_log'}: restore it from a backup"
                    if rows
                    else f"was made and is gone from {self._root}: mount it, restore it from a backup,"
                    f" or take its line out of {self._list} to begin it anew"
                )
                raise Permanent(f"table {table} {what}") from None
            return None
        except (OSError, DeltaError) as error:
            raise _translate(table, error) from error

    def _made(self) -> set[str]:
        """The tables that batches were ever put into, as far as it was noted."""
        try:
            return set(self._list.read_text(encoding="utf-8", errors="replace").split())
        except OSError:
            return set()

    def _remember(self, table: str) -> None:
        """Note that a table has batches: one that is only replaced can be made again from others.

        A disk that is full is no reason to fail: the next batch notes it.
        """
        if table in self._listed:
            return
        with suppress(OSError):
            if table not in self._made():
                with self._list.open("a", encoding="utf-8") as file:
                    file.write(f"{table}\n")
            self._listed.add(table)

    def _conform(self, table: str, rows: pyarrow.Table) -> pyarrow.Table:
        schema = self._declared.get(table)
        if schema is None:
            _check_times(table, rows.schema)
            return rows
        if sorted(rows.column_names) != sorted(schema.names):
            raise InvalidInput(f"columns of {table}", rows.column_names, f"must be {schema.names}")
        try:
            return rows.select(schema.names).cast(schema)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, ValueError) as error:
            raise InvalidInput(f"rows of {table}", str(rows.schema), str(error)) from error

    def _rows(self, table: str, version: int | None) -> pyarrow.dataset.Dataset:
        import pyarrow.dataset
        import pyarrow.fs

        standing = self._open(table)
        newest = None if standing is None else int(standing.version())
        if version is not None and (newest is None or not 0 <= version <= newest):
            raise InvalidInput(f"version of {table}", version, f"must be from 0 to {newest}")
        if version not in (None, newest):
            standing = self._open(table, version)
        schema = self._declared.get(table)
        if standing is not None:
            # Not the table's own file system, which is Python: a file still read ahead when the process ends
            # would need the interpreter, which is gone, and the process would hang or crash.
            files = pyarrow.fs.SubTreeFileSystem(str(self._path(table)), pyarrow.fs.LocalFileSystem())
            return standing.to_pyarrow_dataset(filesystem=files, schema=schema)
        if schema is None:
            raise InvalidInput("table", table, "is not in the lake, and nothing declares it")
        return pyarrow.dataset.dataset(schema.empty_table())


@contextmanager
def asking() -> Iterator[None]:
    """A block in which DuckDB reads tables of the lake.

    Raises Temporary when memory or disk run out, Permanent when a file of a table is damaged or gone, and
    DuckDB's own error for a question that it refuses.
    """
    import duckdb

    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise Temporary(f"the lake cannot be read now: {error}", retry_after=60.0) from error
    except duckdb.Error as error:
        if _OF_THE_FILES.search(str(error)) is None:
            raise
        raise Permanent(
            f"a file of the lake is damaged or gone: restore it from a backup ({error})"
        ) from error


def _create(path: Path, schema: pyarrow.Schema, partition_by: Sequence[str] | None) -> DeltaTable:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return DeltaTable.create(
            path, schema, mode="error", partition_by=list(partition_by or ()), configuration=_CONFIGURATION
        )
    except CommitFailedError:
        raise
    except (OSError, DeltaError) as error:
        if DeltaTable.is_deltatable(path):
            raise CommitFailedError(f"table {path.name} was made by another writer") from error
        raise _translate(path.name, error) from error


def _commit(standing: DeltaTable, table: str, rows: pyarrow.Table, batch_id: str) -> None:
    """Write the batch on top of the version that ``standing`` has open.

    Never by path: that would open the table anew and miss a batch that came in since it was looked at. Delta
    refuses this commit when one after that version names the same batch.
    """
    other_columns = {column.name for column in standing.schema().fields} != set(rows.column_names)
    now_ms = int(utc_now().timestamp() * 1000)
    try:
        write_deltalake(
            standing,
            rows,
            mode="append",
            # Only where it is needed: a change of schema conflicts with every other append.
            schema_mode="merge" if other_columns else None,
            commit_properties=CommitProperties(app_transactions=[Transaction(batch_id, 1, now_ms)]),
        )
    except CommitFailedError:
        raise
    except SchemaMismatchError as error:
        raise InvalidInput(f"table {table}", str(rows.schema), str(error)) from error
    except (OSError, DeltaError) as error:
        raise _translate(table, error) from error


def _check_times(table: str, schema: pyarrow.Schema) -> None:
    for column in schema:
        if pyarrow.types.is_timestamp(column.type) and column.type != pyarrow.timestamp("us", tz="UTC"):
            raise InvalidInput(f"{table}.{column.name}", str(column.type), "must be timestamp[us, tz=UTC]")


def _translate(table: str, error: Exception) -> Temporary | Permanent:
    """The house's error for one of delta-rs, which tells a full disk in the text only."""
    if "No space left" in str(error) or "os error 28" in str(error):
        return Temporary(
            f"table {table}: no space left on its disk: free some, then run again", retry_after=60.0
        )
    if isinstance(error, OSError):
        return Temporary(f"table {table} cannot be read or written now: {error}", retry_after=60.0)
    return Permanent(f"table {table} cannot be used: {error}")
