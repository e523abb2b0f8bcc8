"""Corrections: rules with author and reason, applied when usage is read, as known then. On both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opengoc.accounting import corrections, table
from opengoc.accounting.correction_files import read
from opengoc.accounting.corrections import Correction, Field
from opengoc.accounting.ingest import stow
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.reading import Reading
from opengoc.accounting.seen import Known
from opengoc.accounting.usage import Question, usage
from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.store.database import Database
from opengoc.store.lake import Lake

END = datetime(2026, 11, 17, 12, tzinfo=UTC)
WINDOW = Interval(END - timedelta(days=7), END + timedelta(days=7))
RECORD = UsageRecord(
    instance="ce01", global_job_id="1", attempt=0, kind=Kind.BATCH, site="SITE-A", resource=None,
    vo="uscms", user=None, project="old", queue=None, submitted_at=None, started_at=END - timedelta(hours=1),
    ended_at=END, wall_seconds=3600.0, cpu_user_seconds=5400.0, cpu_system_seconds=None, processors=1,
    memory_mib=None, status="completed", exit_code=0, exit_signal=None, policy_digest=None, pilot_id=None,
    entry=None, sequence=1,
)  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    table.declare(lake)
    records = [
        RECORD,
        replace(RECORD, global_job_id="2", site="SITE-B"),
        replace(RECORD, global_job_id="3", vo="atlas", ended_at=END + timedelta(days=1)),
    ]
    columns = table.read_columns(records, [(n, 1) for n in range(3)])
    with Known(lake) as known:
        reading = Reading(records=columns, faults=(), end=3)
        stow(lake, known, reading, source="test", batch_id="a", known_from=END, sha256="0" * 64)
    return lake


def rule(field: Field, value: str, *, valid: Interval | None = None, **scope: str) -> Correction:
    if valid is None:
        return Correction(scope=scope, field=field, value=value)
    return Correction(scope=scope, field=field, value=value, valid=valid)


def jobs(
    lake: Lake, database: Database, *by: str, known_at: datetime | None = None
) -> dict[tuple[str, ...], int]:
    with database.read() as conn:
        rules = corrections.standing(conn, known_at=known_at)
    question = Question(window=WINDOW, by=by, kind=Kind.BATCH, as_of=utc_now(), corrections=rules)
    return {tuple(row.dimensions.values()): row.jobs for row in usage(lake, question).rows}


def add(database: Database, *rules: Correction) -> int:
    with database.begin() as conn:
        return corrections.add(conn, rules, who="accounting officer", why="as the VO wrote")


def test_a_vo_is_read_under_its_true_name(lake: Lake, database: Database) -> None:
    assert jobs(lake, database, "vo") == {("atlas",): 1, ("uscms",): 2}
    add(database, rule(Field.VO, "cms", vo="uscms"))
    assert jobs(lake, database, "vo") == {("atlas",): 1, ("cms",): 2}


def test_the_rule_with_the_narrower_scope_counts(lake: Lake, database: Database) -> None:
    add(database, rule(Field.VO, "cms", vo="uscms"), rule(Field.VO, "cms-b", vo="uscms", site="SITE-B"))
    assert jobs(lake, database, "vo") == {("atlas",): 1, ("cms",): 1, ("cms-b",): 1}


def test_a_rule_is_for_the_time_it_holds(lake: Lake, database: Database) -> None:
    add(database, rule(Field.PROJECT, "new", valid=Interval(END + timedelta(hours=1)), project="old"))
    assert jobs(lake, database, "project") == {("new",): 1, ("old",): 2}


def test_usage_as_of_a_time_applies_the_rules_that_were_known_then(lake: Lake, database: Database) -> None:
    add(database, rule(Field.VO, "cms", vo="uscms"))
    between = utc_now()
    assert add(database, rule(Field.VO, "cms2", vo="uscms")) == 1
    assert jobs(lake, database, "vo", known_at=between) == {("atlas",): 1, ("cms",): 2}
    assert jobs(lake, database, "vo") == {("atlas",): 1, ("cms2",): 2}
    with database.begin() as conn:
        corrections.withdraw(conn, rule(Field.VO, "x", vo="uscms").key, who="officer", why="was wrong")
    assert jobs(lake, database, "vo") == {("atlas",): 1, ("uscms",): 2}


def test_corrected_processors_and_benchmarks_enter_the_sums(lake: Lake, database: Database) -> None:
    add(database, rule(Field.PROCESSORS, "8", global_job_id="1"), rule(Field.HS06, "10.5", site="SITE-A"))
    with database.read() as conn:
        rules = corrections.standing(conn)
    question = Question(window=WINDOW, by=("site",), kind=Kind.BATCH, as_of=utc_now(), corrections=rules)
    first, second = usage(lake, question).rows
    assert (first.core_seconds, first.hs06_seconds, first.suspects) == (9 * 3600.0, 9 * 3600 * 10.5, 1)
    assert (second.core_seconds, second.hs06_seconds) == (3600.0, None)


def test_a_figure_is_not_made_again_without_the_rules_it_was_made_with(
    lake: Lake, database: Database, tmp_path: Path
) -> None:
    add(database, rule(Field.VO, "cms", vo="uscms"))
    published_at = utc_now()
    add(database, rule(Field.HS06, "10.5", site="SITE-A"))
    with database.read() as conn:
        then, now = corrections.standing(conn, known_at=published_at), corrections.standing(conn)
    question = Question(window=WINDOW, by=("vo",), kind=Kind.BATCH, as_of=published_at)
    named = corrections.rule_set(then).name
    again = replace(question, corrections=then, rule_set=named)
    assert {row.dimensions["vo"]: row.jobs for row in usage(lake, again).rows} == {"atlas": 1, "cms": 2}
    # A database that was put back from before the rule, and one where a rule more stands.
    for other in ([], now):
        with pytest.raises(Permanent, match=f"corrections {named} .* are missing"):
            replace(question, corrections=other, rule_set=named)
    assert corrections.rule_set([]).name == "none"
    with pytest.raises(Permanent, match="corrections none"):
        replace(question, corrections=then, rule_set="none")


def test_rules_of_one_scope_never_hold_at_the_same_time(database: Database) -> None:
    add(database, rule(Field.VO, "cms", vo="uscms"))
    with pytest.raises(InvalidInput, match="holds at the same time"):
        add(database, rule(Field.VO, "other", valid=WINDOW, vo="uscms"))


def test_a_rule_needs_a_reason_a_scope_and_a_value_that_can_be(database: Database) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput, match="reason"):
        corrections.add(conn, [rule(Field.VO, "cms", vo="uscms")], who="officer", why=" ")
    for field, value, scope in (
        (Field.VO, "cms", {}),
        (Field.VO, "", {"vo": "uscms"}),
        (Field.VO, " ", {"vo": "uscms"}),
        (Field.PROCESSORS, "1.5", {"site": "A"}),
        (Field.PROCESSORS, "nan", {"site": "A"}),
        (Field.PROCESSORS, "inf", {"site": "A"}),
        (Field.HS06, "-1", {"site": "A"}),
    ):
        with pytest.raises(InvalidInput):
            rule(field, value, **scope)


def test_files_of_rules_are_read_as_people_keep_them() -> None:
    ours = read(
        "field,value,site,vo,from,to\nvo,cms,SITE-A,uscms,,\nprocessors,8,SITE-B,,2026-11-01,2026-12-01\n",
        "f",
    )
    assert [each.key for each in ours] == [
        "vo:vo=uscms,site=SITE-A:1990-01-01T00:00:00Z/..",
        "processors:site=SITE-B:2026-11-01T00:00:00Z/2026-12-01T00:00:00Z",
    ]
    (jobs_rule,) = read('{"1828783": {"procs": "24"}}', "f")
    assert (jobs_rule.scope, jobs_rule.field, jobs_rule.value) == (
        {"global_job_id": "1828783"},
        Field.PROCESSORS,
        "24",
    )
    (site_rule,) = read("##--- Tier 2 ---\nGLOW   9.632\n", "f")
    assert (site_rule.scope, site_rule.field, site_rule.value) == ({"site": "GLOW"}, Field.HS06, "9.632")
    with pytest.raises(InvalidInput, match="f line 2"):
        read("field,value,site\nvo,,A\n", "f")
