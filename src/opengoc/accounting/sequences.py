"""Numbers that a sender gives its batches, one after the other: a number that never came is a hole.

Each spool of a sender is a stream with numbers of its own, from 1. A batch that comes late, or again, fills
the hole that it left. A number that came before and now names another batch is of a spool that was put back
from an older copy: what waited in it meanwhile may be lost, and counting goes on from that number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant, parse_instant
from opengoc.base.interval import Interval
from opengoc.store import facts

KIND = "accounting-sequence"
_SAID = re.compile(r"([A-Za-z0-9_-]{1,64})/([1-9]\d{0,14})")
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Hole:
    """Numbers [first, last] that never came."""

    first: int
    last: int
    #: When the records of the batches around it ended: theirs ended about then.
    around: Interval
    #: When the batch after it came.
    noticed_at: datetime
    #: These numbers came, and the first of them came again for another batch.
    put_back: bool = False

    @property
    def words(self) -> str:
        """What is lacking, for people."""
        if self.put_back:
            return (
                f"batch numbers went back from {self.last} to {self.first}: the sender's spool is an older"
                " copy, and what waited in it may be lost"
            )
        several = f"batches {self.first} to {self.last}" if self.last > self.first else f"batch {self.first}"
        return f"{several} never came"


@dataclass(frozen=True, kw_only=True)
class Stream:
    """How far the numbers of one stream came."""

    source: str
    name: str
    highest: int = 0
    #: When the last record of the highest batch ended; None while none told.
    through: datetime | None = None
    holes: tuple[Hole, ...] = ()

    def after(self, number: int, ended: Interval | None, now: datetime) -> Stream:
        """The stream once a number came, with the time in which the records of its batch ended. Pure."""
        through = ended.end if ended is not None else self.through
        if number > self.highest:
            holes = self.holes
            if number > self.highest + 1:
                missing = (self.highest + 1, number - 1)
                holes = (*holes, _hole(*missing, self.through, ended, now))
            return replace(self, highest=number, through=through or self.through, holes=holes)
        return replace(self, holes=tuple(left for hole in self.holes for left in _without(hole, number)))

    def after_new(self, number: int, ended: Interval | None, now: datetime) -> Stream:
        """The same, for a batch that never came before, under whatever number. Pure."""
        taken = number <= self.highest and not any(_fills(hole, number) for hole in self.holes)
        if not taken:
            return self.after(number, ended, now)
        back = replace(_hole(number, self.highest, self.through, ended, now), put_back=True)
        through = ended.end if ended is not None else self.through
        return replace(self, highest=number, through=through, holes=(*self.holes, back))


def parse(said: str) -> tuple[str, int]:
    """The stream and the number of ``STREAM/7``. Raises InvalidInput."""
    found = _SAID.fullmatch(said)
    if found is None:
        raise InvalidInput("Goc-Sequence", said[:100], "must be STREAM/NUMBER, such as 3f9c2a/7")
    return found[1], int(found[2])


def arrived(
    conn: Connection, source: str, said: str, ended: Interval | None, *, new: bool, now: datetime, who: str
) -> None:
    """Keep that a number came, for a batch that is ``new`` or was received before.

    Raises InvalidInput for a number that is not well said.
    """
    name, number = parse(said)
    fact = facts.get(conn, KIND, f"{source}/{name}")
    before = _stream(fact.value) if fact is not None and fact.value else Stream(source=source, name=name)
    value = _to_json((before.after_new if new else before.after)(number, ended, now))
    words: dict[str, Any] = {"kind": KIND, "key": f"{source}/{name}", "value": value, "who": who}
    if fact is None:
        facts.assert_fact(conn, **words, valid=Interval(now), source="accounting")
    elif fact.value != value:
        facts.supersede(conn, **words, source="accounting", expect=fact.version)


def standing(conn: Connection, *, known_at: datetime | None = None) -> list[Stream]:
    """Every stream, as known at a moment (None: now)."""
    return [_stream(fact.value or {}) for fact in facts.standing(conn, KIND, known_at=known_at)]


def _hole(first: int, last: int, before: datetime | None, ended: Interval | None, now: datetime) -> Hole:
    """A hole between a batch whose records ended before ``before`` and one whose ended in ``ended``."""
    known = [each for each in (before, ended.start if ended is not None else None) if each is not None]
    start, stop = (min(known), max(known)) if known else (now, now)
    return Hole(
        first=first,
        last=last,
        around=Interval(start, max(stop, start + _SECOND)),
        noticed_at=now,
    )


def _fills(hole: Hole, number: int) -> bool:
    return not hole.put_back and hole.first <= number <= hole.last


def _without(hole: Hole, number: int) -> list[Hole]:
    parts = [replace(hole, last=min(hole.last, number - 1)), replace(hole, first=max(hole.first, number + 1))]
    if not _fills(hole, number):
        return [hole]
    return [part for part in parts if part.first <= part.last]


def _to_json(stream: Stream) -> dict[str, Any]:
    return {
        "source": stream.source,
        "stream": stream.name,
        "highest": stream.highest,
        "through": format_instant(stream.through) if stream.through else None,
        "holes": [
            {
                "first": hole.first,
                "last": hole.last,
                "from": format_instant(hole.around.start),
                "to": format_instant(hole.around.end or hole.around.start),
                "noticed_at": format_instant(hole.noticed_at),
                "put_back": hole.put_back,
            }
            for hole in stream.holes
        ],
    }


def _stream(value: Mapping[str, Any]) -> Stream:
    return Stream(
        source=value["source"],
        name=value["stream"],
        highest=value["highest"],
        through=parse_instant(value["through"]) if value["through"] else None,
        holes=tuple(
            Hole(
                first=hole["first"],
                last=hole["last"],
                around=Interval(parse_instant(hole["from"]), parse_instant(hole["to"])),
                noticed_at=parse_instant(hole["noticed_at"]),
                # A hole of an earlier release does not say it.
                put_back=hole.get("put_back", False),
            )
            for hole in value["holes"]
        ),
    )
