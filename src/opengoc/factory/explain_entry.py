"""Which limit keeps an entry from more pilots: the caps side by side, and what the last cycle said. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opengoc.factory.entries import Entry
from opengoc.factory.model import EntryRow


@dataclass(frozen=True, kw_only=True)
class Cap:
    """One cap of an entry, and how much of it is used."""

    name: str
    cap: int
    used: int

    @property
    def left(self) -> int:
        """What it leaves; 0 where more is used than it allows."""
        return max(0, self.cap - self.used)


@dataclass(frozen=True, kw_only=True)
class EntryExplanation:
    """One entry in one cycle."""

    entry: Entry
    #: One a VO; none where the cycle did not know the entry.
    rows: tuple[EntryRow, ...]
    caps: tuple[Cap, ...]

    @property
    def binding(self) -> tuple[str, ...]:
        """Every limit that bound, in words, each once."""
        said = (f"{row.limit.value}: {row.detail}" if row.detail else row.limit.value for row in self.rows)
        return tuple(dict.fromkeys(words for words in said if words))

    @property
    def answer(self) -> str:
        """The explanation in one sentence."""
        if not self.rows:
            return "the last cycle did not know this entry: it was not in force then"
        if self.binding:
            return "; ".join(self.binding)
        if any(row.allowed for row in self.rows):
            return f"nothing bound: {sum(row.allowed for row in self.rows)} pilots were sent"
        if any(row.matching_jobs for row in self.rows):
            return "nothing bound: the jobs that match find room in the pilots that are there, or elsewhere"
        return "nothing bound: no idle job matches"


def explain_entry(entry: Entry, rows: Iterable[EntryRow]) -> EntryExplanation:
    """What the rows of a cycle say of an entry."""
    own: Sequence[EntryRow] = tuple(row for row in rows if row.entry == entry.name)
    waiting = sum(row.idle + row.held for row in own)
    alive = waiting + sum(row.running for row in own)
    return EntryExplanation(
        entry=entry,
        rows=tuple(own),
        caps=(
            Cap(name="max_pilots", cap=entry.max_pilots, used=alive),
            Cap(name="max_idle", cap=entry.max_idle, used=waiting),
        ),
    )
