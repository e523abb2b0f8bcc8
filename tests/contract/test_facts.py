"""Facts: the same promises on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.facts import Assertion, Fact

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALWAYS = Interval(NOON)


def state(conn: Connection, key: str = "cms", number: int = 1, **more: Any) -> Fact:
    """A fact with nothing special about it."""
    words = {"kind": "vo", "valid": ALWAYS, "who": "coordinator"} | more
    return facts.assert_fact(conn, key=key, value={"number": number}, **words)


def correct(conn: Connection, expect: int, number: int = 2, key: str = "cms", **more: Any) -> Fact:
    """A correction with nothing special about it."""
    return facts.supersede(
        conn, kind="vo", key=key, value={"number": number}, who="coordinator", expect=expect, **more
    )


def take_back(conn: Connection, expect: int, key: str = "cms", **more: Any) -> Fact:
    """A retraction with nothing special about it."""
    return facts.retract(conn, kind="vo", key=key, who="coordinator", expect=expect, **more)


def numbers(found: list[Fact]) -> list[int]:
    """The values of facts that stand."""
    return [fact.value["number"] for fact in found if fact.value is not None]


# -- what stands, and what stood ---------------------------------------------------------------------------


def test_an_asserted_fact_stands_with_all_it_was_given(database: Database) -> None:
    valid = Interval(NOON, NOON + HOUR)
    before = utc_now()
    with database.begin() as conn:
        asserted = facts.assert_fact(
            conn,
            kind="downtime",
            key="dt-1",
            value={"severity": "OUTAGE", "cores": 1.5, "größe": [None, True, "ü"]},
            valid=valid,
            who="site admin",
            why="power",
            source="import",
        )
    with database.read() as conn:
        assert facts.get(conn, "downtime", "dt-1") == asserted
    assert asserted.valid == valid
    assert asserted.value == {"severity": "OUTAGE", "cores": 1.5, "größe": [None, True, "ü"]}
    assert (asserted.who, asserted.why, asserted.source) == ("site admin", "power", "import")
    assert (asserted.version, asserted.known_to) == (1, None)
    assert before <= asserted.known_from <= utc_now()


def test_a_key_is_of_its_kind_alone(database: Database) -> None:
    with database.begin() as conn:
        state(conn, kind="vo", number=1)
        state(conn, kind="site", number=2)
        assert numbers(facts.standing(conn, "vo")) == [1]


def test_what_was_never_asserted_is_none(database: Database) -> None:
    with database.read() as conn:
        assert facts.get(conn, "vo", "cms") is None
        assert facts.standing(conn, "vo") == []
        assert facts.history(conn, "vo", "cms") == []


def test_a_corrected_fact_still_answers_as_it_was_known(database: Database) -> None:
    with database.begin() as conn:
        state(conn, number=1, known_at=NOON)
        correct(conn, expect=1, number=2, known_at=NOON + HOUR)
    with database.read() as conn:
        seen = {
            hours: facts.standing(conn, "vo", known_at=NOON + hours * HOUR) for hours in (-0.5, 0, 0.5, 1, 2)
        }
        assert {hours: numbers(found) for hours, found in seen.items()} == {
            -0.5: [],
            0: [1],
            0.5: [1],
            1: [2],
            2: [2],
        }
        before = facts.get(conn, "vo", "cms", known_at=NOON)
        assert before is not None
        assert before.known_to == NOON + HOUR


def test_a_correction_keeps_the_valid_time_unless_it_gives_another(database: Database) -> None:
    with database.begin() as conn:
        state(conn, valid=Interval(NOON, NOON + HOUR))
        assert correct(conn, expect=1).valid == Interval(NOON, NOON + HOUR)
        assert correct(conn, expect=2, valid=Interval(NOON)).valid == Interval(NOON)


def test_a_retracted_fact_is_gone_now_and_stays_in_the_past(database: Database) -> None:
    with database.begin() as conn:
        state(conn, number=1, known_at=NOON)
        taken_back = take_back(conn, expect=1, why="never existed", known_at=NOON + HOUR)
    with database.read() as conn:
        assert facts.get(conn, "vo", "cms") is None
        assert facts.standing(conn, "vo") == []
        assert numbers(facts.standing(conn, "vo", known_at=NOON)) == [1]
        assert [fact.version for fact in facts.history(conn, "vo", "cms")] == [1, 2]
    assert (taken_back.value, taken_back.why, taken_back.version) == (None, "never existed", 2)


def test_a_retracted_key_can_be_asserted_again(database: Database) -> None:
    with database.begin() as conn:
        state(conn, number=1)
        take_back(conn, expect=1)
        again = state(conn, number=3)
        assert again.version == 3
        assert [fact.value for fact in facts.history(conn, "vo", "cms")] == [
            {"number": 1},
            None,
            {"number": 3},
        ]


def test_known_times_of_a_key_touch_without_gap_or_overlap(database: Database) -> None:
    with database.begin() as conn:
        state(conn)
        correct(conn, expect=1)
        take_back(conn, expect=2)
        state(conn)
        versions = facts.history(conn, "vo", "cms")
    assert [v.known_to for v in versions[:-1]] == [v.known_from for v in versions[1:]]
    assert versions[-1].known_to is None


def test_facts_stand_in_code_point_order_of_their_keys(database: Database) -> None:
    keys = ["b", "a", "B", "_", "ä", "a-b", "a b", "Z", "𝛼", "10", "9"]
    with database.begin() as conn:
        for key in keys:
            state(conn, key=key)
        assert [fact.key for fact in facts.standing(conn, "vo")] == sorted(keys)


# -- the clock ---------------------------------------------------------------------------------------------


def test_a_clock_set_back_cannot_make_a_version_end_before_it_began(database: Database) -> None:
    with database.begin() as conn:
        state(conn, known_at=NOON)
        late = correct(conn, expect=1, known_at=NOON - HOUR)
        later = take_back(conn, expect=2, known_at=NOON - 2 * HOUR)
    assert late.known_from == NOON + timedelta(microseconds=1)
    assert later.known_from == NOON + timedelta(microseconds=2)


def test_what_was_written_under_a_fast_clock_still_stands_now(database: Database) -> None:
    with database.begin() as conn:
        state(conn, number=1, known_at=utc_now() + timedelta(days=365))
        correct(conn, expect=1, number=2)
        assert numbers(facts.standing(conn, "vo")) == [2]


def test_times_keep_their_microsecond_far_from_today(database: Database) -> None:
    far = Interval(
        datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    )
    with database.begin() as conn:
        state(conn, valid=far)
        found = facts.get(conn, "vo", "cms")
    assert found is not None
    assert found.valid == far


def test_nothing_is_ever_known_before_a_moment_that_was_closed(database: Database) -> None:
    """The moment of a report, closed while another transaction is still writing."""
    written = threading.Event()
    go_on = threading.Event()

    def write_slowly() -> None:
        with database.begin() as conn:
            state(conn)
            written.set()
            go_on.wait(timeout=30)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert written.wait(timeout=30)
    threading.Timer(0.3, go_on.set).start()
    with database.begin() as conn:
        moment = facts.known_now(conn)
    with database.read() as conn:
        reported = facts.standing(conn, "vo", known_at=moment)
    writer.join(timeout=30)
    with database.begin() as conn:
        correct(conn, expect=1)
        state(conn, key="ligo")
    with database.read() as conn:
        assert (
            [f.key for f in facts.standing(conn, "vo", known_at=moment)]
            == [f.key for f in reported]
            == ["cms"]
        )


def test_a_closed_moment_never_moves_back(database: Database) -> None:
    with database.begin() as conn:
        moments = [facts.known_now(conn) for _ in range(3)]
        known_from = state(conn).known_from
    assert sorted(moments) == moments
    assert known_from > moments[-1]


def test_a_clock_set_back_cannot_reopen_a_closed_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as conn:
        moment = facts.known_now(conn)
    monkeypatch.setattr(facts, "utc_now", lambda: utc_now() - HOUR)
    with database.begin() as conn:
        assert state(conn).known_from > moment
        assert facts.known_now(conn) >= moment
    with database.read() as conn:
        assert facts.standing(conn, "vo", known_at=moment) == []


# -- one writer wins ---------------------------------------------------------------------------------------


def test_a_key_that_stands_is_not_asserted_twice(database: Database) -> None:
    with database.begin() as conn:
        state(conn)
        with pytest.raises(Conflict, match="supersede it instead"):
            state(conn)


def test_a_correction_of_another_version_than_read_is_a_conflict(database: Database) -> None:
    with database.begin() as conn:
        state(conn)
        correct(conn, expect=1)
        with pytest.raises(Conflict, match="version 2, not 1"):
            correct(conn, expect=1)
        with pytest.raises(Conflict, match="version 2, not 1"):
            take_back(conn, expect=1)


def test_what_does_not_stand_is_neither_corrected_nor_retracted(database: Database) -> None:
    with database.begin() as conn:
        with pytest.raises(Conflict, match="does not stand"):
            correct(conn, expect=1)
        state(conn)
        take_back(conn, expect=1)
        with pytest.raises(Conflict, match="does not stand"):
            take_back(conn, expect=2)


def test_of_concurrent_asserts_of_a_key_one_wins(database: Database, together: Any) -> None:
    def assert_it(number: int) -> Fact:
        with database.begin() as conn:
            return state(conn, number=number)

    outcomes = together(6, assert_it)
    winners = [outcome for outcome in outcomes if isinstance(outcome, Fact)]
    assert [type(outcome) for outcome in outcomes if outcome not in winners] == [Conflict] * 5
    with database.read() as conn:
        assert facts.standing(conn, "vo") == winners


def test_no_update_is_lost_among_concurrent_writers(database: Database, together: Any) -> None:
    with database.begin() as conn:
        state(conn, number=0)

    def add_ten(_number: int) -> int:
        conflicts = done = 0
        while done < 10:
            with database.read() as conn:
                read = facts.get(conn, "vo", "cms")
            assert read is not None and read.value is not None
            try:
                with database.begin() as conn:
                    correct(conn, expect=read.version, number=read.value["number"] + 1)
            except Conflict:
                conflicts += 1
            else:
                done += 1
        return conflicts

    together(4, add_ten)
    with database.read() as conn:
        assert numbers(facts.standing(conn, "vo")) == [40]
        assert len(facts.history(conn, "vo", "cms")) == 41


def test_no_update_is_lost_among_concurrent_processes(
    database: Database, database_url: str, start_python: Any
) -> None:
    program = """
import sys
from opengoc.base.errors import Conflict
from opengoc.store import facts
from opengoc.store.database import open_database
database = open_database(sys.argv[1])
done = 0
while done < 10:
    with database.read() as conn:
        read = facts.get(conn, "vo", "cms")
    try:
        with database.begin() as conn:
            value = {"number": read.value["number"] + 1}
            facts.supersede(conn, kind="vo", key="cms", value=value, who="process", expect=read.version)
    except Conflict:
        continue
    done += 1
"""
    with database.begin() as conn:
        state(conn, number=0)
    processes = [start_python(program, database_url) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    with database.read() as conn:
        assert numbers(facts.standing(conn, "vo")) == [30]


def test_a_block_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(Conflict), database.begin() as conn:
        state(conn, key="ligo")
        state(conn, key="ligo")
    with database.read() as conn:
        assert facts.standing(conn, "vo") == []
        assert facts.changes(conn) == []


# -- the change feed ---------------------------------------------------------------------------------------


def test_the_feed_gives_every_version_once_in_order(database: Database) -> None:
    with database.begin() as conn:
        written = [state(conn), correct(conn, expect=1), take_back(conn, expect=2)]
        written.append(state(conn, key="ligo", kind="site"))
    with database.read() as conn:
        assert [fact.seq for fact in facts.changes(conn)] == [fact.seq for fact in written]
        assert [fact.seq for fact in facts.changes(conn, after=written[1].seq)] == [
            f.seq for f in written[2:]
        ]
        assert [fact.seq for fact in facts.changes(conn, limit=2)] == [fact.seq for fact in written[:2]]
        assert [fact.key for fact in facts.changes(conn, kinds=["site"])] == ["ligo"]
        assert facts.changes(conn, kinds=[]) == []
        assert facts.head(conn) == written[-1].seq


def test_the_feed_of_an_empty_database_starts_at_nought(database: Database) -> None:
    with database.read() as conn:
        assert facts.head(conn) == 0
        assert facts.changes(conn) == []


def test_the_feed_never_skips_a_version_that_commits_late(database: Database, together: Any) -> None:
    """Writers of different lengths, and a reader that follows with its cursor while they write."""
    writers, each = 4, 15
    pause = threading.Event()
    ended: list[int] = []

    def write(number: int) -> None:
        for step in range(each):
            with database.begin() as conn:
                state(conn, key=f"{number}-{step}")
                if step % 3 == number % 3:
                    pause.wait(timeout=0.01)
        ended.append(number)

    def follow() -> list[int]:
        seen: list[int] = []
        while True:
            all_ended = len(ended) == writers
            with database.read() as conn:
                news = facts.changes(conn, after=seen[-1] if seen else 0, limit=7)
            if all_ended and not news:
                return seen
            seen += [fact.seq for fact in news]

    outcomes = together(writers + 1, lambda number: follow() if number == writers else write(number))
    with database.read() as conn:
        assert outcomes[writers] == [fact.seq for fact in facts.changes(conn)]
        assert len(facts.standing(conn, "vo")) == writers * each


# -- many at once ------------------------------------------------------------------------------------------


def test_many_facts_are_asserted_at_once(database: Database) -> None:
    with database.begin() as conn:
        state(conn, key="key-5")
        take_back(conn, key="key-5", expect=1)
        many = [Assertion(key=f"key-{n}", value={"number": n}, valid=ALWAYS) for n in range(1200)]
        assert facts.assert_many(conn, kind="vo", assertions=many, who="import") == 1200
    with database.read() as conn:
        assert sorted(numbers(facts.standing(conn, "vo"))) == list(range(1200))
        assert [fact.version for fact in facts.history(conn, "vo", "key-5")] == [1, 2, 3]
        assert len({fact.seq for fact in facts.changes(conn, limit=5000)}) == 1202


def test_many_facts_are_refused_together_when_one_stands(database: Database) -> None:
    with database.begin() as conn:
        state(conn, key="b")
    many = [Assertion(key=key, value={}, valid=ALWAYS) for key in "abc"]
    with pytest.raises(Conflict, match="vo b already stands"), database.begin() as conn:
        facts.assert_many(conn, kind="vo", assertions=many, who="import")
    with database.read() as conn:
        assert [fact.key for fact in facts.standing(conn, "vo")] == ["b"]


def test_many_facts_with_one_key_twice_are_refused(database: Database) -> None:
    twice = [Assertion(key="a", value={"number": n}, valid=ALWAYS) for n in (1, 2)]
    with database.begin() as conn, pytest.raises(InvalidInput, match="key of its own"):
        facts.assert_many(conn, kind="vo", assertions=twice, who="import")


def test_asserting_no_facts_at_all_is_nothing(database: Database) -> None:
    with database.begin() as conn:
        assert facts.assert_many(conn, kind="vo", assertions=[], who="import") == 0
        assert facts.head(conn) == 0


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"key": ""}, "key"),
        ({"kind": ""}, "kind"),
        ({"who": ""}, "who"),
        ({"key": "a\0b"}, "key"),
        ({"why": "half a letter \ud800"}, "why"),
        ({"known_at": datetime(2026, 11, 16)}, "known_at"),  # noqa: DTZ001 - refused for this
    ],
)
def test_it_refuses_words_that_one_database_would_not_keep(
    database: Database, wrong: dict[str, Any], where: str
) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput) as refused:
        state(conn, **wrong)
    assert refused.value.where == where


@pytest.mark.parametrize("value", [{"at": NOON}, {"cores": float("nan")}, {"name": "\udfff"}])
def test_it_refuses_values_that_are_not_json(database: Database, value: dict[str, Any]) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput, match="must be JSON values"):
        facts.assert_fact(conn, kind="vo", key="cms", value=value, valid=ALWAYS, who="coordinator")


def test_it_refuses_to_ask_as_of_a_time_without_zone(database: Database) -> None:
    with database.read() as conn, pytest.raises(InvalidInput, match="needs a time zone"):
        facts.get(conn, "vo", "cms", known_at=datetime(2026, 11, 16))  # noqa: DTZ001 - refused for this
