"""Records that could not be stored: kept with their reason until somebody resolves them.

Each is a fact, so it stands until it is taken back, and what stood at any time can be asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from opengoc.accounting.batch import Faulty
from opengoc.accounting.model import RawReference
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.facts import Assertion, Fact

KIND = "accounting-quarantine"


def put(conn: Connection, faulty: Iterable[Faulty], *, now: datetime, who: str) -> None:
    """Quarantine bytes; those that stand there already, from an earlier reading, stay as they are."""
    new = {each.key: each for each in faulty}
    assertions = [
        Assertion(key=each.key, value=_to_json(each), valid=Interval(now))
        for each in new.values()
        if facts.get(conn, KIND, each.key) is None
    ]
    if assertions:
        facts.assert_many(conn, kind=KIND, assertions=assertions, who=who, source="accounting")


def standing(conn: Connection, *, source: str | None = None) -> list[Faulty]:
    """What is in quarantine now, of one source or of all."""
    found = [_from_json(fact) for fact in facts.standing(conn, KIND)]
    return [each for each in found if source is None or each.source == source]


def get(conn: Connection, key: str) -> Faulty:
    """One entry by its key or the beginning of it. Raises InvalidInput when none or several begin so."""
    found = [each for each in standing(conn) if each.key.startswith(key)]
    if len(found) != 1:
        raise InvalidInput("quarantine key", key, f"must name one entry, it names {len(found)}")
    return found[0]


def resolve(conn: Connection, key: str, *, why: str, who: str) -> None:
    """Take an entry out of quarantine; nothing happens to one that is out already."""
    fact = facts.get(conn, KIND, key)
    if fact is not None:
        facts.retract(conn, kind=KIND, key=key, who=who, why=why, source="accounting", expect=fact.version)


def _to_json(each: Faulty) -> dict[str, Any]:
    return {
        "source": each.source,
        "file": each.file,
        "offset": each.offset,
        "line": each.line,
        "reason": each.reason,
        "sample": each.sample,
        "raw_sha256": each.raw.sha256,
        "raw_offset": each.raw.offset,
        "raw_length": each.raw.length,
        "reader": each.reader.to_json() if each.reader is not None else None,
    }


def _from_json(fact: Fact) -> Faulty:
    value = fact.value or {}
    reader = value.get("reader")
    raw = RawReference(sha256=value["raw_sha256"], offset=value["raw_offset"], length=value["raw_length"])
    return Faulty(
        key=fact.key,
        raw=raw,
        reader=Source.from_json(value["source"], reader) if reader else None,
        **{name: value[name] for name in ("source", "file", "offset", "line", "reason", "sample")},
    )
