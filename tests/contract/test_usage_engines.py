"""One suite for every engine that answers usage: DuckDB, ClickHouse and PostgreSQL give equal rows.

The true rows are summed here, record by record, from the same records in Python: no engine is compared with
itself. Times are whole seconds and benchmarks halves, so that sums are exact in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opengoc.accounting import table
from opengoc.accounting.corrections import Correction, Field, Standing
from opengoc.accounting.ingest import stow
from opengoc.accounting.model import MAX_BYTES, Kind, UsageRecord
from opengoc.accounting.reading import Reading
from opengoc.accounting.seen import Known
from opengoc.accounting.usage import DIMENSIONS, Pilot, Question, UsageRow, answer, sql
from opengoc.base.interval import Interval, week_name
from opengoc.store.database import open_database
from opengoc.store.engine import DuckDb, Engine
from opengoc.store.engines import ClickHouse, PostgreSql
from opengoc.store.lake import Lake

#: A Sunday, one minute before the week, and the ISO year's 53rd week, end.
END = datetime(2027, 1, 3, 23, 59, tzinfo=UTC)
WINDOW = Interval(END - timedelta(days=40), END + timedelta(days=40))
FIRST, SECOND = END + timedelta(days=1), END + timedelta(days=2)
NOW = END + timedelta(days=3)
RECORD = UsageRecord(
    instance="ce01", global_job_id="1", attempt=0, kind=Kind.BATCH, site="SITE-A", resource="CE-A", vo="cms",
    user="user1", project="old", queue="grid", submitted_at=None, started_at=END - timedelta(hours=2),
    ended_at=END, wall_seconds=3600.0, cpu_user_seconds=1800.0, cpu_system_seconds=None, processors=4,
    memory_mib=None, status="completed", exit_code=0, exit_signal=None, policy_digest=None, pilot_id=None,
    entry=None, sequence=1, benchmark="HS06", benchmark_value=10.5,
)  # fmt: skip
LATER = END + timedelta(minutes=2)


def at(end: datetime) -> dict[str, Any]:
    """The times of a job of two hours."""
    return {"started_at": end - timedelta(hours=2), "ended_at": end}


#: What two sources sent at first.
ONE = [
    RECORD,
    replace(RECORD, global_job_id="2", vo=None, user=None, project=None, site=None, ended_at=LATER),
    replace(RECORD, global_job_id="3", vo="Ätlas", site="SITE-B", cpu_user_seconds=None, benchmark=None),
    replace(RECORD, global_job_id="4", vo="atlas", cpu_system_seconds=99999.0, benchmark="HEPscore23"),
    replace(RECORD, global_job_id="5", kind=Kind.PILOT, vo=None, pilot_id="p1", jobs=7, started_at=None),
    replace(RECORD, global_job_id="6", kind=Kind.PILOT, vo=None, pilot_id="stray", entry="own"),
    replace(RECORD, global_job_id="7", wall_seconds=0.0, cpu_user_seconds=0.0, **at(END.replace(hour=0))),
    replace(RECORD, global_job_id="host#77.0#1767484800", vo=None, estimated=True, queue=None),
    replace(RECORD, global_job_id="host#78.0#1767484800", vo=None, **at(END - timedelta(days=3))),
    replace(RECORD, global_job_id="77", kind=Kind.GRANT, vo="glow", user="granted", started_at=None,
            ended_at=END - timedelta(hours=3)),
    replace(RECORD, global_job_id="77", kind=Kind.GRANT, vo="late", started_at=None,
            ended_at=END - timedelta(hours=1), attempt=1),
    replace(RECORD, global_job_id="t", kind=Kind.TRANSFER, bytes=2**53 + 1, files=3, wall_seconds=60.0),
    *(replace(RECORD, global_job_id=f"t{n}", kind=Kind.TRANSFER, bytes=MAX_BYTES) for n in range(16)),
    replace(RECORD, global_job_id="8", kind=Kind.PAYLOAD, status="removed", **at(END - timedelta(9))),
    replace(RECORD, global_job_id="9", **at(WINDOW.start)),
    replace(RECORD, global_job_id="10", ended_at=NOW + timedelta(days=99)),
]  # fmt: skip
#: What they said later: one job moved to the next day and the other source, one is told again, older.
TWO = [
    replace(RECORD, processors=8, ended_at=LATER, sequence=2),
    replace(RECORD, global_job_id="3", wall_seconds=7.0, sequence=0),
]
COUNTRIES = {"SITE-A": "Italy"}
PILOTS = (Pilot(id="p1", vo="glow", entry="entry-1"),)
RULES = (
    (Correction(scope={"vo": "cms"}, field=Field.VO, value="CMS"), END),
    (Correction(scope={"vo": "cms", "site": "SITE-A"}, field=Field.VO, value="cms-a"), SECOND),
    (Correction(scope={"project": "old"}, field=Field.PROJECT, value="new", valid=Interval(LATER)), END),
    (Correction(scope={"source": "a", "instance": "ce01"}, field=Field.PROCESSORS, value="2"), SECOND),
    (Correction(scope={"site": "SITE-B"}, field=Field.HEPSCORE23, value="11.5"), END),
)


def rules(as_of: datetime) -> list[Standing]:
    return [
        Standing(rule=rule, version=1, who="officer", why="as the VO wrote", known_from=since)
        for rule, since in RULES
        if since <= as_of
    ]


@pytest.fixture(scope="module")
def lake_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of both batches, each learned at a time of its own."""
    root = tmp_path_factory.mktemp("lake")
    lake = Lake(root)
    table.declare(lake)
    with Known(lake) as known:
        for source, records, at in (("a", ONE, FIRST), ("b", TWO, SECOND)):
            columns = table.read_columns(records, [(n, 1) for n in range(len(records))])
            reading = Reading(records=columns, faults=(), end=len(records))
            stow(lake, known, reading, source=source, batch_id=source, known_from=at, sha256="0" * 64)
    return root


@pytest.fixture(scope="module", params=["duckdb", "clickhouse", "postgresql"])
def engine(request: pytest.FixtureRequest, lake_root: Path) -> Iterator[Engine]:
    """Each engine over the same rows; PostgreSQL has a copy of them."""
    lake = Lake(lake_root)
    if request.param == "duckdb":
        with DuckDb(lake, table.TABLE) as duckdb:
            yield duckdb
    elif request.param == "clickhouse":
        with chdir("/"), ClickHouse(lake_root, table.TABLE) as clickhouse:
            yield clickhouse
    else:
        server = request.getfixturevalue("postgresql")
        url = server.create_database(request.getfixturevalue("migrated_template"))
        database = open_database(url)
        with database.begin() as conn:
            postgresql = PostgreSql(conn)
            postgresql.put(table.TABLE, lake.query(f"FROM {table.TABLE}", tables=[table.TABLE]))
            yield postgresql
        database.dispose()
        server.drop_database(url)


def test_every_dimension_gives_the_true_rows(engine: Engine) -> None:
    names = list(DIMENSIONS)
    for pair in zip(names[::2], names[1::2], strict=True):
        assert ask(engine, *pair) == true_rows(*pair), pair


def test_dimensions_together_and_none_at_all(engine: Engine) -> None:
    for by in ((), ("vo", "site", "week"), ("day", "source", "user", "entry")):
        assert ask(engine, *by) == true_rows(*by), by


def test_usage_as_of_a_time_is_what_was_known_then(engine: Engine) -> None:
    for pair in (("vo", "source"), ("day", "project")):
        assert ask(engine, *pair, as_of=FIRST) == true_rows(*pair, as_of=FIRST), pair
    assert ask(engine, "vo", as_of=FIRST) != ask(engine, "vo")
    assert ask(engine, "vo", as_of=FIRST - timedelta(microseconds=1)) == {}


def test_a_kind_alone_and_without_a_factory_or_a_registry(engine: Engine) -> None:
    for kind, pilots in ((Kind.BATCH, PILOTS), (Kind.PILOT, ()), (Kind.GRANT, ())):
        found = ask(engine, "vo", "country", "kind", kind=kind, pilots=pilots, countries={})
        assert found == true_rows("vo", "country", "kind", kind=kind, pilots=pilots, countries={})


def test_whole_numbers_and_halves_come_back_exactly(engine: Engine) -> None:
    (row,) = answer(engine, question("source", kind=Kind.TRANSFER))
    hs06_seconds = (60 + 16 * 3600) * 2 * 10.5
    # More than 64 bits hold, and not one less.
    assert (row.dimensions, row.bytes, row.hs06_seconds) == ({"source": "a"}, 2**64 + 2**53 + 1, hs06_seconds)
    assert (type(row.bytes), type(row.jobs), type(row.wall_seconds)) == (int, int, float)


def test_a_window_is_half_open_to_the_microsecond(engine: Engine) -> None:
    least = timedelta(microseconds=1)
    for window, jobs in ((Interval(LATER, LATER + least), 2), (Interval(LATER - least, LATER), 0)):
        asked = replace(question("kind", kind=Kind.BATCH), window=window)
        assert sum(row.jobs for row in answer(engine, asked)) == jobs


def test_texts_of_other_languages_and_of_sql_are_texts(engine: Engine) -> None:
    strange = {"SITE-A": 'O\'Brien % \\ "Łódź"', "SITE-B": ""}
    assert ask(engine, "country", countries=strange) == true_rows("country", countries=strange)


def test_one_statement_with_all_that_it_needs_asks_the_same(engine: Engine, lake_root: Path) -> None:
    asked = question("vo", "country", "week")
    told = sql(asked, {DuckDb: "duckdb", ClickHouse: "clickhouse", PostgreSql: "postgres"}[type(engine)])
    assert "correction_0" in told
    assert {(row[0], row[1], row[4]) for row in run(engine, told)} == {
        (row.dimensions["vo"], row.dimensions["country"], row.jobs) for row in answer(engine, asked)
    }


def run(engine: Engine, told: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, as a client of the engine has them."""
    if isinstance(engine, PostgreSql):
        return [tuple(row) for row in engine._connection.exec_driver_sql(told)]
    if isinstance(engine, ClickHouse):
        found = engine._run(told)
    else:
        assert isinstance(engine, DuckDb)
        found = engine._connection.sql(told).to_arrow_table()
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def question(
    *by: str,
    kind: Kind | None = None,
    as_of: datetime = NOW,
    pilots: tuple[Pilot, ...] = PILOTS,
    countries: dict[str, str] = COUNTRIES,
) -> Question:
    return Question(
        window=WINDOW,
        by=by,
        kind=kind,
        as_of=as_of,
        pilots=pilots,
        countries=countries,
        corrections=rules(as_of),
    )


def ask(engine: Engine, *by: str, **more: Any) -> dict[tuple[str, ...], UsageRow]:
    rows = answer(engine, question(*by, **more))
    keys = [tuple(row.dimensions.values()) for row in rows]
    assert keys == sorted(keys)
    return dict(zip(keys, rows, strict=True))


def true_rows(*by: str, **more: Any) -> dict[tuple[str, ...], UsageRow]:
    """What ``ask`` must give, summed record by record."""
    asked = question(*by, **more)
    rows: dict[tuple[str, ...], UsageRow] = {}
    for source, record in stood(asked.as_of):
        told = read_as(source, record, asked)
        if record.ended_at not in WINDOW or (record.kind is Kind.GRANT and asked.kind is not Kind.GRANT):
            continue
        if asked.kind is not None and told["kind"] != asked.kind.value:
            continue
        dimensions = {name: str(told[name] or "unknown") for name in asked.dimensions}
        if told["country"] == "" and "country" in by:
            dimensions["country"] = ""
        key = tuple(dimensions.values())
        row = counted(record, told, dimensions)
        rows[key] = added(rows[key], row) if key in rows else row
    return rows


def stood(as_of: datetime) -> list[tuple[str, UsageRecord]]:
    found: dict[tuple[str, str, int], tuple[str, UsageRecord]] = {}
    for source, records, at in (("a", ONE, FIRST), ("b", TWO, SECOND)):
        for record in records if at <= as_of else ():
            before = found.get(record.identity)
            if before is None or before[1].sequence <= record.sequence:
                found[record.identity] = source, record
    return list(found.values())


def read_as(source: str, record: UsageRecord, asked: Question) -> dict[str, Any]:
    sent = {name: getattr(record, name) for name in ("vo", "site", "resource", "project", "instance")}
    sent |= {"source": source, "global_job_id": record.global_job_id}
    values: dict[str, Any] = {
        name: getattr(record, name) for name in ("processors", "queue", "status", "user")
    }
    values |= {record.benchmark.lower(): record.benchmark_value} if record.benchmark else {}
    values |= {name: sent[name] for name in ("vo", "project", "site", "resource", "source")}
    pilot = next((each for each in asked.pilots if each.id == record.pilot_id), None)
    grant = granted(record) if record.kind is Kind.BATCH and record.vo is None else None
    values["vo"] = record.vo or (pilot and pilot.vo) or (grant and grant.vo)
    values["user"] = (grant and grant.user) or record.user
    values["entry"] = record.entry or (pilot and pilot.entry)
    stray = record.kind is Kind.PILOT and record.pilot_id and asked.pilots and pilot is None
    values["kind"] = "batch" if stray else record.kind.value
    values["country"] = asked.countries.get(record.site or "")
    values["week"] = week_name(record.ended_at)
    values["day"] = record.ended_at.date().isoformat()
    values["month"] = values["day"][:7]
    for each in sorted(asked.corrections, key=lambda each: len(each.rule.scope)):
        rule = each.rule
        if record.ended_at in rule.valid and all(sent[name] == value for name, value in rule.scope.items()):
            number = rule.field in (Field.PROCESSORS, Field.HS06, Field.HEPSCORE23)
            values[rule.field.value] = float(rule.value) if number else rule.value
    return values


def granted(record: UsageRecord) -> UsageRecord | None:
    began = record.started_at or record.ended_at
    grants = [
        each
        for each in ONE
        if each.kind is Kind.GRANT
        and each.ended_at <= began
        and record.global_job_id.startswith(f"host#{each.global_job_id}.")
    ]
    return max(grants, key=lambda each: each.ended_at, default=None)


def counted(record: UsageRecord, told: dict[str, Any], dimensions: dict[str, str]) -> UsageRow:
    core, cpu, jobs = record.wall_seconds * told["processors"], record.cpu_seconds, record.jobs
    hs06, hepscore23 = told.get("hs06"), told.get("hepscore23")
    return UsageRow(
        dimensions=dimensions,
        jobs=jobs,
        wall_seconds=record.wall_seconds,
        core_seconds=core,
        cpu_seconds=cpu,
        cpu_core_seconds=None if cpu is None else core,
        jobs_without_cpu=jobs if cpu is None else 0,
        suspects=jobs if (cpu or 0.0) > core else 0,
        records=1,
        estimated=jobs if record.estimated else 0,
        bytes=record.bytes,
        hs06_seconds=None if hs06 is None else core * hs06,
        hepscore23_seconds=None if hepscore23 is None else core * hepscore23,
        jobs_without_hs06=jobs if hs06 is None else 0,
        jobs_without_hepscore23=jobs if hepscore23 is None else 0,
    )


def added(one: UsageRow, other: UsageRow) -> UsageRow:
    numbers = {}
    for each in fields(UsageRow):
        a, b = getattr(one, each.name), getattr(other, each.name)
        numbers[each.name] = one.dimensions if each.name == "dimensions" else b if a is None else a + (b or 0)
    return UsageRow(**numbers)
