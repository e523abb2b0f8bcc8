"""Facts with two times: when it was true (valid time), and when we learned it (known time).

A fact is never changed: a correction is a new version, and the version before it stays readable as what was
known until then. The calls take the connection of a transaction and keep or lose their writes with it.

Writers of facts follow one another: each first updates the one row of ``fact_clock`` and so waits for the
writer before it to end. Numbers of the change feed therefore appear in the order of commits, and a reader
that stands at number n has missed nothing below it. See docs/decisions/0001-store-facts-in-one-order.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, or_, select, update

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.ids import canonical_json
from opengoc.base.instant import require_utc, utc_now
from opengoc.base.interval import Interval
from opengoc.store.schema import fact_clock, facts, from_micros, to_micros

#: Keys asked for in one query: well under what either database takes as parameters.
_KEYS_PER_QUERY = 500
#: Built once: every request of the old addresses asks it.
_NEWEST = select(func.coalesce(func.max(facts.c.seq), 0))


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One version of what is known about one key."""

    #: Place in the change feed; grows with every version written, over all kinds.
    seq: int
    #: What the fact is about, e.g. ``downtime``.
    kind: str
    #: Which one, unique within its kind.
    key: str
    #: When it is true out there.
    valid: Interval
    #: When the house learned it.
    known_from: datetime
    #: When the house learned better; None for the latest version.
    known_to: datetime | None
    #: JSON values; None says that the fact was taken back.
    value: dict[str, Any] | None
    #: 1, 2, 3 … within its key.
    version: int
    #: Who says so: an operator's login, or the part of the house.
    who: str
    #: The reason, for people; may be empty.
    why: str
    #: Where it was read from; may be empty.
    source: str


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """A fact about to be asserted with many others."""

    key: str
    value: dict[str, Any]
    valid: Interval


@dataclass(frozen=True, kw_only=True)
class _Words:
    """Who says it, why, from where, and as known when: the same for all facts of one call."""

    who: str
    why: str
    source: str
    known_at: datetime | None
    columns: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("who", "why", "source"):
            _check_text(name, getattr(self, name), required=name == "who")
        object.__setattr__(self, "columns", {"who": self.who, "why": self.why, "source": self.source})


def assert_fact(
    conn: Connection,
    *,
    kind: str,
    key: str,
    value: dict[str, Any],
    valid: Interval,
    who: str,
    why: str = "",
    source: str = "",
    known_at: datetime | None = None,
) -> Fact:
    """State a fact about a key that has none; one taken back before may be stated again.

    Raises Conflict when the key already has a standing fact. ``known_at`` is for importing history that was
    learned earlier; leave it out for what is learned now. See ``known_now`` on what reports may rely on.
    The known time of a key only moves forward: a ``known_at`` before that of its latest version becomes the
    microsecond after it.
    """
    assertion = Assertion(key=key, value=value, valid=valid)
    words = _Words(who=who, why=why, source=source, known_at=known_at)
    return _fact(_assert(conn, kind, [assertion], words)[0])


def assert_many(
    conn: Connection,
    *,
    kind: str,
    assertions: Iterable[Assertion],
    who: str,
    why: str = "",
    source: str = "",
    known_at: datetime | None = None,
) -> int:
    """``assert_fact`` for many keys of one kind at once, all or none; gives how many.

    Raises Conflict when any of the keys already has a standing fact, InvalidInput when a key comes twice.
    """
    words = _Words(who=who, why=why, source=source, known_at=known_at)
    return len(_assert(conn, kind, list(assertions), words))


def supersede(
    conn: Connection,
    *,
    kind: str,
    key: str,
    value: dict[str, Any],
    valid: Interval | None = None,
    who: str,
    why: str = "",
    source: str = "",
    known_at: datetime | None = None,
    expect: int,
) -> Fact:
    """State better what stands; ``valid`` left out stays as it was.

    ``expect`` is the version the caller decided on. Raises Conflict when another version stands by now, or
    none. ``known_at`` as in ``assert_fact``.
    """
    words = _Words(who=who, why=why, source=source, known_at=known_at)
    return _replace(conn, kind, key, _to_text(kind, key, value), valid, words, expect)


def retract(
    conn: Connection,
    *,
    kind: str,
    key: str,
    who: str,
    why: str = "",
    source: str = "",
    known_at: datetime | None = None,
    expect: int,
) -> Fact:
    """Take a fact back: nothing stands from now on, and its history stays. ``expect`` as in ``supersede``."""
    words = _Words(who=who, why=why, source=source, known_at=known_at)
    return _replace(conn, kind, key, None, None, words, expect)


def get(conn: Connection, kind: str, key: str, *, known_at: datetime | None = None) -> Fact | None:
    """The version that stood at ``known_at`` (None: stands now); None where none did or it was taken back."""
    row = conn.execute(_as_known(known_at).where(facts.c.kind == kind, facts.c.key == key)).one_or_none()
    return None if row is None else _fact(row)


def standing(conn: Connection, kind: str, *, known_at: datetime | None = None) -> list[Fact]:
    """Every fact of a kind that stood at ``known_at`` (None: stands now), by key in code point order."""
    rows = conn.execute(_as_known(known_at).where(facts.c.kind == kind).order_by(facts.c.key))
    return [_fact(row) for row in rows]


def standing_of(conn: Connection, kind: str, keys: Iterable[str]) -> list[Fact]:
    """The facts of a kind that stand now under any of these keys, by key."""
    latest = _latest(conn, kind, set(keys))
    return [_fact(row) for _, row in sorted(latest.items()) if row.value is not None]


def standing_within(
    conn: Connection, kind: str, window: Interval, *, known_at: datetime | None = None
) -> list[Fact]:
    """``standing``, of those alone that are valid at any time of a window."""
    touching = _as_known(known_at).where(
        facts.c.kind == kind,
        or_(facts.c.valid_to.is_(None), facts.c.valid_to > to_micros(window.start)),
    )
    if window.end is not None:
        touching = touching.where(facts.c.valid_from < to_micros(window.end))
    return [_fact(row) for row in conn.execute(touching.order_by(facts.c.key))]


def versions(conn: Connection, kinds: Collection[str], *, known_at: datetime | None = None) -> list[Fact]:
    """Every version of every key of these kinds that was known by ``known_at`` (None: now), oldest first.

    Retractions included, with ``value`` None.
    """
    chosen = select(facts).where(facts.c.kind.in_(list(kinds)))
    if known_at is not None:
        chosen = chosen.where(facts.c.known_from <= to_micros(require_utc(known_at, "known_at")))
    return [_fact(row) for row in conn.execute(chosen.order_by(facts.c.seq))]


def version(conn: Connection, kind: str, key: str, number: int) -> Fact | None:
    """One version of a key, whether or not it stands; None where it never was."""
    one = select(facts).where(facts.c.kind == kind, facts.c.key == key, facts.c.version == number)
    row = conn.execute(one).one_or_none()
    return None if row is None else _fact(row)


def history(conn: Connection, kind: str, key: str) -> list[Fact]:
    """Every version of a key, oldest first; where it was taken back, ``value`` is None."""
    ours = select(facts).where(facts.c.kind == kind, facts.c.key == key)
    return [_fact(row) for row in conn.execute(ours.order_by(facts.c.version))]


def changes(
    conn: Connection, *, after: int = 0, limit: int = 1000, kinds: Collection[str] | None = None
) -> list[Fact]:
    """Versions written after number ``after``, in the order they were committed; retractions included.

    The next ``after`` is the last ``seq`` given here. No version can appear later at or below it, whatever
    transactions were open. ``known_to`` is as of this reading.
    """
    newer = select(facts).where(facts.c.seq > after).order_by(facts.c.seq).limit(limit)
    if kinds is not None:
        newer = newer.where(facts.c.kind.in_(list(kinds)))
    return [_fact(row) for row in conn.execute(newer)]


def head(conn: Connection, kinds: Collection[str] | None = None) -> int:
    """The number of the newest version committed (of these kinds): where one starts that wants news only."""
    newest = _NEWEST if kinds is None else _NEWEST.where(facts.c.kind.in_(list(kinds)))
    return int(conn.execute(newest).scalar_one())


def state_of_knowledge(conn: Connection, kinds: Collection[str], *, known_at: datetime) -> tuple[int, int]:
    """What tells two states of knowledge of these kinds apart, whenever and for whatever moment it is asked.

    The newest version known by a moment, and how many were: versions are never taken away, so what makes two
    states differ, a later moment or imported history, makes one of the two numbers differ.
    """
    moment = to_micros(require_utc(known_at, "known_at"))
    known = select(func.coalesce(func.max(facts.c.seq), 0), func.count()).where(
        facts.c.kind.in_(list(kinds)), facts.c.known_from <= moment
    )
    newest, count = conn.execute(known).one()
    return int(newest), int(count)


def kinds(conn: Connection, *, prefix: str = "") -> list[str]:
    """The kinds of which anything stands, in code point order."""
    named = select(facts.c.kind).where(facts.c.known_to.is_(None)).distinct().order_by(facts.c.kind)
    if prefix:
        # From the prefix to the last text that begins with it: both databases find that by the index.
        named = named.where(facts.c.kind >= prefix, facts.c.kind < prefix + "\uffff")
    return list(conn.execute(named).scalars())


def known_now(conn: Connection) -> datetime:
    """Close the known time up to now and give that moment: what was known by then never changes any more.

    Needs a write transaction. A time merely read from the clock is not safe to publish: a transaction then
    still open may commit facts known just before it. After this call every fact written without
    ``known_at`` is known later than the moment given. Imported history keeps its own known times and may
    still lie before it.
    """
    now = to_micros(utc_now())
    closed = func.coalesce(_greatest(conn, fact_clock.c.closed_at, now), now)
    moved = update(fact_clock).values(closed_at=closed).returning(fact_clock.c.closed_at)
    return from_micros(conn.execute(moved).scalar_one())


def _greatest(conn: Connection, column: ColumnElement[int], value: int) -> ColumnElement[int]:
    # The same function under two names: max(a, b) is an aggregate on PostgreSQL.
    return func.greatest(column, value) if conn.dialect.name == "postgresql" else func.max(column, value)


def _as_known(known_at: datetime | None) -> Select[Any]:
    chosen = select(facts).where(facts.c.value.is_not(None))
    if known_at is None:
        # Not "as of the clock": a clock set back must not hide what was just written.
        return chosen.where(facts.c.known_to.is_(None))
    moment = to_micros(require_utc(known_at, "known_at"))
    return chosen.where(
        facts.c.known_from <= moment, or_(facts.c.known_to.is_(None), facts.c.known_to > moment)
    )


def _take_numbers(conn: Connection, count: int, words: _Words) -> tuple[int, int]:
    """The first of ``count`` numbers and the known time to write; waits for other writers to end."""
    taken = conn.execute(
        update(fact_clock)
        .values(last_seq=fact_clock.c.last_seq + count)
        .returning(fact_clock.c.last_seq, fact_clock.c.closed_at)
    ).one()
    if words.known_at is not None:
        known = to_micros(require_utc(words.known_at, "known_at"))
    else:
        # After the lock, so that known times follow the order of commits as long as the clock does.
        known = max(to_micros(utc_now()), taken.closed_at + 1)
    return taken.last_seq - count + 1, known


def _assert(
    conn: Connection, kind: str, assertions: Sequence[Assertion], words: _Words
) -> Sequence[dict[str, Any]]:
    _check_text("kind", kind, required=True)
    texts = [_to_text(kind, assertion.key, assertion.value) for assertion in assertions]
    if not assertions:
        return []
    keys = {assertion.key for assertion in assertions}
    if len(keys) < len(assertions):
        raise InvalidInput(f"facts of kind {kind}", len(assertions), "must each have a key of its own")
    first, known = _take_numbers(conn, len(assertions), words)
    latest = _latest(conn, kind, keys)
    for key, row in latest.items():
        if row.value is not None:
            raise Conflict(f"{kind} {key} already stands at version {row.version}: supersede it instead")
    rows = []
    for seq, (assertion, content) in enumerate(zip(assertions, texts, strict=True), start=first):
        new = _new_row(kind, assertion.key, seq, known, latest.get(assertion.key), words)
        rows.append(new | _valid_columns(assertion.valid) | {"value": content})
    _close(conn, rows, latest)
    conn.execute(insert(facts), rows)
    return rows


def _replace(
    conn: Connection,
    kind: str,
    key: str,
    content: str | None,
    valid: Interval | None,
    words: _Words,
    expect: int,
) -> Fact:
    seq, known = _take_numbers(conn, 1, words)
    latest = _latest(conn, kind, {key})
    old = latest.get(key)
    if old is None or old.value is None:
        raise Conflict(f"{kind} {key} does not stand: assert it instead")
    if old.version != expect:
        raise Conflict(
            f"{kind} {key} is at version {old.version}, not {expect} any more: read it again, decide again"
        )
    kept = {"valid_from": old.valid_from, "valid_to": old.valid_to}
    row = _new_row(kind, key, seq, known, old, words)
    row |= (kept if valid is None else _valid_columns(valid)) | {"value": content}
    _close(conn, [row], latest)
    conn.execute(insert(facts), [row])
    return _fact(row)


def _latest(conn: Connection, kind: str, keys: Collection[str]) -> dict[str, Row[Any]]:
    """The latest version of each key that has any, taken back ones included."""
    return {
        row.key: row
        for some in _in_parts(sorted(keys))
        for row in conn.execute(
            select(facts).where(facts.c.kind == kind, facts.c.key.in_(some), facts.c.known_to.is_(None))
        )
    }


def _in_parts(keys: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while part := list(islice(rest, _KEYS_PER_QUERY)):
        yield part


def _new_row(
    kind: str, key: str, seq: int, known: int, old: Row[Any] | None, words: _Words
) -> dict[str, Any]:
    return {
        "seq": seq,
        "kind": kind,
        "key": key,
        "version": 1 if old is None else old.version + 1,
        # A clock set back, or history that arrives out of order, cannot make a version end before it began.
        "known_from": known if old is None else max(known, old.known_from + 1),
        "known_to": None,
        **words.columns,
    }


def _close(conn: Connection, rows: Iterable[dict[str, Any]], latest: dict[str, Row[Any]]) -> None:
    """End what was known until the new rows; the unique index refuses a key that was left open."""
    for row in rows:
        if (old := latest.get(row["key"])) is not None:
            still = and_(facts.c.seq == old.seq, facts.c.known_to.is_(None))
            conn.execute(update(facts).where(still).values(known_to=row["known_from"]))


def _valid_columns(valid: Interval) -> dict[str, int | None]:
    end = None if valid.end is None else to_micros(valid.end)
    return {"valid_from": to_micros(valid.start), "valid_to": end}


def _to_text(kind: str, key: str, value: dict[str, Any]) -> str:
    _check_text("key", key, required=True)
    try:
        content = canonical_json(value)
        content.encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{kind} {key}", value, f"must be JSON values ({error})") from error
    return content


def _check_text(name: str, value: str, *, required: bool) -> None:
    if required and not value:
        raise InvalidInput(name, value, "must not be empty")
    # PostgreSQL keeps no NUL, and neither database keeps half a surrogate pair.
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidInput(name, value, "must be text without NUL and surrogates")


def _fact(row: Row[Any] | dict[str, Any]) -> Fact:
    columns = row if isinstance(row, dict) else row._mapping
    end, known_to, content = columns["valid_to"], columns["known_to"], columns["value"]
    return Fact(
        seq=columns["seq"],
        kind=columns["kind"],
        key=columns["key"],
        version=columns["version"],
        valid=Interval(from_micros(columns["valid_from"]), None if end is None else from_micros(end)),
        known_from=from_micros(columns["known_from"]),
        known_to=None if known_to is None else from_micros(known_to),
        value=None if content is None else json.loads(content),
        who=columns["who"],
        why=columns["why"],
        source=columns["source"],
    )
