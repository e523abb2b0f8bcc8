"""The lake: batches go in once, whole, and stay readable as they were."""

from __future__ import annotations

import random
import shutil
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow
import pytest
from deltalake import DeltaTable

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.store.engine import DuckDb
from opengoc.store.lake import Lake

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
SCHEMA = pyarrow.schema(
    [
        ("vo", pyarrow.string()),
        ("ended_at", pyarrow.timestamp("us", tz="UTC")),
        ("number", pyarrow.int64()),
        ("cpu_seconds", pyarrow.float64()),
    ]
)
KILLS = 20
ROWS_PER_BATCH = 50


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in which ``usage`` is declared."""
    lake = Lake(tmp_path / "lake")
    lake.declare("usage", SCHEMA)
    return lake


def rows(*numbers: int, vo: str = "cms", cpu_seconds: float | None = 1.5) -> pyarrow.Table:
    """Usage records with nothing special about them."""
    return pyarrow.Table.from_pylist(
        [{"vo": vo, "ended_at": NOON, "number": n, "cpu_seconds": cpu_seconds} for n in numbers],
        schema=SCHEMA,
    )


def numbers(lake: Lake, **more: Any) -> list[int]:
    """Every record's number, in order."""
    answer = lake.query("SELECT number FROM usage ORDER BY number", tables=["usage"], **more)
    return [int(number) for number in answer["number"].to_pylist()]


# -- a batch goes in once ----------------------------------------------------------------------------------


def test_a_batch_goes_in_once_however_often_it_is_sent(lake: Lake) -> None:
    assert lake.append("usage", rows(1, 2), batch_id="site-a/1") is True
    assert lake.append("usage", rows(1, 2), batch_id="site-a/1") is False
    assert lake.append("usage", rows(3), batch_id="site-a/2") is True
    assert numbers(lake) == [1, 2, 3]


def test_a_batch_is_known_to_another_process_that_opens_the_lake_later(lake: Lake, tmp_path: Path) -> None:
    lake.append("usage", rows(1), batch_id="site-a/1")
    # Past the checkpoint that Delta makes every hundred versions.
    for number in range(120):
        lake.append("usage", rows(2), batch_id=f"other/{number}")
    lake.compact("usage")
    later = Lake(tmp_path / "lake")
    assert later.append("usage", rows(1), batch_id="site-a/1") is False


def test_a_batch_without_rows_counts_as_in(lake: Lake) -> None:
    assert lake.append("usage", rows(), batch_id="quiet hour") is True
    assert lake.append("usage", rows(), batch_id="quiet hour") is False
    assert numbers(lake) == []


def test_a_batch_of_one_table_is_none_of_another(lake: Lake) -> None:
    assert lake.append("usage", rows(1), batch_id="1") is True
    assert lake.append("other", rows(1), batch_id="1") is True
    assert lake.tables() == ["other", "usage"]


def test_a_batch_sent_by_threads_at_one_moment_goes_in_once(lake: Lake, together: Any) -> None:
    for attempt in range(5):
        batch_id = f"site-a/{attempt}"
        outcomes = together(6, lambda _number, sent=batch_id: lake.append("usage", rows(1), batch_id=sent))
        assert sorted(outcomes) == [False] * 5 + [True]
    assert numbers(lake) == [1] * 5


def test_batches_appended_by_threads_at_one_moment_all_go_in(lake: Lake, together: Any) -> None:
    def append(number: int) -> list[bool]:
        return [
            lake.append(
                "usage",
                rows(10 * number + step, vo=f"vo{number}"),
                batch_id=f"{number}/{step}",
                partition_by=["vo"],
            )
            for step in range(5)
        ]

    assert together(4, append) == [[True] * 5] * 4
    assert numbers(lake) == [10 * number + step for number in range(4) for step in range(5)]


def test_appends_go_on_while_the_table_is_compacted(lake: Lake, together: Any) -> None:
    for number in range(10):
        lake.append("usage", rows(number), batch_id=str(number))

    def work(worker: int) -> object:
        if worker == 0:
            return [lake.compact("usage") for _ in range(3)]
        return [lake.append("usage", rows(100 + n), batch_id=f"late {n}") for n in range(10)]

    outcomes = together(2, work)
    assert outcomes[1] == [True] * 10
    assert numbers(lake) == [*range(10), *range(100, 110)]


# -- what is damaged ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut off", "gone"])
def test_a_damaged_file_is_named_not_taken_for_a_bad_question(
    lake: Lake, tmp_path: Path, damage: str
) -> None:
    lake.append("usage", rows(1, 2), batch_id="1")
    (file,) = (tmp_path / "lake" / "usage").glob("*.parquet")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(Permanent, match=f"restore it from a backup .*{file.name}"):
        numbers(lake)
    with DuckDb(lake, "usage") as engine, pytest.raises(Permanent, match="restore it from a backup"):
        engine.ask(ibis.table(ibis.Schema.from_pyarrow(SCHEMA), name="usage"), {})


def test_rows_whose_log_is_gone_are_no_empty_table(lake: Lake, tmp_path: Path) -> None:
    lake.append("usage", rows(1, 2), batch_id="1", partition_by=["vo"])
    shutil.rmtree(tmp_path / "lake" / "usage" / "_delta_log")
    with pytest.raises(Permanent, match="has lost its log"):
        numbers(lake)
    with pytest.raises(Permanent, match="has lost its log"):
        lake.append("usage", rows(3), batch_id="2")


def test_a_table_that_is_gone_is_no_empty_table_and_is_not_begun_anew(lake: Lake, tmp_path: Path) -> None:
    lake.append("usage", rows(1, 2), batch_id="1", partition_by=["vo"])
    # A file system that is not mounted, for this process and for one that comes later.
    (tmp_path / "lake").rename(tmp_path / "elsewhere")
    (tmp_path / "lake").mkdir()
    later = Lake(tmp_path / "lake")
    later.declare("usage", SCHEMA)
    for each in (lake, later):
        for use in (
            numbers,
            lambda lake: lake.append("usage", rows(3), batch_id="2"),
            lambda lake: lake.has("usage"),
        ):
            with pytest.raises(Permanent, match=r"was made and is gone from .*lake: mount it"):
                use(each)
    (tmp_path / "lake").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "lake")
    assert numbers(later) == [1, 2]
    # Given up for good: it begins anew.
    shutil.rmtree(tmp_path / "lake" / "usage")
    (tmp_path / "lake.tables").unlink()
    later.append("usage", rows(3), batch_id="2")
    assert numbers(later) == [3]


# -- what is read ------------------------------------------------------------------------------------------


def test_a_declared_table_is_empty_before_its_first_batch(lake: Lake) -> None:
    answer = lake.query("SELECT count(*) AS n, sum(cpu_seconds) AS cpu FROM usage", tables=["usage"])
    assert answer.to_pylist() == [{"n": 0, "cpu": None}]
    assert (lake.has("usage"), lake.version("usage"), lake.tables()) == (False, None, [])


def test_a_table_that_nobody_declared_or_filled_is_refused(lake: Lake) -> None:
    with pytest.raises(InvalidInput, match="nothing declares it"):
        lake.connection("wallet")


def test_every_kind_of_value_comes_back_as_it_went_in(lake: Lake) -> None:
    lake.append("usage", rows(1, vo="größe 'x'/%2F", cpu_seconds=None), batch_id="1", partition_by=["vo"])
    assert lake.query("SELECT * FROM usage", tables=["usage"]).to_pylist() == [
        {"vo": "größe 'x'/%2F", "ended_at": NOON, "number": 1, "cpu_seconds": None}
    ]


def test_an_earlier_version_answers_as_it_did_then(lake: Lake) -> None:
    lake.append("usage", rows(1), batch_id="1")
    then = lake.version("usage")
    lake.append("usage", rows(2), batch_id="2")
    assert numbers(lake, as_of_version=then) == [1]
    assert numbers(lake, as_of_version={"usage": then}) == [1]
    assert numbers(lake, as_of_version={"other": 0}) == [1, 2]


@pytest.mark.parametrize("version", [-1, 2])
def test_a_version_that_never_was_is_refused(lake: Lake, version: int) -> None:
    lake.append("usage", rows(1), batch_id="1")
    with pytest.raises(InvalidInput, match="must be from 0 to 1"):
        lake.connection("usage", as_of_version=version)


def test_an_open_connection_does_not_see_later_batches(lake: Lake) -> None:
    lake.append("usage", rows(1), batch_id="1")
    with lake.connection("usage") as connection:
        lake.append("usage", rows(2), batch_id="2")
        assert connection.sql("SELECT number FROM usage").fetchall() == [(1,)]


def test_compaction_joins_files_and_changes_no_answer_then_or_now(lake: Lake, tmp_path: Path) -> None:
    for number in range(8):
        lake.append("usage", rows(number), batch_id=str(number))
    assert lake.compact("usage") == 8
    assert len(DeltaTable(tmp_path / "lake" / "usage").file_uris()) == 1
    assert numbers(lake) == list(range(8))
    assert numbers(lake, as_of_version=4) == [0, 1, 2, 3]
    assert lake.compact("usage") == 0
    assert lake.compact("absent") == 0


def test_a_query_for_one_partition_reads_no_file_of_another(lake: Lake, tmp_path: Path) -> None:
    lake.append("usage", rows(1, vo="cms"), batch_id="1", partition_by=["vo"])
    lake.append("usage", rows(2, vo="ligo"), batch_id="2")
    for file in (tmp_path / "lake" / "usage" / "vo=ligo").iterdir():
        file.write_bytes(b"no Parquet at all")
    answer = lake.query("SELECT number FROM usage WHERE vo = ?", ["cms"], tables=["usage"])
    assert answer.to_pylist() == [{"number": 1}]
    with pytest.raises(Permanent):
        numbers(lake)


def test_times_are_utc_wherever_the_machine_stands(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    lake.append("usage", rows(1), batch_id="1")
    answer = lake.query("SELECT ended_at::VARCHAR AS t, hour(ended_at) AS h FROM usage", tables=["usage"])
    assert answer.to_pylist() == [{"t": "2026-11-16 12:00:00+00", "h": 12}]


def test_any_reader_of_delta_sees_the_same_rows(lake: Lake, tmp_path: Path) -> None:
    lake.append("usage", rows(1, 2), batch_id="1", partition_by=["vo"])
    table = DeltaTable(tmp_path / "lake" / "usage")
    assert sorted(table.to_pyarrow_table()["number"].to_pylist()) == [1, 2]
    assert table.metadata().partition_columns == ["vo"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY usage TO '/tmp/goc-stolen.csv'",
        "INSTALL delta",
        "ATTACH '/tmp/goc-stolen.db'",
        "SET enable_external_access = true",
        "SELECT * FROM secret",
        "SELEC",
        "SELECT wallet FROM usage",
        "",
    ],
)
def test_a_query_reaches_nothing_but_its_tables(lake: Lake, sql: str) -> None:
    secret = rows(1)
    assert secret.num_rows == 1
    with pytest.raises(InvalidInput, match="query"):
        lake.query(sql, tables=["usage"])


# -- what is refused, and how a table grows ----------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        rows(1).drop_columns(["vo"]),
        rows(1).append_column("more", pyarrow.array([1])),
        rows(1).set_column(2, "number", pyarrow.array(["seven"])),
        rows(1).set_column(2, "number", pyarrow.array([1.5])),
    ],
)
def test_rows_that_are_not_as_declared_are_refused_and_nothing_goes_in(lake: Lake, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="usage"):
        lake.append("usage", wrong, batch_id="1")
    assert lake.append("usage", rows(1), batch_id="1") is True


def test_times_without_zone_are_refused(lake: Lake) -> None:
    naive = pyarrow.schema([("ended_at", pyarrow.timestamp("us"))])
    with pytest.raises(InvalidInput, match="must be timestamp"):
        lake.declare("probes", naive)
    with pytest.raises(InvalidInput, match="must be timestamp"):
        lake.append("probes", naive.empty_table(), batch_id="1")


@pytest.mark.parametrize("table", ["", "Usage", "../usage", "a/b", "1st", "usage; DROP"])
def test_a_name_that_is_no_table_name_is_refused(lake: Lake, table: str) -> None:
    with pytest.raises(InvalidInput, match="must be lower case"):
        lake.append(table, rows(1), batch_id="1")


def test_a_column_that_a_later_release_adds_is_null_in_earlier_rows(lake: Lake, tmp_path: Path) -> None:
    lake.append("usage", rows(1), batch_id="1", partition_by=["vo"])
    later = Lake(tmp_path / "lake")
    later.declare("usage", SCHEMA.append(pyarrow.field("gpus", pyarrow.int64())))
    wider = rows(2).append_column("gpus", pyarrow.array([4], pyarrow.int64()))

    def gpus() -> list[Any]:
        answer = later.query("SELECT gpus FROM usage ORDER BY number", tables=["usage"])
        return list(answer["gpus"].to_pylist())

    assert gpus() == [None]
    assert later.append("usage", wider, batch_id="2") is True
    assert gpus() == [None, 4]
    # The earlier release may still be running beside the later one.
    assert lake.append("usage", rows(3), batch_id="3") is True
    assert numbers(lake) == [1, 2, 3]
    assert gpus() == [None, 4, None]


# -- killed at any moment ----------------------------------------------------------------------------------

APPENDER = """
import sys
from pathlib import Path
import pyarrow
from opengoc.store.lake import Lake
lake, size = Lake(Path(sys.argv[1])), int(sys.argv[2])
start = int(sys.stdin.readline())
for batch in range(start, start + 1000):
    columns = {"batch": [batch] * size, "vo": [f"vo{n % 2}" for n in range(size)]}
    lake.append("usage", pyarrow.table(columns), batch_id=f"source/{batch}", partition_by=["vo"])
    print(batch, flush=True)
"""


def test_a_kill_at_any_moment_leaves_each_batch_in_or_out_and_resending_heals(
    tmp_path: Path, start_python: Any
) -> None:
    """Each round sends again from before the last batch acknowledged, as after a lost cursor."""
    moments = random.Random(20261116)
    arguments = (APPENDER, str(tmp_path), str(ROWS_PER_BATCH))
    lake = Lake(tmp_path)
    lake.declare("usage", pyarrow.schema([("batch", pyarrow.int64()), ("vo", pyarrow.string())]))
    acknowledged = -1
    waiting = start_python(*arguments)
    for _ in range(KILLS):
        process, waiting = waiting, start_python(*arguments)
        process.stdin.write(f"{max(0, acknowledged - 1)}\n")
        process.stdin.flush()
        first = process.stdout.readline()
        time.sleep(moments.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        # Not communicate(), which would lose what readline() has read ahead.
        rest = process.stdout.read()
        assert process.wait(timeout=30) == -signal.SIGKILL, process.stderr.read()
        answered = [int(line) for line in (first + rest).splitlines() if line]
        acknowledged = max(acknowledged, *answered)
        sizes = rows_by_batch(lake)
        assert set(sizes.values()) == {ROWS_PER_BATCH}
        assert set(range(acknowledged + 1)) <= set(sizes)
        assert max(sizes) <= acknowledged + 1
    assert acknowledged > KILLS


def rows_by_batch(lake: Lake) -> dict[int, int]:
    """How many rows of each batch are in."""
    answer = lake.query("SELECT batch, count(*) AS n FROM usage GROUP BY batch", tables=["usage"])
    return {row["batch"]: row["n"] for row in answer.to_pylist()}
