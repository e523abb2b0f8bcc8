"""Facts against a model of a few lines: whatever was written in whatever order, both answer the same."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from opengoc.base.errors import Conflict
from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.facts import Fact

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
WHO = "test"
KEYS = ["a", "b", "B"]

_kinds = (f"kind {number}" for number in itertools.count())


@dataclass(frozen=True, kw_only=True)
class Step:
    """One write, as drawn."""

    verb: str
    key: str
    value: int
    #: Ticks after noon at which it was learned; None for now.
    known: int | None
    #: The writer read the version that stands; otherwise the one before.
    read_latest: bool
    #: The block around it fails afterwards.
    undone: bool

    @property
    def known_at(self) -> datetime | None:
        """When it was learned."""
        return None if self.known is None else NOON + self.known * TICK


@dataclass
class Model:
    """Every write kept, in order: what was known at a time is the last write known by then."""

    log: list[tuple[datetime, str, int | None]] = field(default_factory=list)

    def version(self, key: str) -> int:
        """How often the key was written."""
        return sum(logged == key for _, logged, _ in self.log)

    def value(self, key: str, moment: datetime | None = None) -> int | None:
        """What was known of the key at a moment, or last."""
        known = [v for at, logged, v in self.log if logged == key and (moment is None or at <= moment)]
        return known[-1] if known else None

    def write(self, step: Step, known_from: datetime) -> None:
        """Keep one write, as known from the moment that the store gave it."""
        value = None if step.verb == "retract" else step.value
        earlier = [at for at, key, _ in self.log if key == step.key]
        if step.known_at is not None:
            assert known_from == max([step.known_at, *(at + TICK for at in earlier)])
        assert all(known_from > at for at in earlier)
        self.log.append((known_from, step.key, value))


def perform(conn: Connection, kind: str, step: Step, expect: int) -> Fact:
    """The write, by the store."""
    if step.verb == "assert":
        return facts.assert_fact(
            conn,
            kind=kind,
            key=step.key,
            value={"n": step.value},
            valid=Interval(NOON),
            who=WHO,
            known_at=step.known_at,
        )
    if step.verb == "retract":
        return facts.retract(conn, kind=kind, key=step.key, who=WHO, expect=expect, known_at=step.known_at)
    return facts.supersede(
        conn, kind=kind, key=step.key, value={"n": step.value}, who=WHO, expect=expect, known_at=step.known_at
    )


def must_conflict(model: Model, step: Step) -> bool:
    """Whether the store has to refuse."""
    stands = model.value(step.key) is not None
    return stands if step.verb == "assert" else not (stands and step.read_latest)


steps = st.lists(
    st.builds(
        Step,
        verb=st.sampled_from(["assert", "supersede", "supersede", "retract"]),
        key=st.sampled_from(KEYS),
        value=st.integers(0, 5),
        known=st.none() | st.integers(-3, 12),
        read_latest=st.sampled_from([True, True, True, False]),
        undone=st.sampled_from([False, False, False, True]),
    ),
    max_size=25,
)


class _Undo(Exception):
    """Ends a block without keeping it."""


@given(steps=steps)
@settings(
    max_examples=60,
    deadline=None,
    # One database for all examples: each writes under a kind of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_facts_answer_like_a_plain_log_of_writes(database: Database, steps: list[Step]) -> None:
    kind, model, written = next(_kinds), Model(), list[Fact]()
    for step in steps:
        expect = model.version(step.key) - (not step.read_latest)
        refused = must_conflict(model, step)
        try:
            with database.begin() as conn:
                fact = perform(conn, kind, step, expect)
                assert not refused
                if step.undone:
                    raise _Undo
        except Conflict:
            assert refused
        except _Undo:
            continue
        else:
            model.write(step, fact.known_from)
            assert fact.version == model.version(step.key)
            written.append(fact)
    with database.read() as conn:
        check(conn, kind, model, written)


def check(conn: Connection, kind: str, model: Model, written: list[Fact]) -> None:
    """The store and the model agree at every moment at which anything changed, and around it."""
    moments = {at + offset for at, _, _ in model.log for offset in (-TICK, 0 * TICK, TICK)}
    for moment in [None, *moments]:
        expected = {key: value for key in KEYS if (value := model.value(key, moment)) is not None}
        found = facts.standing(conn, kind, known_at=moment)
        assert [fact.key for fact in found] == sorted(expected)
        assert {fact.key: (fact.value or {})["n"] for fact in found} == expected
        assert [facts.get(conn, kind, key, known_at=moment) for key in sorted(expected)] == found
    feed = facts.changes(conn, kinds=[kind])
    assert [identity(fact) for fact in feed] == [identity(fact) for fact in written]
    for key in KEYS:
        assert [identity(f) for f in facts.history(conn, kind, key)] == [
            identity(f) for f in written if f.key == key
        ]


def identity(fact: Fact) -> tuple[object, ...]:
    """What stays the same of a version when a later one ends it."""
    return (fact.seq, fact.key, fact.version, fact.value, fact.known_from)
