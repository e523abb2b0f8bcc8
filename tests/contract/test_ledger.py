"""The ledger: the same promises on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.interval import Interval
from opengoc.store import facts, ledger
from opengoc.store.database import Database
from opengoc.store.ledger import Effect, EffectState, Lease, Sighting

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def owe_mail(conn: Connection, key: str, due_at: datetime = NOON) -> None:
    """A mail owed, with nothing special about it."""
    ledger.owe(conn, kind="mail", key=key, payload={"to": key}, due_at=due_at)


def claim_mail(conn: Connection, now: datetime = NOON, limit: int = 100) -> list[Effect]:
    """Claim mails for a minute."""
    return ledger.claim(conn, "mail", now=now, limit=limit, lease_seconds=60)


def keys(effects: list[Effect]) -> list[str]:
    """The keys of effects, in their order."""
    return [effect.key for effect in effects]


# -- events seen -------------------------------------------------------------------------------------------


def test_an_event_is_new_once_and_a_replay_ever_after(database: Database) -> None:
    with database.begin() as conn:
        assert [ledger.saw(conn, "tickets", "7", "aa") for _ in range(3)] == [
            Sighting.NEW,
            Sighting.REPLAY,
            Sighting.REPLAY,
        ]


def test_an_event_with_other_content_is_restated_once(database: Database) -> None:
    with database.begin() as conn:
        seen = [ledger.saw(conn, "tickets", "7", content) for content in ("aa", "bb", "bb", "aa")]
    assert seen == [Sighting.NEW, Sighting.RESTATED, Sighting.REPLAY, Sighting.RESTATED]


def test_the_same_number_of_another_source_is_another_event(database: Database) -> None:
    with database.begin() as conn:
        assert ledger.saw(conn, "tickets", "7", "aa") is Sighting.NEW
        assert ledger.saw(conn, "probes", "7", "aa") is Sighting.NEW


def test_an_event_of_a_block_that_failed_was_never_seen(database: Database) -> None:
    with pytest.raises(Conflict), database.begin() as conn:
        ledger.saw(conn, "tickets", "7", "aa")
        raise Conflict("the block fails")
    with database.begin() as conn:
        assert ledger.saw(conn, "tickets", "7", "aa") is Sighting.NEW


def test_of_concurrent_sightings_of_an_event_one_is_new(database: Database, together: Any) -> None:
    def see(_number: int) -> Sighting:
        with database.begin() as conn:
            return ledger.saw(conn, "tickets", "7", "aa")

    assert Counter(together(6, see)) == {Sighting.NEW: 1, Sighting.REPLAY: 5}


def test_of_concurrent_restatements_alike_one_is_restated(database: Database, together: Any) -> None:
    with database.begin() as conn:
        ledger.saw(conn, "tickets", "7", "aa")

    def see(_number: int) -> Sighting:
        with database.begin() as conn:
            return ledger.saw(conn, "tickets", "7", "bb")

    assert Counter(together(6, see)) == {Sighting.RESTATED: 1, Sighting.REPLAY: 5}


# -- effects owed ------------------------------------------------------------------------------------------


def test_an_effect_is_owed_claimed_and_settled(database: Database) -> None:
    with database.begin() as conn:
        owe_mail(conn, "cms")
        [claimed] = claim_mail(conn)
        ledger.settle(conn, claimed, now=NOON + MINUTE)
        [settled] = ledger.effects(conn, "mail")
        assert claim_mail(conn, now=NOON + 100 * MINUTE) == []
    assert (claimed.payload, claimed.attempts, claimed.claimed_until) == ({"to": "cms"}, 1, NOON + MINUTE)
    assert (settled.state, settled.settled_at, settled.claimed_until) == (
        EffectState.SETTLED,
        NOON + MINUTE,
        None,
    )


def test_an_effect_owed_twice_is_done_once_as_first_owed(database: Database) -> None:
    with database.begin() as conn:
        ledger.owe(conn, kind="mail", key="cms", payload={"text": "first"}, due_at=NOON)
        ledger.owe(conn, kind="mail", key="cms", payload={"text": "second"}, due_at=NOON)
        [claimed] = claim_mail(conn)
        ledger.settle(conn, claimed, now=NOON)
        ledger.owe(conn, kind="mail", key="cms", payload={"text": "third"}, due_at=NOON)
        assert claim_mail(conn) == []
    assert claimed.payload == {"text": "first"}


def test_effects_of_other_kinds_are_left_to_their_workers(database: Database) -> None:
    with database.begin() as conn:
        owe_mail(conn, "cms")
        ledger.owe(conn, kind="ticket", key="cms", payload={}, due_at=NOON)
        assert keys(claim_mail(conn)) == ["cms"]
        assert keys(ledger.effects(conn, "ticket", EffectState.OWED)) == ["cms"]


def test_of_many_effects_those_of_a_time_or_of_some_keys_are_read(database: Database) -> None:
    with database.begin() as conn:
        for minute, key in enumerate(("atlas", "cms", "ligo", "sbgrid")):
            owe_mail(conn, key)
            [claimed] = claim_mail(conn)
            ledger.settle(conn, claimed, now=NOON + minute * MINUTE)
        owe_mail(conn, "osg")
        hours = Interval(NOON + MINUTE, NOON + 3 * MINUTE)
        assert keys(ledger.effects(conn, "mail", settled=hours)) == ["cms", "ligo"]
        assert keys(ledger.effects(conn, "mail", settled=Interval(NOON + 3 * MINUTE, None))) == ["sbgrid"]
        assert keys(ledger.effects(conn, "mail", keys=["osg", "cms", "unheard of"])) == ["cms", "osg"]
        assert keys(ledger.effects(conn, "mail", EffectState.OWED, keys=["osg", "cms"])) == ["osg"]
        assert keys(ledger.effects(conn, "mail", keys=["osg", "cms"], limit=1)) == ["cms"]
        assert ledger.effects(conn, "mail", keys=[]) == []
        assert keys(ledger.effects(conn, "mail", limit=2)) == ["atlas", "cms"]


def test_more_keys_are_read_than_a_statement_takes(database: Database) -> None:
    with database.begin() as conn:
        owe_mail(conn, "key-31999")
        found = ledger.effects(conn, "mail", keys=[f"key-{n}" for n in range(70_000)])
    assert keys(found) == ["key-31999"]


def test_the_longest_due_effects_are_claimed_first(database: Database) -> None:
    with database.begin() as conn:
        for key, minutes in (("late", 3), ("first", 1), ("second", 2), ("not yet", 10)):
            owe_mail(conn, key, due_at=NOON + minutes * MINUTE)
        assert keys(claim_mail(conn, now=NOON + 5 * MINUTE, limit=2)) == ["first", "second"]
        assert keys(claim_mail(conn, now=NOON + 5 * MINUTE)) == ["late"]


def test_an_effect_owed_without_a_time_is_due_at_once(database: Database) -> None:
    with database.begin() as conn:
        ledger.owe(conn, kind="mail", key="cms", payload=None)
        assert keys(claim_mail(conn, now=datetime.now(UTC))) == ["cms"]


def test_a_claimed_effect_is_not_claimed_again_before_its_lease_ran_out(database: Database) -> None:
    with database.begin() as conn:
        owe_mail(conn, "cms")
        claim_mail(conn)
        assert claim_mail(conn, now=NOON + MINUTE - timedelta(microseconds=1)) == []
        [again] = claim_mail(conn, now=NOON + MINUTE)
    assert (again.attempts, again.idempotency_key) == (2, "mail/cms")


def test_a_worker_whose_claim_was_taken_over_cannot_settle(database: Database) -> None:
    with database.begin() as conn:
        owe_mail(conn, "cms")
        [slow] = claim_mail(conn)
        [quick] = claim_mail(conn, now=NOON + MINUTE)
        with pytest.raises(Conflict, match="not claimed by this worker"):
            ledger.settle(conn, slow, now=NOON + MINUTE)
        with pytest.raises(Conflict, match="not claimed by this worker"):
            ledger.postpone(conn, slow, error="late", retry_at=NOON)
        ledger.settle(conn, quick, now=NOON + MINUTE)


def test_a_worker_that_was_slow_but_alone_can_still_settle(database: Database) -> None:
    with database.begin() as conn:
        owe_mail(conn, "cms")
        [claimed] = claim_mail(conn)
        ledger.settle(conn, claimed, now=NOON + 100 * MINUTE)
        assert keys(ledger.effects(conn, "mail", EffectState.SETTLED)) == ["cms"]


def test_a_postponed_effect_waits_and_tells_why(database: Database) -> None:
    with database.begin() as conn:
        owe_mail(conn, "cms")
        [claimed] = claim_mail(conn)
        ledger.postpone(conn, claimed, error="451 greylisted", retry_at=NOON + 5 * MINUTE)
        assert claim_mail(conn, now=NOON + 4 * MINUTE) == []
        [again] = claim_mail(conn, now=NOON + 5 * MINUTE)
        assert (again.error, again.attempts) == ("451 greylisted", 2)
        ledger.settle(conn, again, now=NOON)
        assert ledger.effects(conn, "mail")[0].error == ""


def test_an_abandoned_effect_is_never_tried_again_and_tells_why(database: Database) -> None:
    with database.begin() as conn:
        owe_mail(conn, "cms")
        [claimed] = claim_mail(conn)
        ledger.abandon(conn, claimed, error="550 no such user")
        assert claim_mail(conn, now=NOON + 100 * MINUTE) == []
        [left] = ledger.effects(conn, "mail", EffectState.ABANDONED)
    assert left.error == "550 no such user"


def test_no_effect_is_claimed_by_two_workers(database: Database, together: Any) -> None:
    with database.begin() as conn:
        for number in range(60):
            owe_mail(conn, str(number))

    def work(_number: int) -> list[str]:
        done: list[str] = []
        while True:
            with database.begin() as conn:
                claimed = claim_mail(conn, limit=4)
            if not claimed:
                return done
            with database.begin() as conn:
                for effect in claimed:
                    ledger.settle(conn, effect, now=NOON)
            done += keys(claimed)

    done = [key for some in together(4, work) for key in some]
    assert sorted(done, key=int) == [str(number) for number in range(60)]


def test_a_claim_does_not_wait_for_a_claim_still_open(database: Database) -> None:
    """PostgreSQL only by nature: SQLite has one writer, whose claim must be committed at once."""
    with database.begin() as conn:
        owe_mail(conn, "a")
        owe_mail(conn, "b")
    if database.dialect == "sqlite":
        with database.begin() as conn:
            first = claim_mail(conn, limit=1)
        with database.begin() as other:
            second = claim_mail(other)
    else:
        with database.begin() as conn, database.begin() as other:
            first = claim_mail(conn, limit=1)
            second = claim_mail(other)
    assert (keys(first), keys(second)) == (["a"], ["b"])


def test_effects_claimed_by_a_killed_process_come_back(
    database: Database, database_url: str, start_python: Any
) -> None:
    program = """
import sys, time
from datetime import UTC, datetime
from opengoc.store import ledger
from opengoc.store.database import open_database
database = open_database(sys.argv[1])
with database.begin() as conn:
    now = datetime(2026, 11, 16, 12, tzinfo=UTC)
    ledger.claim(conn, "mail", now=now, limit=1, lease_seconds=60)
with database.begin() as conn:
    ledger.claim(conn, "mail", now=now, limit=1, lease_seconds=60)
    print("claimed", flush=True)
    time.sleep(60)
"""
    with database.begin() as conn:
        owe_mail(conn, "committed")
        owe_mail(conn, "open")
    process = start_python(program, database_url)
    assert process.stdout.readline() == "claimed\n"
    process.kill()
    process.wait(timeout=30)
    # The server needs a moment to see that its client is gone.
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    found: list[Effect] = []
    while not found and datetime.now(UTC) < deadline:
        with database.begin() as conn:
            found = claim_mail(conn)
    assert keys(found) == ["open"]
    with database.begin() as conn:
        assert keys(claim_mail(conn, now=NOON + MINUTE)) == ["committed", "open"]


# -- one transaction ---------------------------------------------------------------------------------------


def test_fact_effect_event_and_cursor_are_kept_together_or_not_at_all(database: Database) -> None:
    def receive(conn: Connection) -> None:
        assert ledger.saw(conn, "tickets", "7", "aa") is Sighting.NEW
        facts.assert_fact(conn, kind="ticket", key="7", value={}, valid=Interval(NOON), who="exchange")
        owe_mail(conn, "7")
        ledger.move_cursor(conn, "tickets", 7, expect=None)

    def kept(conn: Connection) -> tuple[int, int, Any]:
        return (
            len(facts.standing(conn, "ticket")),
            len(ledger.effects(conn, "mail")),
            ledger.cursor(conn, "tickets"),
        )

    with pytest.raises(Conflict), database.begin() as conn:
        receive(conn)
        raise Conflict("the block fails")
    with database.read() as conn:
        assert kept(conn) == (0, 0, None)
    with database.begin() as conn:
        receive(conn)
    with database.read() as conn:
        assert kept(conn) == (1, 1, 7)


# -- cursors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [7, "2026-11-16", {"file": "history", "offset": 12}, [1, None], 0, ""])
def test_a_cursor_gives_back_where_it_was_moved_to(database: Database, position: Any) -> None:
    with database.begin() as conn:
        assert ledger.cursor(conn, "feed") is None
        ledger.move_cursor(conn, "feed", position, expect=None)
        assert ledger.cursor(conn, "feed") == position
        ledger.move_cursor(conn, "feed", "on", expect=position)
        assert ledger.cursor(conn, "feed") == "on"


def test_a_cursor_is_not_moved_from_where_it_is_not(database: Database) -> None:
    with database.begin() as conn:
        with pytest.raises(Conflict, match="is at None, not at 3"):
            ledger.move_cursor(conn, "feed", 4, expect=3)
        ledger.move_cursor(conn, "feed", 5, expect=None)
        with pytest.raises(Conflict, match="is at 5, not at None"):
            ledger.move_cursor(conn, "feed", 6, expect=None)
        assert ledger.cursor(conn, "feed") == 5


def test_a_cursor_is_never_moved_to_nothing(database: Database) -> None:
    with database.begin() as conn, pytest.raises(InvalidInput, match="must not be None"):
        ledger.move_cursor(conn, "feed", None, expect=None)


@pytest.mark.parametrize("start", [None, 1])
def test_of_concurrent_moves_of_a_cursor_one_wins(
    database: Database, together: Any, start: int | None
) -> None:
    if start is not None:
        with database.begin() as conn:
            ledger.move_cursor(conn, "feed", start, expect=None)

    def move(number: int) -> int:
        with database.begin() as conn:
            ledger.move_cursor(conn, "feed", 100 + number, expect=start)
            return 100 + number

    outcomes = together(5, move)
    [winner] = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 4
    with database.read() as conn:
        assert ledger.cursor(conn, "feed") == winner


# -- leases ------------------------------------------------------------------------------------------------


def take(conn: Connection, holder: str, now: datetime = NOON) -> Lease:
    """The lease of a loop, for a minute."""
    return ledger.take_lease(conn, "factory", holder, now=now, ttl_seconds=60)


def test_a_lease_keeps_others_away_until_it_runs_out(database: Database) -> None:
    with database.begin() as conn:
        first = take(conn, "a")
        with pytest.raises(Conflict, match="lease factory is held by a until 2026-11-16T12:01:00Z"):
            take(conn, "b", now=NOON + MINUTE - timedelta(microseconds=1))
        second = take(conn, "b", now=NOON + MINUTE)
        with pytest.raises(Conflict, match="held by b"):
            ledger.renew(conn, first, now=NOON + MINUTE, ttl_seconds=60)
    assert second.fence > first.fence


def test_a_lease_is_renewed_even_after_it_ran_out_when_nobody_took_it(database: Database) -> None:
    with database.begin() as conn:
        lease = take(conn, "a")
        renewed = ledger.renew(conn, lease, now=NOON + 5 * MINUTE, ttl_seconds=60)
        assert (renewed.expires_at, renewed.fence) == (NOON + 6 * MINUTE, lease.fence)
        with pytest.raises(Conflict):
            take(conn, "b", now=NOON + 5 * MINUTE)


def test_a_released_lease_is_free_and_its_fence_goes_on_growing(database: Database) -> None:
    with database.begin() as conn:
        first = take(conn, "a")
        ledger.release(conn, first)
        with pytest.raises(Conflict, match="not held any more"):
            ledger.renew(conn, first, now=NOON, ttl_seconds=60)
        second = take(conn, "b")
        assert second.fence > first.fence
        ledger.release(conn, first)
        with pytest.raises(Conflict):
            take(conn, "a")


def test_a_holder_that_starts_again_takes_its_lease_from_its_earlier_self(database: Database) -> None:
    with database.begin() as conn:
        earlier = take(conn, "a")
        take(conn, "a")
        with pytest.raises(Conflict):
            ledger.renew(conn, earlier, now=NOON, ttl_seconds=60)


def test_of_concurrent_takers_of_a_lease_one_wins(database: Database, together: Any) -> None:
    def try_it(number: int) -> Lease:
        with database.begin() as conn:
            return take(conn, f"holder {number}")

    outcomes = together(6, try_it)
    assert sum(isinstance(outcome, Lease) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 5
